package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A disk that is too small for the restored database keeps what is on it; and one that
// is too small for a backup holds no part of one.
func TestDiskFullKeepsTheOldState(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Fatalf("mount a small tmpfs: %v; this test needs root, run it as root or in a user namespace (unshare -rm)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	s, c := serving(t, 2)
	set(t, c, "small", "x")
	file := filepath.Join(t.TempDir(), "leger.backup")
	succeeds(t, "backup", file, "--data", s.data)
	s.kill()

	data := filepath.Join(disk, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"encryption.key", "jwt.secret"} {
		copyFile(t, filepath.Join(s.data, f), filepath.Join(data, f))
	}
	succeeds(t, "restore", file, "--data", data)
	running := start(t, data, nil)
	set(t, running.client(), "mine", "kept")
	running.kill()
	fillUp(t, filepath.Join(disk, "fill"))
	before := tree(t, data)
	out, err := command(t, nil, "restore", file, "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no space left") && !strings.Contains(string(out), "disk is full") {
		t.Errorf("restore: %v\n%s", err, out)
	}
	sameTree(t, "restore", tree(t, data), before)

	target := filepath.Join(disk, "leger.backup")
	out, err = command(t, nil, "backup", target, "--data", s.data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "hint: ") {
		t.Errorf("backup: %v\n%s", err, out)
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("part of a backup is there")
	}
	if err := os.Remove(filepath.Join(disk, "fill")); err != nil {
		t.Fatal(err)
	}
	if got, err := start(t, data, nil).client().Secret(t.Context(), name(t, "mine")); err != nil || *got.Value != "kept" {
		t.Errorf("after the refused restore: %v", err)
	}
}

func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 14, 1 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
