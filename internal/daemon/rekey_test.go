package daemon_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/podman/podmantest"
)

// rekey runs legerd rekey and wants it to succeed, or to fail, saying all of says.
func rekey(t *testing.T, home string, ok bool, args []string, says ...string) {
	t.Helper()
	out, err := command(t, home, append([]string{"rekey"}, args...), nil).CombinedOutput()
	if (err == nil) != ok {
		t.Errorf("rekey %v: %v\n%s", args, err, out)
	}
	for _, part := range says {
		if !strings.Contains(string(out), part) {
			t.Errorf("rekey %v does not say %q:\n%s", args, part, out)
		}
	}
}

// made gives the ids of Podman's secrets: one that is made anew has another.
func made(fake *podmantest.Fake) (ids []string) {
	for _, s := range fake.Secrets() {
		ids = append(ids, s.ID)
	}
	return ids
}

// The key changes while legerd serves and while it does not. Podman's secrets are not made
// anew: their units would count as running with an older value.
func TestRekeyLeavesPodmanAlone(t *testing.T) {
	t.Parallel()
	fake, dir := fakePodman(t), home(t)
	env := "LEGERD_PODMAN_SOCKET=" + fake.Socket
	d := start(t, dir, nil, env)
	ctx, u, n := t.Context(), user(t, 1), name(t, "k")
	if err := d.client.CreateVersion(ctx, u, n, 1, text(canary)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.client.Reconcile(ctx, u); err != nil {
		t.Fatal(err)
	}
	before := made(fake)
	file := filepath.Join(dir, ".local/share/leger/legerd/key")
	keys := map[string]bool{}
	for _, running := range []bool{true, false, true} {
		if !running {
			d.stop(t)
		}
		rekey(t, dir, true, nil, "Sealed the store with a new key: "+file, "former key is gone")
		key, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if keys[string(key)] {
			t.Error("the key did not change")
		}
		keys[string(key)] = true
		if !running {
			d = start(t, dir, nil, env)
		}
		r, err := d.client.Reconcile(ctx, u)
		if err != nil || verdicts(r) != "k unchanged" || !slices.Equal(made(fake), before) {
			t.Errorf("Podman's secrets were made anew: %s %v", verdicts(r), err)
		}
		if got, _, err := d.client.Get(ctx, u, n, 0); err != nil || string(got.Reveal()) != canary {
			t.Errorf("the value: %v", err)
		}
	}
	d.stop(t)
	for key := range keys {
		if strings.Contains(d.log.String(), strings.TrimSpace(key)) {
			t.Error("a key is in the log")
		}
	}
}

// What legerd rekey says when it cannot, and a key that the operator changes.
func TestRekeyRefusals(t *testing.T) {
	t.Parallel()
	dir := home(t)
	const one, two = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
	rekey(t, dir, false, nil, "there is no store in "+dir, "hint: ")
	if _, err := os.Stat(filepath.Join(dir, ".local")); err == nil {
		t.Error("it made a data directory")
	}
	rekey(t, dir, false, []string{"--listen", "127.0.0.1:1"}, "hint: legerd --help")
	rekey(t, dir, false, []string{"now"}, `takes no "now"`)

	d := start(t, dir, nil, "LEGERD_KEY="+one)
	u, n := user(t, 1), name(t, "k")
	if err := d.client.CreateVersion(t.Context(), u, n, 1, text(canary)); err != nil {
		t.Fatal(err)
	}
	rekey(t, dir, false, nil, "was given the key of its store (LEGERD_KEY)", "LEGERD_KEY_PREVIOUS", "restart it")
	rekey(t, dir, false, []string{"--data", dir}, "keeps its store in", "--socket")
	d.stop(t)
	rekey(t, dir, false, nil, "its key is not here", "start legerd")

	d = start(t, dir, nil, "LEGERD_KEY="+two, "LEGERD_KEY_PREVIOUS="+one)
	if !strings.Contains(d.log.String(), "is not needed any more") {
		t.Errorf("the log does not say that the former key may go:\n%s", d.log)
	}
	d.stop(t)
	d = start(t, dir, nil, "LEGERD_KEY="+two)
	if got, _, err := d.client.Get(t.Context(), u, n, 0); err != nil || string(got.Reveal()) != canary {
		t.Errorf("the value: %v", err)
	}
	_, _, err := d.client.Get(t.Context(), u, name(t, "other"), 0)
	wantCode(t, err, leger.ErrNotFound)
	d.stop(t)
}
