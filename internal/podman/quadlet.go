package podman

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/terminal"
)

// QuadletVersion is the oldest Podman with "podman quadlet install".
func QuadletVersion() Version { return Version{5, 6, 0} }

// QuadletConfig says where quadlets are installed and with what.
type QuadletConfig struct {
	Runner *run.Runner
	Env    []string // of podman and its generator (run.MinimalEnv)
	// Dir is the user's quadlet directory, $XDG_CONFIG_HOME/containers/systemd, as
	// Podman finds it from Env.
	Dir string
	// TempDir is where sets are laid out for Podman to read. Empty: the system's.
	TempDir string
	// Generators are the places of Podman's systemd generator. nil: those of the
	// distributions.
	Generators []string
}

// Quadlets installs quadlets through Podman and checks them with its generator.
type Quadlets struct{ cfg QuadletConfig }

// NewQuadlets makes a Quadlets.
func NewQuadlets(cfg QuadletConfig) *Quadlets {
	if cfg.Generators == nil {
		cfg.Generators = []string{"/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet"}
	}
	return &Quadlets{cfg}
}

// Name is how a deployment remembers that Podman installed it.
func (q *Quadlets) Name() string { return "podman" }

// Usable fails with ErrMissingPart when Podman is not installed or has no
// "podman quadlet install".
func (q *Quadlets) Usable(ctx context.Context) error {
	v, err := (&program{runner: q.cfg.Runner, env: q.cfg.Env}).version(ctx)
	if err != nil {
		return err
	}
	if v.Before(QuadletVersion()) {
		return leger.Errorf(leger.CodeMissingPart, "Podman %s cannot install quadlets: that came with %s", v, QuadletVersion()).
			WithHint("install Podman %s or newer, or let Leger place the files itself", QuadletVersion())
	}
	return nil
}

// Takes reports whether Podman can install such files: it takes a directory
// without subdirectories, which leaves drop-ins out.
func (q *Quadlets) Takes(files []string) bool {
	return !slices.ContainsFunc(files, func(name string) bool { return strings.Contains(name, "/") })
}

// Path is where a file of an application is installed.
func (q *Quadlets) Path(_, file string) string { return filepath.Join(q.cfg.Dir, file) }

// appFile is Podman's own list of an application's files.
func (q *Quadlets) appFile(app string) string { return filepath.Join(q.cfg.Dir, "."+app+".app") }

// Read gives those of the named files that are in the quadlet directory, whoever
// put them there.
func (q *Quadlets) Read(_ context.Context, app string, files []string) (map[string]leger.File, error) {
	found := map[string]leger.File{}
	for _, name := range files {
		file, err := readRegular(q.Path(app, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, leger.Wrap(leger.CodeConflict, err, "read the installed %s", name)
		default:
			found[name] = file
		}
	}
	return found, nil
}

var errNotRegular = errors.New("it is not a regular file")

func readRegular(path string) (leger.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return leger.File{}, err
	}
	if !info.Mode().IsRegular() {
		return leger.File{}, errNotRegular
	}
	data, err := os.ReadFile(path) //nolint:gosec // G304: the quadlet directory is the user's own
	return leger.File{Data: data, Executable: info.Mode()&0o100 != 0}, err
}

// Install hands the files to Podman as the application app. None of them may be
// there yet: Podman refuses to overwrite, and its --replace would keep what the
// new set dropped. It checks what arrived, because Podman installs a part and
// ends with an error, and installs files that it will not understand without
// one; and it drops the mode of each file (all seen on 5.8.6). systemd is not
// reloaded.
func (q *Quadlets) Install(ctx context.Context, app string, files map[string]leger.File) error {
	if len(files) == 0 {
		return nil
	}
	if _, err := os.Lstat(q.appFile(app)); err == nil {
		return leger.Errorf(leger.CodeConflict, "Podman has an application %s already", app).
			WithHint("if it is not needed any more: podman quadlet rm --force .%s.app", app)
	}
	contents := make(map[string][]byte, len(files))
	for name, f := range files {
		contents[name] = f.Data
	}
	dir, remove, err := q.layOut(app, contents)
	if err != nil {
		return err
	}
	defer remove()
	res, err := q.podman(ctx, "quadlet", "install", "--reload-systemd=false", dir)
	if err != nil {
		return err
	}
	arrived, err := q.Read(ctx, app, slices.Collect(maps.Keys(files)))
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if got, ok := arrived[name]; !ok || !bytes.Equal(got.Data, files[name].Data) {
			return leger.Wrap(leger.CodeConflict, errors.New(lastLine(res.Stderr)), "podman quadlet install left %s out, or another file in its place", name).
				WithHint("look for %s in %s", name, q.cfg.Dir)
		}
	}
	if res.Code != 0 {
		return failed(res, "install the quadlets")
	}
	return q.settle(app, files)
}

// settle gives the installed files their modes and waits until they are on the
// disk, with their names.
func (q *Quadlets) settle(app string, files map[string]leger.File) error {
	for name, file := range files {
		path, mode := q.Path(app, name), fs.FileMode(0o644)
		if file.Executable {
			mode = 0o755
		}
		if err := errors.Join(os.Chmod(path, mode), safefile.Sync(path)); err != nil {
			return leger.Wrap(leger.CodeUnavailable, err, "install the quadlets")
		}
	}
	// Podman may have made the directory, and those that it is in, at this moment:
	// ~/.config/containers/systemd.
	for dir, n := q.cfg.Dir, 0; n < 3; dir, n = filepath.Dir(dir), n+1 {
		if err := safefile.Sync(dir); err != nil {
			return leger.Wrap(leger.CodeUnavailable, err, "install the quadlets")
		}
	}
	return nil
}

// Remove takes an application's files away, whatever of them is there, and
// Podman's list of them. It neither stops units nor reloads systemd, which is why
// it does not ask Podman: "podman quadlet rm --force" stops every unit of the
// application, those that come back unchanged a moment later included (seen on
// 5.8.6), and forgets the application at the first file that it cannot remove.
func (q *Quadlets) Remove(_ context.Context, app string, files []string) error {
	left := []string{q.appFile(app)}
	for _, name := range files {
		left = append(left, q.Path(app, name))
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return leger.WrapFile(leger.CodeUnavailable, err, "remove an installed quadlet")
		}
	}
	if err := safefile.Sync(q.cfg.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return leger.Wrap(leger.CodeUnavailable, err, "remove an installed quadlet")
	}
	return nil
}

func (q *Quadlets) podman(ctx context.Context, args ...string) (run.Result, error) {
	return q.cfg.Runner.Run(ctx, run.Command{Path: "podman", Args: args, Env: q.cfg.Env})
}

// layOut writes files into a fresh directory called app, which Podman takes for
// the application's name.
func (q *Quadlets) layOut(app string, files map[string][]byte) (dir string, remove func(), err error) {
	top, err := os.MkdirTemp(q.cfg.TempDir, "leger-quadlets-")
	if err != nil {
		return "", nil, leger.WrapFile(leger.CodeUnavailable, err, "make a directory for the quadlets")
	}
	remove = func() { _ = os.RemoveAll(top) }
	dir = filepath.Join(top, app)
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if !leger.ValidFilePath(name) {
			remove()
			return "", nil, leger.Invalid("file", "%.80q is not a file below the release's directory", name)
		}
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			remove()
			return "", nil, leger.WrapFile(leger.CodeUnavailable, err, "lay out the quadlets")
		}
	}
	return dir, remove, nil
}

// RemoveVolume removes a volume and what is in it. One that does not exist is
// removed already; one in use is ErrConflict.
func (q *Quadlets) RemoveVolume(ctx context.Context, name string) error {
	res, err := q.podman(ctx, "volume", "rm", "--", name)
	if err != nil {
		return err
	}
	switch res.Code { // podman-volume-rm(1), "Exit status"
	case 0, 1:
		return nil
	case 2:
		return leger.Errorf(leger.CodeConflict, "the volume %s is in use", name).WithHint("stop what uses it: podman ps -a --filter volume=%s", name)
	default:
		return failed(res, "remove the volume "+name)
	}
}

// maxLine bounds what of a program's words goes into an error, in bytes.
const maxLine = 300

// lastLine is Podman's last line of complaint, for the cause of an error.
func lastLine(stderr []byte) string {
	lines := strings.Split(strings.TrimSpace(string(stderr)), "\n")
	return terminal.Line(strings.TrimPrefix(lines[len(lines)-1], "Error: "), maxLine)
}
