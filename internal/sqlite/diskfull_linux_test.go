package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
)

// smallDisk mounts a disk of four megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m,mode=0700"); err != nil {
		t.Fatalf("mount a small tmpfs: %v; this test needs root, run it as root or in a user namespace (unshare -rm)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill takes what is left of the disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantDiskFull(t *testing.T, err error) {
	t.Helper()
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeUnavailable || e.Message != "the disk is full" || e.Hint == "" {
		t.Errorf("error = %v", err)
	}
}

// A full disk refuses writes, loses nothing, keeps reads going, and is forgotten
// as soon as there is space: without a restart.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	cfg := sqlite.Config{Path: filepath.Join(dir, "leger.db")}
	s := mustOpen(t, cfg)
	user := account(t, s)
	ballast := filepath.Join(dir, "ballast")
	versions := make(map[string]leger.Version)
	for round := range 3 {
		fill(t, ballast)
		wantDiskFull(t, growUntilRefused(t, s, user, versions))
		wantDiskFull(t, put(t, s, user, "small", leger.Version(round), strings.Repeat("x", 8<<10)))
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("reading from a full disk: %v", err)
		}
		checkVersions(t, s, user, versions)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, user, "small", leger.Version(round), "there is space again")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	checkVersions(t, s, user, versions)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// growUntilRefused puts versions of eight secrets at once until each writer was
// refused, notes what was acknowledged, and gives the refusals.
func growUntilRefused(t *testing.T, s *sqlite.Store, user leger.UserID, versions map[string]leger.Version) error {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var refusals []error
	for i := range 8 {
		wg.Go(func() {
			n := fmt.Sprintf("big%d", i)
			mu.Lock()
			v := versions[n]
			mu.Unlock()
			for ; ; v++ {
				if err := put(t, s, user, n, v, strings.Repeat("x", 16<<10)); err != nil {
					mu.Lock()
					defer mu.Unlock()
					versions[n], refusals = v, append(refusals, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range refusals {
		wantDiskFull(t, err)
	}
	return refusals[0]
}

func checkVersions(t *testing.T, s *sqlite.Store, user leger.UserID, want map[string]leger.Version) {
	t.Helper()
	list, err := s.SealedSecrets(t.Context(), user, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]leger.Version)
	for _, secret := range list {
		got[secret.Name.String()] = secret.Version
	}
	for n, v := range want {
		if got[n] != v {
			t.Errorf("%s: version %d was acknowledged, %d is there", n, v, got[n])
		}
	}
}

// A copy that does not fit is no copy.
func TestBackupToFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite.Config{Path: filepath.Join(t.TempDir(), "leger.db")})
	account(t, s)
	dir := smallDisk(t)
	fill(t, filepath.Join(dir, "ballast"))
	wantDiskFull(t, s.Backup(t.Context(), filepath.Join(dir, "copy.db")))
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
