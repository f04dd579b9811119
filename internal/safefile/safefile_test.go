package safefile_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"leger.run/leger/internal/safefile"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWriteReplacesAndLeavesNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "made", "too", "auth.json")
	for i, mode := range []fs.FileMode{0o600, 0o644, 0o755} {
		if err := safefile.Write(path, fmt.Append(nil, "version ", i), mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != fmt.Sprint("version ", i) || info.Mode() != mode {
			t.Errorf("the file holds %q with mode %v; want version %d with mode %v", got, info.Mode(), i, mode)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "made")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory made on the way: %v, %v; want mode 0700", info, err)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"auth.json"}) {
		t.Errorf("the directory holds %q; want the file alone", got)
	}
}

// A reader sees one whole content, and of several writers the last one wins.
func TestWritersAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				if err := safefile.Write(path, slices.Repeat([]byte{byte('a' + i)}, 1<<15), 0o600); err != nil {
					t.Error(err)
				}
				b, err := os.ReadFile(path)
				if err != nil || len(b) != 1<<15 || len(slices.Compact(b)) != 1 {
					t.Errorf("read %d bytes of several writers (%v)", len(b), err)
				}
			}
		})
	}
	wg.Wait()
	if got := names(t, dir); !slices.Equal(got, []string{"state.json"}) {
		t.Errorf("the directory holds %q; want the file alone", got)
	}
}

// Two first starts at once must not each keep a key: the second finds the first's.
func TestCreateNeverReplaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	var wg sync.WaitGroup
	var made atomic.Int32
	var winner atomic.Value
	for i := range 8 {
		wg.Go(func() {
			mine := fmt.Sprint("key ", i)
			switch err := safefile.Create(path, []byte(mine), 0o600); {
			case err == nil:
				made.Add(1)
				winner.Store(mine)
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Fatalf("%d of 8 made the file; want exactly 1", made.Load())
	}
	if got := content(t, path); got != winner.Load() {
		t.Errorf("the file holds %q; want %q", got, winner.Load())
	}
	if got := names(t, dir); !slices.Equal(got, []string{"key"}) {
		t.Errorf("the directory holds %q; want the file alone", got)
	}
}

// A writer that was killed left auth.json's token in a temporary file for good.
func TestLeftOversOfKilledWritersGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "auth.json")
	for _, name := range []string{".auth.json.tmp-1", ".auth.json.tmp-2", ".other.tmp-1", "auth.json.tmp-1"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("left over"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The second belongs to a writer that is still at work.
	busy, err := os.Open(filepath.Join(dir, ".auth.json.tmp-2"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := syscall.Flock(int(busy.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := safefile.Write(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{".auth.json.tmp-2", ".other.tmp-1", "auth.json", "auth.json.tmp-1"}
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("the directory holds %q; want %q", got, want)
	}
}

// A full disk must leave the old content, no temporary file, and an error that
// names the file and matches ENOSPC. A limit on the size of files stands in for
// the disk: it fails the same call of write(2).
func TestFailedWriteKeepsTheOldContent(t *testing.T) {
	if path := os.Getenv("SAFEFILE_TEST_PATH"); path != "" {
		writeWithLimit(t, path)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.toml")
	if err := safefile.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFailedWriteKeepsTheOldContent$")
	child.Env = append(os.Environ(), "SAFEFILE_TEST_PATH="+path)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := content(t, path); got != "old" {
		t.Errorf("the file holds %q; want the old content", got)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"config.toml"}) {
		t.Errorf("the directory holds %q; want the file alone", got)
	}
}

func writeWithLimit(t *testing.T, path string) {
	t.Helper()
	limit := syscall.Rlimit{Cur: 100, Max: 100}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	err := safefile.Write(path, make([]byte, 200), 0o600)
	var about *fs.PathError
	if !errors.Is(err, syscall.EFBIG) || !errors.As(err, &about) || about.Path != path {
		t.Errorf("the error is %v; want EFBIG about %s", err, path)
	}
}

func TestErrorsNameThePathOfTheCaller(t *testing.T) {
	t.Parallel()
	gone := filepath.Join(t.TempDir(), "gone")
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "in the way"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		gone:                              safefile.Sync(gone),
		filepath.Dir(full):                safefile.Write(full, nil, 0o600),
		full:                              safefile.Rename(t.TempDir(), full),
		filepath.Join(full, "in the way"): safefile.MakeDir(filepath.Join(full, "in the way", "below"), 0o700),
	} {
		var about *fs.PathError
		if !errors.As(err, &about) || about.Path != name && filepath.Dir(about.Path) != name {
			t.Errorf("the error is %v; want one about %s", err, name)
		}
	}
}

func TestMakeDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := safefile.MakeDir(deep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, made := range []string{filepath.Join(dir, "a"), deep} {
		if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v; want a directory with mode 0700", made, info, err)
		}
	}
}

func TestRenameAndSyncTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "new", "tree"), filepath.Join(dir, "tree")
	if err := safefile.MakeDir(filepath.Join(from, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "below", "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(safefile.SyncTree(from), safefile.Rename(from, to)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, filepath.Join(to, "below", "file")); got != "x" {
		t.Errorf("the file holds %q; want %q", got, "x")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	if err := safefile.Check(path, safefile.Hides); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	for mode, want := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o604: false, 0o606: false} {
		if err := safefile.Write(path, []byte("k"), mode); err != nil {
			t.Fatal(err)
		}
		if err := safefile.Check(path, safefile.Hides); (err == nil) != want {
			t.Errorf("%v: %v", mode, err)
		}
	}
}
