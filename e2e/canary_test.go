//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

// argumentWatch looks at the arguments of every process, over and over.
type argumentWatch struct {
	cancel context.CancelFunc
	done   chan []string
}

// watchArguments watches from the host, which sees the machine's processes too,
// until stop. What it looks for is in no argument of its own.
func watchArguments(t *testing.T, values ...string) *argumentWatch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &argumentWatch{cancel, make(chan []string, 1)}
	go func() {
		found := map[string]bool{}
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, line := range arguments() {
				for _, v := range values {
					if bytes.Contains(line, []byte(v)) {
						program, _, _ := bytes.Cut(line, []byte{0})
						found[string(program)] = true
					}
				}
			}
			select {
			case <-ctx.Done():
				var names []string
				for name := range found {
					names = append(names, name)
				}
				w.done <- names
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(cancel)
	return w
}

// arguments are those of all processes; one that ended meanwhile is left out.
func arguments() [][]byte {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	var all [][]byte
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			all = append(all, b)
		}
	}
	return all
}

func (a *argumentWatch) stop(t *testing.T) {
	t.Helper()
	a.cancel()
	if found := <-a.done; len(found) > 0 {
		t.Errorf("a secret value was an argument of %s", strings.Join(found, ", "))
	}
}

// searchCanaries looks for the values wherever they must not be: what any command
// printed, the journal, everything below the home directory and /tmp but Podman's
// own store and the configuration of running containers (SECURITY.md), the
// databases byte for byte.
func (w *world) searchCanaries(t *testing.T, values ...string) {
	t.Helper()
	ctx := t.Context()
	for _, v := range values {
		if w.seen.contains(v) {
			t.Errorf("%s was printed by a command or sent to the browser", v)
		}
		if strings.Contains(w.m.Journal(ctx, "--no-pager", "--output=verbose"), v) {
			t.Errorf("%s is in the journal", v)
		}
	}
	// The patterns come through stdin: no argument holds them.
	patterns := strings.NewReader(strings.Join(values, "\n") + "\n")
	got := w.m.Root(ctx, rig.Opts{Stdin: patterns}, "sh", "-c",
		`grep -rlaFf - /home /tmp /var/tmp /var/log /run/user/1000 --exclude-dir=containers --exclude-dir=crun --devices=skip 2>/dev/null; true`)
	if strings.TrimSpace(got.Stdout) != "" {
		t.Errorf("secret values are in:\n%s", got.Stdout)
	}
	// The search itself must be able to find one: Podman's own store holds them.
	var kept []string
	for _, v := range values {
		kept = append(kept, encoded(v))
	}
	found := w.m.Root(ctx, rig.Opts{Stdin: strings.NewReader(strings.Join(kept, "\n") + "\n")}, "sh", "-c",
		`grep -rlaFf - /home/leger-test/.local/share/containers/storage/secrets`)
	if !strings.Contains(found.Stdout, "secretsdata") {
		t.Errorf("the search finds nothing where something is: %s", found)
	}
	if kept := w.kept(); len(kept) == 0 || strings.Contains(kept, "canary") {
		t.Error("the server's database holds a value, or was not read")
	}
	t.Log("the values are in no argument, output, journal, database or file outside Podman's own store")
}

// kept is everything that the server keeps.
func (w *world) kept() string {
	w.t.Helper()
	if w.storage == "" {
		return w.m.ReadFile(w.t.Context(), serverData+"/leger.db")
	}
	var all strings.Builder
	err := filepath.WalkDir(w.storage, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		all.Write(text)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all.String()
}

// encoded is how Podman's file driver keeps a value.
func encoded(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) }
