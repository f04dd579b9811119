package secretsync_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/secretsync"
)

const serverURL = "https://leger.example.ts.net"

// takenBack is a machine that synced version 2 of db_password, with which a unit
// did not come up: version 1 is active again, version 2 held back.
type takenBack struct {
	t      *testing.T
	dir    string
	server *server
	store  *store
	name   leger.SecretName
}

func takeBack(t *testing.T) *takenBack {
	t.Helper()
	w := &takenBack{t, t.TempDir(), &server{}, newStore(), secretName(t, "db_password")}
	w.store.put(w.name, 1, "good")
	w.serves(2, "bad")
	report := w.sync(false)
	if w.store.state()["db_password"] != "bad" {
		t.Fatal("version 2 was not brought")
	}
	if err := secretsync.NewHeldBack(w.dir, serverURL, user(t)).Add(map[leger.SecretName]leger.Version{w.name: 2}); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Activate(t.Context(), w.name, 1); err != nil {
		t.Fatal(err)
	}
	report.WentBack(map[leger.SecretName]leger.Version{w.name: 1})
	if held := report.Held(); held[w.name] != 1 {
		t.Errorf("after going back the report says that the machine holds %v", held)
	}
	return w
}

func (w *takenBack) serves(v leger.Version, text string) {
	w.server.values = []secretsync.Value{value(w.t, w.name.String(), v, text)}
	w.server.tag = `"` + text + `"`
}

func (w *takenBack) sync(retry bool) secretsync.Report {
	w.t.Helper()
	s := secretsync.New(secretsync.Config{
		Server: w.server, Local: w.store, Retry: retry, Consent: consents,
		Memory:   secretsync.NewMemory(w.dir, serverURL, user(w.t)),
		HeldBack: secretsync.NewHeldBack(w.dir, serverURL, user(w.t)),
	})
	report, err := s.Sync(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

func (w *takenBack) serving(text string) {
	w.t.Helper()
	if got := w.store.inPodman()["db_password"]; got != text {
		w.t.Errorf("containers get %q, want %q", got, text)
	}
}

// The story: sync --restart took a bad value back, and the next sync brought it
// again, made anew, so that the good one was gone from the machine.
func TestWhatWasTakenBackStaysOut(t *testing.T) {
	t.Parallel()
	w := takeBack(t)
	for round, notModified := range []bool{false, true, true} {
		report := w.sync(false)
		got := report.Results[0]
		if got.Action != secretsync.ActionHeldBack || got.From != 1 || got.To != 2 || got.Reason() == "" ||
			report.NotModified != notModified || !report.Plan.Empty() || report.Held()[w.name] != 1 {
			t.Errorf("sync %d: %+v", round, report)
		}
		w.serving("good")
	}
	if e := w.store.secrets[w.name]; e.values[1] != "good" || e.values[2] != "bad" {
		t.Errorf("the store holds %v", e.values)
	}
}

func TestALaterVersionEndsIt(t *testing.T) {
	t.Parallel()
	w := takeBack(t)
	w.serves(3, "better")
	if report := w.sync(false); report.Results[0].Action != secretsync.ActionChanged {
		t.Errorf("%+v", report)
	}
	w.serving("better")
	if names, _ := filepath.Glob(filepath.Join(w.dir, "held-back*")); len(names) > 0 {
		t.Error("it is still remembered that a version was held back")
	}
}

// What is tried again is activated: the former value is kept, to go back to.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := takeBack(t)
	w.sync(false) // the server's tag is known
	if report := w.sync(true); report.Results[0].Action != secretsync.ActionChanged {
		t.Errorf("%+v", report)
	}
	w.serving("bad")
	if e := w.store.secrets[w.name]; e.values[1] != "good" {
		t.Errorf("the former value is gone: %v", e.values)
	}
	if report := w.sync(false); report.Results[0].Action != secretsync.ActionUnchanged {
		t.Errorf("after it was tried again: %+v", report)
	}
}

// A restored server may give the number to another value.
func TestAnotherValueUnderTheSameNumberIsBrought(t *testing.T) {
	t.Parallel()
	w := takeBack(t)
	w.serves(2, "another")
	w.sync(false)
	w.serving("another")
}

// What was held back of one server says nothing of another's versions, and a file
// that cannot be read holds nothing back.
func TestHeldBackIsAboutOneServer(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"another server": `{"server":"https://other.example","versions":{"db_password":2}}`,
		"no JSON":        "\x00",
		"a bad name":     `{"server":"` + serverURL + `","user_uuid":"` + user(t).String() + `","versions":{"../x":2,"db_password":-2}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := takeBack(t)
			if err := os.WriteFile(filepath.Join(w.dir, "held-back.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			w.sync(false)
			w.serving("bad")
		})
	}
}

func TestHeldBackIsPrivateAndHoldsNoValue(t *testing.T) {
	t.Parallel()
	w := takeBack(t)
	path := filepath.Join(w.dir, "held-back.json")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || strings.Contains(string(b), "bad") || strings.Contains(string(b), "good") {
		t.Errorf("%s: %s", info.Mode(), b)
	}
	if !slices.Equal(b, []byte(`{"server":"`+serverURL+`","user_uuid":"`+user(t).String()+`","versions":{"db_password":2}}`)) {
		t.Errorf("%s", b)
	}
}
