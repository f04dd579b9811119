package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// A restore fills the directory partial inside the data directory, then renames it to
// ready: that is the moment at which the new state is decided. Complete then moves the
// former files aside and the new ones in. A restore that was killed before has changed
// nothing; after it, the next Complete finishes it.
const (
	partialDir = "restore.partial"
	readyDir   = "restore.ready"
	planFile   = "restore.json"
)

// Staging is a restore that has not been decided. Whoever has one holds the data
// directory's lock.
type Staging struct{ data string }

// stagedPlan is restore.json.
type stagedPlan struct {
	// Aside is the directory for the former files, a name inside the data directory.
	Aside string `json:"aside"`
	// Remove are the files that only move aside, before the others.
	Remove []string `json:"remove"`
	// Replace are the files whose replacement is staged.
	Replace []string `json:"replace"`
}

// Stage begins a restore into the directory data, after removing what an interrupted
// one left.
func Stage(data string) (*Staging, error) {
	s := &Staging{data}
	if err := s.Abandon(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(data, partialDir), 0o700); err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "make a directory in %s", data)
	}
	return s, nil
}

// Path is where the file of this name is staged.
func (s *Staging) Path(name string) string { return filepath.Join(s.data, partialDir, name) }

// Abandon removes what is staged; nothing has changed then.
func (s *Staging) Abandon() error { return Abandon(s.data) }

// Abandon removes what a restore that was interrupted before its decision has left.
func Abandon(data string) error {
	if err := os.RemoveAll(filepath.Join(data, partialDir)); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "remove an unfinished restore")
	}
	return nil
}

// Commit decides the restore: the staged files called replace will take the place of the
// data directory's, and the files called remove will go. It gives the name of the
// directory, inside the data directory, to which the former files will move. When it
// fails nothing has changed.
func (s *Staging) Commit(now time.Time, replace, remove []string) (aside string, err error) {
	aside, err = s.asideName(now)
	if err != nil {
		return "", err
	}
	plan, err := json.Marshal(stagedPlan{Aside: aside, Remove: remove, Replace: replace})
	if err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "write %s", planFile)
	}
	if err := safefile.Write(s.Path(planFile), plan, 0o600); err != nil {
		return "", leger.WrapFile(leger.CodeUnavailable, err, "stage the restore")
	}
	if err := safefile.SyncTree(filepath.Join(s.data, partialDir)); err != nil {
		return "", leger.WrapFile(leger.CodeUnavailable, err, "stage the restore")
	}
	err = safefile.Rename(filepath.Join(s.data, partialDir), filepath.Join(s.data, readyDir))
	if err != nil {
		return "", leger.WrapFile(leger.CodeUnavailable, err, "stage the restore")
	}
	return aside, nil
}

// asideName finds a name that is free: two restores may happen within one second.
func (s *Staging) asideName(now time.Time) (string, error) {
	base := "before-restore-" + now.UTC().Format("20060102T150405Z")
	for n := 1; ; n++ {
		name := base
		if n > 1 {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		switch _, err := os.Lstat(filepath.Join(s.data, name)); {
		case errors.Is(err, fs.ErrNotExist):
			return name, nil
		case err != nil:
			return "", leger.WrapFile(leger.CodeUnavailable, err, "look for %s", name)
		}
	}
}

// Ready reports whether a restore of the directory data was decided and not completed.
func Ready(data string) bool {
	_, err := os.Lstat(filepath.Join(data, readyDir))
	return err == nil
}

// Complete finishes a restore that was decided, and gives the directory to which the
// former files moved, "" if there was no restore to finish. It can be interrupted
// and called again. The caller holds the data directory's lock, and nobody has opened
// the database since the decision.
func Complete(data string) (aside string, err error) {
	ready := filepath.Join(data, readyDir)
	text, err := os.ReadFile(filepath.Join(ready, planFile)) //nolint:gosec // G304: a name of our own
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// There is no restore; or all is done but for an empty directory.
		if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", leger.WrapFile(leger.CodeUnavailable, err, "remove %s", ready)
		}
		return "", nil
	case err != nil:
		return "", leger.WrapFile(leger.CodeUnavailable, err, "read the plan of a restore")
	}
	var plan stagedPlan
	if json.Unmarshal(text, &plan) != nil || plan.Aside == "" {
		return "", leger.Errorf(leger.CodeInternal, "%s is damaged", filepath.Join(ready, planFile)).
			WithHint("move %s away and restore again", ready)
	}
	m := mover{data: data, ready: ready, aside: filepath.Join(data, plan.Aside)}
	if err := m.run(plan); err != nil {
		return "", leger.WrapFile(leger.CodeUnavailable, err, "complete the restore").
			WithHint("run the command again: it goes on where it stopped")
	}
	return m.aside, nil
}

// mover moves files within one data directory.
type mover struct{ data, ready, aside string }

func (m mover) run(plan stagedPlan) error {
	if err := safefile.MakeDir(m.aside, 0o700); err != nil {
		return err
	}
	for _, name := range plan.Remove {
		if err := m.putAside(name); err != nil {
			return err
		}
	}
	for _, name := range plan.Replace {
		if err := m.replace(name); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(m.ready, planFile)); err != nil {
		return err
	}
	if err := os.Remove(m.ready); err != nil {
		return err
	}
	return safefile.Sync(m.data)
}

// putAside moves a file of the data directory away, if it is there.
func (m mover) putAside(name string) error {
	from := filepath.Join(m.data, name)
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	to := filepath.Join(m.aside, name)
	if _, err := os.Lstat(to); err == nil {
		// Only a program that knows nothing of restores can have made it meanwhile.
		return &fs.PathError{Op: "replace", Path: from, Err: fs.ErrExist}
	}
	return safefile.Rename(from, to)
}

// replace moves a staged file in. One that is not staged any more is there already.
func (m mover) replace(name string) error {
	staged := filepath.Join(m.ready, name)
	if _, err := os.Lstat(staged); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := m.putAside(name); err != nil {
		return err
	}
	return safefile.Rename(staged, filepath.Join(m.data, name))
}
