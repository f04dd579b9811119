package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestRootLeavesTheServerItsFiles: a backup made with sudo left a record that the server,
// another user, could not read; then it answered /api/user with an error. A rekey with sudo
// left keys that it could not read.
func TestRootLeavesTheServerItsFiles(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("this test needs root, to leave files of root's: run it as root")
	}
	const nobody = 65534
	data := dataWithSecret(t)
	give := func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Chown(path, nobody, nobody)
		}
		return err
	}
	if err := filepath.WalkDir(data, give); err != nil {
		t.Fatal(err)
	}
	succeeds(t, "backup", filepath.Join(t.TempDir(), "leger.backup"), "--data", data)
	succeeds(t, "rekey", "--data", data)
	entries, err := os.ReadDir(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != nobody {
			t.Errorf("%s belongs to root", e.Name())
		}
	}
}
