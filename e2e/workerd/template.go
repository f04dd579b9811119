package workerd

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// templates are the storages of migrated databases that nothing was written to, by the
// configuration of their databases. Wrangler takes a second for each migration, and a
// copy of a few files takes none.
//
//nolint:gochecknoglobals // one for all tests of a process
var templates = struct {
	sync.Mutex
	files map[string]map[string][]byte // content by path below the storage
}{files: map[string]map[string][]byte{}}

// migrate brings the databases up to date: by copying a template where the storage is
// new, else by wrangler.
func (w *Worker) migrate(ctx context.Context, settings Settings) error {
	if w.config.Persist != w.ownState() {
		return w.applyMigrations(ctx, settings)
	}
	key, err := json.Marshal(settings.list("d1_databases"))
	if err != nil {
		return err
	}
	templates.Lock() // also while the first is made: the others need it
	defer templates.Unlock()
	if files, ok := templates.files[string(key)]; ok {
		return writeTree(w.config.Persist, files)
	}
	if err := w.applyMigrations(ctx, settings); err != nil {
		return err
	}
	files, err := readTree(w.config.Persist)
	if err == nil {
		templates.files[string(key)] = files
	}
	return err
}

func (w *Worker) applyMigrations(ctx context.Context, settings Settings) error {
	for _, name := range settings.databases() {
		if _, err := w.Wrangler(ctx, "d1", "migrations", "apply", name); err != nil {
			return err
		}
	}
	return nil
}

func readTree(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) { // a Worker without storage
		return files, nil
	}
	return files, err
}

func writeTree(root string, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
