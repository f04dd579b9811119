package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// resolve finds the branch or tag on the remote. A branch wins over a tag of the
// same name, as in git clone --branch.
func (s *session) resolve(ctx context.Context) (ref, commit string, err error) {
	wanted := []string{"HEAD"}
	if name := s.src.Ref.String(); name != "" {
		wanted = []string{"refs/heads/" + name, "refs/tags/" + name}
	}
	patterns := slices.Clone(wanted)
	if len(wanted) == 2 {
		patterns = append(patterns, wanted[1]+"^{}")
	}
	refs, err := s.lsRemote(ctx, patterns...)
	if err != nil {
		return "", "", err
	}
	for _, name := range wanted {
		if hash, ok := refs[name]; ok {
			if peeled, ok := refs[name+"^{}"]; ok {
				hash = peeled
			}
			return name, hash, nil
		}
	}
	return "", "", s.noSuchRef(ctx)
}

// lsRemote lists refs of the remote by full name; none is no error.
func (s *session) lsRemote(ctx context.Context, patterns ...string) (map[string]string, error) {
	args := append([]string{"ls-remote", "--exit-code", "--", s.remote}, patterns...)
	res, err := s.git(ctx, args...)
	if err != nil {
		return nil, err
	}
	const noMatch = 2 // git-ls-remote(1), --exit-code
	if res.Code != 0 && res.Code != noMatch {
		return nil, s.explain("ls-remote", res)
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(res.Stdout)) {
		if hash, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok && commitPattern.MatchString(hash) {
			refs[name] = hash
		}
	}
	return refs, nil
}

// noSuchRef says that the branch is not there, and which are.
func (s *session) noSuchRef(ctx context.Context) error {
	e := leger.Errorf(leger.CodeNotFound, "%s has no branch or tag %q", s.name, s.src.Ref)
	e.Field = "git_branch"
	refs, err := s.lsRemote(ctx, "refs/heads/*")
	if err != nil || len(refs) == 0 {
		return e.WithHint("the repository has no branch at all: push one, or check the URL")
	}
	var names []string
	for name := range refs {
		names = append(names, strings.TrimPrefix(name, "refs/heads/"))
	}
	slices.Sort(names)
	const most = 8
	more := ""
	if len(names) > most {
		names, more = names[:most], ", …"
	}
	return e.WithHint("its branches are: %s%s", showName(strings.Join(names, ", ")), more)
}

// fetchRef fetches the tip of a ref and gives its commit, which may be newer than
// the one that resolve saw.
func (s *session) fetchRef(ctx context.Context, ref string) (commit string, err error) {
	res, err := s.fetch(ctx, ref, "--depth=1")
	if err != nil {
		return "", err
	}
	if res.Code != 0 {
		return "", s.explain("fetch", res)
	}
	if strings.HasPrefix(ref, "refs/tags/") {
		if res, err = s.git(ctx, "rev-parse", "--verify", "--quiet", "FETCH_HEAD^{tag}"); err != nil {
			return "", err
		}
		s.tag = strings.TrimSpace(string(res.Stdout)) // a tag without a message is no object
	}
	res, err = s.git(ctx, "rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}")
	if err != nil {
		return "", err
	}
	commit = strings.TrimSpace(string(res.Stdout))
	if res.Code != 0 || !commitPattern.MatchString(commit) {
		e := leger.Errorf(leger.CodeInvalid, "%s of %s does not point at a commit", ref, s.name)
		e.Field = "git_branch"
		return "", e
	}
	return commit, nil
}

// fetchCommit fetches one commit. Servers that do not hand out commits by hash
// give the whole branch, in which the commit is looked for.
func (s *session) fetchCommit(ctx context.Context) error {
	res, err := s.fetch(ctx, s.src.Commit, "--depth=1")
	if err != nil {
		return err
	}
	if res.Code == 0 && s.hasCommit(ctx) {
		return nil
	}
	ref, _, err := s.resolve(ctx)
	if err != nil {
		return err
	}
	if res, err = s.fetch(ctx, ref); err != nil {
		return err
	}
	if res.Code != 0 {
		return s.explain("fetch", res)
	}
	if s.hasCommit(ctx) {
		return nil
	}
	e := leger.Errorf(leger.CodeNotFound, "%s has no commit %s on %s", s.name, s.src.Commit, ref)
	e.Field = "commit"
	return e.WithHint("check the hash, and that it was pushed to this branch")
}

func (s *session) hasCommit(ctx context.Context) bool {
	res, err := s.git(ctx, "cat-file", "-t", s.src.Commit)
	return err == nil && res.Code == 0 && bytes.Equal(res.Stdout, []byte("commit\n"))
}

var errTooLarge = errors.New("the clone has grown over its limit")

// fetch runs git fetch and ends it when the repository grows too large.
func (s *session) fetch(ctx context.Context, what string, options ...string) (run.Result, error) {
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		const often = 50 * time.Millisecond // 100 MB/s grow by 5 MB meanwhile
		tick := time.NewTicker(often)
		defer tick.Stop()
		for {
			select {
			case <-watched.Done():
				return
			case <-tick.C:
				if s.size() > s.client.cfg.MaxClone {
					cancel(errTooLarge)
					return
				}
			}
		}
	}()
	args := append([]string{"fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", "--refmap="}, options...)
	res, err := s.git(watched, append(args, "--", s.remote, what)...)
	cancel(nil)
	<-stopped
	if errors.Is(err, errTooLarge) || (err == nil && s.size() > s.client.cfg.MaxClone) {
		return res, leger.Wrap(leger.CodeTooLarge, errTooLarge, "%s is larger than %d MiB", s.name, s.client.cfg.MaxClone>>20).
			WithHint("keep the quadlets in a repository of their own")
	}
	return res, err
}

// size is what the temporary repository takes on disk, in bytes.
func (s *session) size() int64 {
	var total int64
	_ = filepath.WalkDir(s.repo, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil { // git removes its temporary files under our eyes
				total += info.Size()
			}
		}
		return nil
	})
	return total
}
