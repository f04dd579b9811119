//go:build linux

package deploy_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/safefile"
)

// forgetful is a disk that has through a power cut what was flushed, and nothing else:
// what a file held when it was flushed last, and the names that a directory had. What
// comes and goes between is lost, as any file system may do. A kill -9 shows none of
// it, because what was written survives the process.
type forgetful struct {
	t    testing.TB
	root string
	kept flushed
	cuts []powerCut
	held []*os.File // so that no inode number is given to another file
}

// flushed is what is on the disk, by inode.
type flushed map[uint64]inode

type inode struct {
	data  []byte
	names map[string]name // of a directory
}

type name struct {
	inode uint64
	mode  fs.FileMode
}

// powerCut is the disk as it is when the power fails after a flush.
type powerCut struct {
	after string
	kept  flushed
}

// newForgetful keeps all that is below root, which was written long ago.
func newForgetful(t testing.TB, root string) *forgetful {
	t.Helper()
	d := &forgetful{t: t, root: root, kept: flushed{}}
	d.settle()
	return d
}

func (d *forgetful) settle() {
	d.t.Helper()
	err := filepath.WalkDir(d.root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return safefile.Disk{Fsync: d.fsync}.Sync(path)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.cuts = nil
	d.cut("nothing")
}

func (d *forgetful) cut(after string) {
	d.cuts = append(d.cuts, powerCut{after, maps.Clone(d.kept)})
}

func (d *forgetful) fsync(f *os.File) error {
	open := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var now inode
	if info.IsDir() {
		entries, err := os.ReadDir(open)
		if err != nil {
			return err
		}
		now.names = map[string]name{}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			now.names[entry.Name()] = name{fileID(info), info.Mode()}
		}
	} else if now.data, err = os.ReadFile(open); err != nil {
		return err
	}
	id := fileID(info)
	if _, known := d.kept[id]; !known {
		same, err := os.Open(open)
		if err != nil {
			return err
		}
		d.held = append(d.held, same)
		d.t.Cleanup(func() { _ = same.Close() })
	}
	d.kept[id] = now
	d.cut(strings.TrimPrefix(f.Name(), d.root))
	return nil
}

// restart gives the files that are there after a power cut, in a directory of their own.
func (d *forgetful) restart(t testing.TB, cut powerCut) (root string) {
	t.Helper()
	info, err := os.Stat(d.root)
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	cut.kept.write(t, fileID(info), root)
	return root
}

func (f flushed) write(t testing.TB, dir uint64, to string) {
	t.Helper()
	for called, n := range f[dir].names {
		path, err := filepath.Join(to, called), error(nil)
		if n.mode.IsDir() {
			err = os.Mkdir(path, n.mode.Perm())
			f.write(t, n.inode, path)
		} else {
			err = os.WriteFile(path, f[n.inode].data, n.mode.Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// plugged is a machine whose records, quadlets and data lie below root, as after a boot.
func plugged(t testing.TB, root string, disk safefile.Disk) (*machine, *deploy.Engine) {
	t.Helper()
	m := newMachine()
	m.dataDir = filepath.Join(root, "data")
	quadlets := filepath.Join(root, "home", "quadlets")
	m.reloaded = func() { // systemd looks at what is there
		clear(m.files)
		clear(m.execs)
		err := filepath.WalkDir(quadlets, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			data, err := os.ReadFile(path)
			m.files[path], m.execs[path] = string(data), info.Mode()&0o100 != 0
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	e := deploy.New(deploy.Config{
		StateDir: filepath.Join(root, "state", "deployments"), DataDir: m.dataDir, Disk: disk,
		Installers: []deploy.Installer{deploy.NewDirectory(quadlets, disk)},
		Units:      m, Secrets: m, Volumes: m, Podman: m, Clock: m,
	})
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m, e
}

// runningOn is running without the directory that everything lies in.
func (m *machine) runningOn(root string) string { return strings.ReplaceAll(m.running(), root, "") }

// filesIn leaves the files of what running says.
func filesIn(running string) string {
	var files []string
	for line := range strings.Lines(running) {
		if !strings.Contains(line, ".service runs ") {
			files = append(files, strings.TrimSuffix(line, "\n"))
		}
	}
	return strings.Join(files, "\n")
}

// The power fails after each flush of a deployment, and the disk has what was flushed.
// What the records then say is there is there, whole: the old generation or the new
// one, or a deployment that was cut off, from which both can be reached.
func TestAPowerCutLeavesOneGenerationWhole(t *testing.T) {
	t.Parallel()
	const conf = "[Container]\nImage=x:1\nVolume=./data:/data\nVolume=./conf:/conf:ro\n[Install]\nWantedBy=default.target\n"
	ask := func(commit string, pairs ...string) deploy.Request {
		files := map[string][]byte{}
		for pair := range slices.Chunk(pairs, 2) {
			files[pair[0]] = []byte(pair[1])
		}
		req := request(t, "App", commit)
		executable := map[string]bool{"conf/run.sh": true}
		req.Set = quadlet.LoadFilesWith(files, quadlet.Options{Data: dataOfApp, Executable: executable})
		return req
	}
	one := ask("c1", "web.container", conf, "db.container", web,
		"conf/a/b", "1", "conf/run.sh", "1", "data/x/y/seed", "1", "data/x/old", "1")
	two := ask("c2", "web.container", conf+"# 2\n", "new.container", web,
		"conf/a/b", "2", "conf/c/d", "2", "data/x/y/seed", "2", "data/z/new", "2")
	installs := func(req deploy.Request) deed {
		return func(t *testing.T, _ *machine, e *deploy.Engine) { mustInstall(t, e, req) }
	}
	removes := func(t *testing.T, _ *machine, e *deploy.Engine) {
		_, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{}, nil)
		if err != nil && !errors.Is(err, leger.ErrNotFound) {
			t.Error(err)
		}
	}
	for what, tc := range map[string]struct{ before, do, again deed }{
		"the first installation": {removes, installs(two), installs(two)},
		"an update":              {installs(one), installs(two), installs(two)},
		"an update that fails": {installs(one), func(t *testing.T, m *machine, e *deploy.Engine) {
			m.broken["new.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code"}
			if _, err := install(t.Context(), e, two); !errors.Is(err, leger.ErrUnhealthy) {
				t.Fatal(err)
			}
		}, installs(one)},
		"a rollback": {func(t *testing.T, m *machine, e *deploy.Engine) {
			installs(two)(t, m, e)
			installs(one)(t, m, e)
		}, func(t *testing.T, _ *machine, e *deploy.Engine) {
			if _, err := rollback(t.Context(), t, e, 1); err != nil {
				t.Fatal(err)
			}
		}, installs(two)},
		"a removal": {installs(two), removes, removes},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			disk := newForgetful(t, root)
			m, e := plugged(t, root, safefile.Disk{Fsync: disk.fsync})
			tc.before(t, m, e)
			disk.settle()
			was := m.runningOn(root)
			tc.do(t, m, e)
			is := m.runningOn(root)
			for i, cut := range disk.cuts {
				t.Run(fmt.Sprintf("%d after %s", i, strings.ReplaceAll(cut.after, "/", "|")), func(t *testing.T) {
					afterCut(t, disk, cut, was, is, tc.again, i == len(disk.cuts)-1)
				})
				if t.Failed() {
					break // the others say the same
				}
			}
		})
	}
}

type deed func(t *testing.T, m *machine, e *deploy.Engine)

// afterCut boots from what a power cut left, and goes both ways from there.
func afterCut(t *testing.T, disk *forgetful, cut powerCut, was, is string, again deed, last bool) {
	t.Helper()
	quick := safefile.Disk{Fsync: func(*os.File) error { return nil }}
	root := disk.restart(t, cut)
	m, e := plugged(t, root, quick)
	d, err := e.Status(t.Context(), releaseName(t, "App"))
	if err != nil && !errors.Is(err, leger.ErrNotFound) {
		t.Fatal(err)
	}
	switch files := filesIn(m.runningOn(root)); {
	case d.Interrupted && last:
		t.Error("it has ended, and is said to be interrupted")
	case is == "" && !last: // a removal goes on from anywhere
	case len(d.Drift) > 0 && !d.Interrupted:
		t.Errorf("drift: %+v", d.Drift)
	case d.Interrupted, files == filesIn(is), files == filesIn(was) && !last:
	default:
		t.Errorf("-before +now:\n%s\n-after +now:\n%s", cmp.Diff(filesIn(was), files), cmp.Diff(filesIn(is), files))
	}
	if d.Interrupted && d.Installed { // else there is nothing to go back to
		there := disk.restart(t, cut)
		m, e := plugged(t, there, quick)
		if _, err = rollback(t.Context(), t, e, 0); err != nil {
			t.Error(err)
		} else if now := m.runningOn(there); now != was && now != is {
			t.Errorf("after going back: -before +now:\n%s", cmp.Diff(was, now))
		}
	}
	again(t, m, e)
	if diff := cmp.Diff(is, m.runningOn(root)); diff != "" {
		t.Errorf("after the same again: -want +got:\n%s", diff)
	}
}

// fileID is a file's inode.
func fileID(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }
