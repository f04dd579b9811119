package gitrepo

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// Defaults of Config.
const (
	DefaultTimeout      = 5 * time.Minute
	DefaultMaxClone     = 256 << 20 // bytes on disk
	DefaultMaxFiles     = 1000
	DefaultMaxFileSize  = 1 << 20  // bytes
	DefaultMaxTotalSize = 16 << 20 // bytes
)

// Config says how repositories are fetched.
type Config struct {
	Runner *run.Runner
	// Env is the environment of git (run.MinimalEnv): PATH and HOME, proxies. Names
	// that begin with GIT_ are left out.
	Env []string
	// TempDir is where clones are made and removed again. Empty: the system's.
	TempDir string
	// UserSettings lets git use the user's credential helpers, ssh configuration and
	// ssh agent. Nothing else of the user's configuration is used even so.
	UserSettings bool
	// Token is a password for https (and for http where it is allowed). It goes to
	// the source's own host alone, through a pipe. Zero: none.
	Token leger.Plaintext
	// AllowedSigners is a file of ssh keys (ssh-keygen(1), "ALLOWED SIGNERS"). When it
	// is set, a commit counts only if it or the tag that was asked for is signed by
	// one of them, or with a key that the user's GnuPG trusts fully.
	AllowedSigners string

	Timeout      time.Duration // of one Fetch; 0: DefaultTimeout
	MaxClone     int64         // bytes the clone may take on disk; 0: DefaultMaxClone
	MaxFiles     int           // exported; 0: DefaultMaxFiles
	MaxFileSize  int64         // bytes of one exported file; 0: DefaultMaxFileSize
	MaxTotalSize int64         // bytes of all; 0: DefaultMaxTotalSize
}

// Client fetches repositories. It is safe for concurrent use.
type Client struct{ cfg Config }

// New makes a Client.
func New(cfg Config) *Client {
	setDefault(&cfg.Timeout, DefaultTimeout)
	setDefault(&cfg.MaxClone, DefaultMaxClone)
	setDefault(&cfg.MaxFiles, DefaultMaxFiles)
	setDefault(&cfg.MaxFileSize, DefaultMaxFileSize)
	setDefault(&cfg.MaxTotalSize, DefaultMaxTotalSize)
	return &Client{cfg}
}

func setDefault[T int | int64 | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// Source says what to fetch. Exactly one of URL and Dir is set.
type Source struct {
	URL leger.GitURL
	// Dir is a local repository's top directory, as the user typed it. What is
	// committed there counts, not what lies in its work tree.
	Dir string
	Ref leger.GitRef // branch or tag; zero: the branch the repository points at
	// Commit, when set, is fetched instead of the tip of Ref: 40 or 64 hexadecimal
	// digits.
	Commit string
	Path   leger.GitPath // the release's directory; zero: the root
}

// Tree is a release's directory at one commit.
type Tree struct {
	Commit string // full hash
	Ref    string // "refs/heads/main"; empty when a commit was asked for
	// SignedBy is who signed it, where Config.AllowedSigners was set.
	SignedBy string
	// Files by path relative to Source.Path, with slashes. Regular files only.
	Files map[string][]byte
	// Executable has those of Files that may be executed.
	Executable map[string]bool
}

// Fetch gets the files of a source. A symbolic link to one of them is a copy of it;
// "a symbolic link" below is any other. Errors:
//
//   - ErrInvalid: the source itself (Field "git_url", "git_branch" or "commit"), or
//     what it holds: a symbolic link, a submodule, an LFS file, a deceptive name
//   - ErrNotFound: no such repository ("git_url"), branch or tag ("git_branch"),
//     commit ("commit") or directory ("git_path")
//   - ErrForbidden: the repository wants credentials, or refuses those it got; or
//     no allowed signer has signed it
//   - ErrUnreachable: the host does not exist or does not answer
//   - ErrUnavailable: it took longer than Timeout
//   - ErrTooLarge: over one of the limits
//   - ErrMissingPart: git is not installed
//   - ErrInterrupted: ctx was cancelled
func (c *Client) Fetch(ctx context.Context, src Source) (Tree, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	s, err := c.open(ctx, src)
	if err != nil {
		return Tree{}, err
	}
	defer s.close()
	tree := Tree{Commit: src.Commit}
	if src.Commit != "" {
		err = s.fetchCommit(ctx)
	} else {
		if tree.Ref, tree.Commit, err = s.resolve(ctx); err == nil {
			tree.Commit, err = s.fetchRef(ctx, tree.Ref)
		}
	}
	if err != nil {
		return Tree{}, err
	}
	if c.cfg.AllowedSigners != "" {
		if tree.SignedBy, err = s.verify(ctx, tree.Commit); err != nil {
			return Tree{}, err
		}
	}
	files, err := s.export(ctx, tree.Commit)
	if err != nil {
		return Tree{}, err
	}
	tree.Files, tree.Executable = make(map[string][]byte, len(files)), map[string]bool{}
	for name, f := range files {
		tree.Files[name] = f.Data
		if f.Executable {
			tree.Executable[name] = true
		}
	}
	return tree, nil
}

// Head tells which commit a source's branch or tag points at, without fetching
// it. For a tag with a message it is the commit, not the tag. Errors as Fetch.
func (c *Client) Head(ctx context.Context, src Source) (commit string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	s, err := c.open(ctx, src)
	if err != nil {
		return "", err
	}
	defer s.close()
	_, commit, err = s.resolve(ctx)
	return commit, err
}

// IsRepository reports whether dir is the top of a Git repository with a work
// tree, or a bare one: what Source.Dir takes.
func IsRepository(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
		return true
	}
	head, err := os.Stat(filepath.Join(dir, "HEAD"))
	objects, err2 := os.Stat(filepath.Join(dir, "objects"))
	return err == nil && err2 == nil && head.Mode().IsRegular() && objects.IsDir()
}

// session is one temporary repository and the git that works in it.
type session struct {
	client *Client
	src    Source
	remote string // the operand: URL or file:// path
	name   string // of the source, for messages
	dir    string // all that is temporary
	repo   string // the bare repository below it
	env    []string
	tag    string // the tag object that was fetched; empty: none
}

var commitPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func (c *Client) open(ctx context.Context, src Source) (*session, error) {
	s := &session{client: c, src: src}
	if err := s.setRemote(); err != nil {
		return nil, err
	}
	if src.Commit != "" && !commitPattern.MatchString(src.Commit) {
		return nil, leger.Invalid("commit", "the commit is not a full hash").WithHint("give all 40 digits, as git rev-parse prints them")
	}
	dir, err := os.MkdirTemp(c.cfg.TempDir, "leger-git-")
	if err != nil {
		return nil, leger.Wrap(leger.CodeInternal, err, "make a directory for the clone")
	}
	s.dir, s.repo = dir, filepath.Join(dir, "repo.git")
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) prepare(ctx context.Context) error {
	if err := s.setEnv(ctx); err != nil {
		return err
	}
	res, err := s.git(ctx, "init", "--quiet", "--bare", "--template=", "--", s.repo)
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return s.explain("init", res)
	}
	return nil
}

func (s *session) close() { _ = os.RemoveAll(s.dir) }

// git runs one git command in the temporary repository. The error is about
// running it; git's own failures are in the result.
func (s *session) git(ctx context.Context, args ...string) (run.Result, error) {
	return s.gitLimited(ctx, nil, 0, args...)
}

func (s *session) gitLimited(ctx context.Context, stdin []byte, maxOutput int64, args ...string) (run.Result, error) {
	cmd := run.Command{Path: "git", Args: args, Dir: s.dir, Env: s.env, MaxOutput: maxOutput}
	if stdin != nil {
		cmd.Stdin = strings.NewReader(string(stdin))
	}
	if args[0] == "fetch" || args[0] == "ls-remote" {
		file, err := s.credentials()
		if err != nil {
			return run.Result{}, err
		}
		if file != nil {
			defer func() { _ = file.Close() }()
			cmd.Files = []*os.File{file}
		}
	}
	res, err := s.client.cfg.Runner.Run(ctx, cmd)
	if leger.CodeOf(err) == leger.CodeUnavailable {
		return res, leger.Wrap(leger.CodeUnavailable, err, "%s did not deliver within %s", s.name, s.client.cfg.Timeout).
			WithHint("try again; a large repository needs more time than that")
	}
	return res, err
}
