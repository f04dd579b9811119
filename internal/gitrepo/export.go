package gitrepo

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"leger.run/leger"
)

// git's modes of a symbolic link, whose content is the target, and of a file that
// may be executed.
const (
	modeLink       = "120000"
	modeExecutable = "100755"
)

// entry is one line of git ls-tree.
type entry struct {
	mode, object, path string
	size               int64
}

// export reads the files below the release's directory from git's objects.
func (s *session) export(ctx context.Context, commit string) (map[string]leger.File, error) {
	tree := commit
	if p := s.src.Path.String(); p != "" {
		tree = commit + ":" + p
		if err := s.checkPath(ctx, commit, tree); err != nil {
			return nil, err
		}
	}
	entries, err := s.list(ctx, tree)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, entries)
}

// checkPath says what is wrong when the release's directory is none.
func (s *session) checkPath(ctx context.Context, commit, tree string) error {
	res, err := s.git(ctx, "cat-file", "-t", tree)
	if err != nil {
		return err
	}
	kind := strings.TrimSpace(string(res.Stdout))
	if res.Code == 0 && kind == "tree" {
		return nil
	}
	e := leger.Errorf(leger.CodeNotFound, "%s has no directory %q at commit %.12s", s.name, s.src.Path, commit)
	if res.Code == 0 {
		e = leger.Errorf(leger.CodeNotFound, "%q in %s is not a directory", s.src.Path, s.name)
	}
	e.Field = "git_path"
	res, err = s.git(ctx, "ls-tree", "-d", "-z", "--name-only", commit)
	if err != nil || res.Code != 0 || len(res.Stdout) == 0 {
		return e.WithHint("leave the path empty: the repository has no directories")
	}
	names := strings.ReplaceAll(strings.TrimSuffix(string(res.Stdout), "\x00"), "\x00", ", ")
	return e.WithHint("its top directories are: %s", showName(names))
}

// list gives the regular files of a tree, or the first thing that must not be
// there.
func (s *session) list(ctx context.Context, tree string) ([]entry, error) {
	limit := int64(s.client.cfg.MaxFiles+1) * (leger.MaxGitPath + 4096)
	res, err := s.gitLimited(ctx, nil, limit, "ls-tree", "-r", "-z", "-l", "--full-tree", tree)
	switch {
	case leger.CodeOf(err) == leger.CodeTooLarge:
		return nil, s.tooLarge("more than %d files", s.client.cfg.MaxFiles)
	case err != nil:
		return nil, err
	case res.Code != 0:
		return nil, s.explain("ls-tree", res)
	}
	var entries []entry
	var total int64
	for record := range strings.SplitSeq(strings.TrimSuffix(string(res.Stdout), "\x00"), "\x00") {
		if record == "" {
			continue
		}
		e, err := parseEntry(record)
		if err != nil {
			return nil, err
		}
		if err := s.checkEntry(e); err != nil {
			return nil, err
		}
		if total += e.size; total > s.client.cfg.MaxTotalSize {
			return nil, s.tooLarge("more than %d bytes of files", s.client.cfg.MaxTotalSize)
		}
		if entries = append(entries, e); len(entries) > s.client.cfg.MaxFiles {
			return nil, s.tooLarge("more than %d files", s.client.cfg.MaxFiles)
		}
	}
	return entries, nil
}

// parseEntry reads "MODE TYPE HASH SIZE\tPATH".
func parseEntry(record string) (entry, error) {
	meta, name, ok := strings.Cut(record, "\t")
	fields := strings.Fields(meta)
	if !ok || len(fields) != 4 {
		return entry{}, leger.Errorf(leger.CodeInternal, "git ls-tree gave a line of another form than documented")
	}
	e := entry{mode: fields[0], object: fields[2], path: name}
	if fields[3] != "-" { // a submodule has no size
		size, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return entry{}, leger.Wrap(leger.CodeInternal, err, "read a size from git ls-tree")
		}
		e.size = size
	}
	return e, nil
}

func (s *session) checkEntry(e entry) error {
	bad := func(hint, format string, args ...any) error {
		return leger.Errorf(leger.CodeInvalid, format, args...).WithHint("%s", hint)
	}
	if !safePath(e.path) {
		return bad("rename it in the repository", "the file name %s is not one that can be installed", showName(strconv.QuoteToASCII(e.path)))
	}
	switch e.mode {
	case "100644", modeExecutable, "100664":
	case modeLink:
		const most = 4096 // PATH_MAX
		if e.size > most {
			return badLink(e.path, "a path too long to show")
		}
	case "160000":
		return bad("put the files themselves there: submodules are never fetched", "%s is a submodule", e.path)
	default:
		return bad("put a regular file there", "%s has the unknown mode %s", e.path, e.mode)
	}
	if e.size > s.client.cfg.MaxFileSize {
		return s.tooLarge("%s, of %d bytes; %d are allowed", e.path, e.size, s.client.cfg.MaxFileSize)
	}
	return nil
}

// safePath holds whatever a tree object may claim as a name to what can lie
// below a directory: a crafted tree can hold ".", "..", ".git" or an absolute path.
func safePath(name string) bool {
	if !leger.ValidFilePath(name) || strings.Contains(name, `\`) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(part, ".git") {
			return false
		}
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return !leger.Printable(r) })
}

func badLink(name, target string) error {
	return leger.Errorf(leger.CodeInvalid, "%s is a symbolic link to %s", name, target).
		WithHint("put the file itself there: only links to files of the release are followed")
}

// follow puts a copy of the file in the place of each link to one below the
// release's directory: instances of a template are made that way. Any other link is
// refused. git's objects are all that is looked at, never the file system.
func (s *session) follow(files map[string]leger.File, links map[string]string) error {
	const most = 8 // links in a row
	copies, total := map[string]leger.File{}, int64(0)
	for _, name := range slices.Sorted(maps.Keys(links)) {
		at := name
		for range most {
			target, isLink := links[at]
			if !isLink {
				break
			}
			if at = path.Join(path.Dir(at), target); path.IsAbs(target) {
				at = ""
			}
		}
		file, ok := files[at]
		if !ok {
			return badLink(name, showName(strconv.QuoteToASCII(links[name])))
		}
		copies[name] = file
		if total += int64(len(file.Data)); total > s.client.cfg.MaxTotalSize {
			return s.tooLarge("more than %d bytes behind symbolic links", s.client.cfg.MaxTotalSize)
		}
	}
	maps.Copy(files, copies)
	return nil
}

func (s *session) tooLarge(format string, args ...any) error {
	where := s.src.Path.String()
	if where == "" {
		where = "its root"
	}
	return leger.Errorf(leger.CodeTooLarge, "%s has in %s %s", s.name, where, fmt.Sprintf(format, args...)).
		WithHint("point the release's path at the directory that holds the quadlets alone")
}

// read gives the contents of the entries, through one git cat-file.
func (s *session) read(ctx context.Context, entries []entry) (map[string]leger.File, error) {
	files, links := make(map[string]leger.File, len(entries)), map[string]string{}
	if len(entries) == 0 {
		return files, nil
	}
	var ask bytes.Buffer
	for _, e := range entries {
		ask.WriteString(e.object + "\n")
	}
	const perObject = 128 // the line before a content: hash, type and size
	limit := s.client.cfg.MaxTotalSize + int64(len(entries))*perObject
	res, err := s.gitLimited(ctx, ask.Bytes(), limit, "cat-file", "--batch")
	if err != nil {
		return nil, err
	}
	if res.Code != 0 {
		return nil, s.explain("cat-file", res)
	}
	rest := res.Stdout
	for _, e := range entries {
		header, body, ok := bytes.Cut(rest, []byte("\n"))
		want := fmt.Sprintf("%s blob %d", e.object, e.size)
		if !ok || string(header) != want || int64(len(body)) < e.size+1 {
			return nil, leger.Errorf(leger.CodeInternal, "git cat-file gave something else than %s", e.path)
		}
		rest = body[e.size+1:]
		if e.mode == modeLink {
			links[e.path] = string(body[:e.size])
			continue
		}
		files[e.path] = leger.File{Data: body[:e.size:e.size], Executable: e.mode == modeExecutable}
		if bytes.HasPrefix(files[e.path].Data, []byte("version https://git-lfs.github.com/spec/")) {
			return nil, leger.Errorf(leger.CodeInvalid, "%s is kept in Git LFS, and only a pointer to it is in the repository", e.path).
				WithHint("commit the file itself: files of LFS are never fetched")
		}
	}
	return files, s.follow(files, links)
}
