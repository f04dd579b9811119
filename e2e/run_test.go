//go:build e2e

package e2e_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger/e2e/rig"
)

// TestMakeRun is a newcomer's first minute: what `make run` starts, its link
// opened, and the commands it prints typed as they stand.
func TestMakeRun(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	checkout := t.TempDir()
	for _, dir := range []string{"bin", "scripts"} {
		if err := os.CopyFS(filepath.Join(checkout, dir), os.DirFS(filepath.Join("..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	ownedByUser(t, checkout)
	const guest = rig.Home + "/leger"
	w := &world{t: t, m: rig.Boot(t, rig.Bind{Host: checkout, Guest: guest}), seen: &transcript{}}
	running := w.m.StartUnit(ctx, rig.Unit{
		Name: "make-run", ByUser: true, Command: []string{guest + "/scripts/run"}, Ready: serverURL + "/auth?token=",
	})
	said := running.Journal(ctx)
	t.Logf("make run:\n%s", untold(said))
	w.open(serverURL + "/auth?token=" + running.ReadyLine)
	t.Log("the link signs in")

	var typed []string
	for line := range strings.Lines(said) {
		if command, found := strings.CutPrefix(line, "  "); found && !strings.HasPrefix(command, "leger-server") {
			typed = append(typed, strings.TrimSpace(command))
		}
	}
	if len(typed) < 5 {
		t.Fatalf("it prints %d commands", len(typed))
	}
	line := "cd " + guest + "\n" + strings.Join(typed, " &&\n")
	// "leger secrets set" asks for the value; without a terminal it reads it here.
	got := w.m.Run(ctx, rig.Opts{Stdin: strings.NewReader("my first value")}, "bash", "-c", line)
	t.Logf("$ %s\n%s", line, got)
	if got.Code != 0 {
		t.Fatalf("exit code %d", got.Code)
	}
	if out := w.show(`podman secret ls`); !strings.Contains(out, "test_key") {
		t.Errorf("podman secret ls:\n%s", out)
	}
	// Ctrl-C ends everything it started.
	running.Kill(ctx, "INT")
	w.m.Must(ctx, rig.Opts{}, "bash", "-c", `for i in $(seq 100); do pgrep -x 'leger-server|legerd' >/dev/null || exit 0; read -rt 0.1 <> <(:); done; pgrep -ax 'leger-server|legerd'; exit 1`)
}

// ownedByUser gives a tree to the machine's user.
func ownedByUser(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, rig.UID, rig.UID)
	})
	if err != nil {
		t.Fatal(err)
	}
}
