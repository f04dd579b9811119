package secretsync_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/secretsync"
)

// syncer is one whose user consents to everything.
func syncer(t *testing.T, srv *server, st *store, dir string) *secretsync.Syncer {
	t.Helper()
	return secretsync.New(secretsync.Config{
		Server: srv, Local: st, Consent: consents,
		Memory: secretsync.NewMemory(dir, "https://leger.example.ts.net", user(t)),
	})
}

func consents(context.Context, secretsync.Plan) error { return nil }

// world is a server ahead of a machine in every way there is.
func world(t *testing.T) (*server, *store) {
	t.Helper()
	local := func(s string) leger.SecretName { return secretName(t, s) }
	st := newStore()
	st.put(local("later"), 4, "later-old", 2, 3)
	st.put(local("back"), 7, "back-old", 6)
	st.put(local("same_number"), 1, "same-old")
	st.put(local("gone"), 9, "gone-old", 8)
	st.put(local("stays"), 1, "stays")
	return &server{tag: `"t1"`, values: []secretsync.Value{
		value(t, "fresh", 1, "fresh-"+canary), value(t, "later", 5, "later-new"), value(t, "back", 2, "back-new"),
		value(t, "same_number", 1, "same-new"), value(t, "stays", 1, "stays"),
	}}, st
}

// wanted is what the machine serves after a sync with world's server.
func wanted(t *testing.T, srv *server) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, v := range srv.values {
		out[v.Name.String()] = string(v.Value.Reveal())
	}
	return out
}

func TestSyncBringsTheMachineToTheServersState(t *testing.T) {
	t.Parallel()
	srv, st := world(t)
	report, err := syncer(t, srv, st, t.TempDir()).Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted(t, srv), st.state()); diff != "" {
		t.Errorf("the store (-want +got):\n%s", diff)
	}
	for _, v := range srv.values {
		name := v.Name
		if e := st.secrets[name]; e.active != v.Version {
			t.Errorf("%s: active %d, want %d", v.Name, e.active, v.Version)
		}
		if want := (copied{v.Version, string(v.Value.Reveal())}); st.podman[name] != want {
			t.Errorf("%s: Podman has %v, want %v", v.Name, st.podman[name], want)
		}
		if n := len(st.secrets[name].values); n > 2 {
			t.Errorf("%s keeps %d versions; want the active one and the one before", v.Name, n)
		}
	}
	for _, r := range report.Results {
		if !r.Done || r.Err != nil {
			t.Errorf("%s: done %v, error %v", r.Name, r.Done, r.Err)
		}
	}
}

// With nothing to do a sync costs one request to the server and two to legerd.
func TestSyncWithNothingToDoIsCheap(t *testing.T) {
	t.Parallel()
	srv, st := world(t)
	dir := t.TempDir()
	if _, err := syncer(t, srv, st, dir).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.asked, st.calls = nil, nil
	report, err := syncer(t, srv, st, dir).Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !report.NotModified || !report.Plan.Empty() || len(report.Results) != len(srv.values) {
		t.Errorf("second sync: %+v", report)
	}
	if !slices.Equal(srv.asked, []string{`"t1"`}) || !slices.Equal(st.calls, []string{"list", "reconcile"}) {
		t.Errorf("the server was asked %q, legerd %q", srv.asked, st.calls)
	}
}

// The machine lost a secret behind our back: an old tag must not hide that.
func TestLossOnTheMachineIsMendedAlthoughTheServerDidNotChange(t *testing.T) {
	t.Parallel()
	srv, st := world(t)
	dir := t.TempDir()
	if _, err := syncer(t, srv, st, dir).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	clear(st.secrets)
	srv.asked = nil
	if _, err := syncer(t, srv, st, dir).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted(t, srv), st.state()); diff != "" || !slices.Equal(srv.asked, []string{""}) {
		t.Errorf("the server was asked %q; the store (-want +got):\n%s", srv.asked, diff)
	}
}

// legerd's store was lost, and the server is another one, which gives other values
// under numbers that Podman has seen.
func TestAnotherServerAfterTheStoreWasLost(t *testing.T) {
	t.Parallel()
	st := newStore()
	st.podman[secretName(t, "key")] = copied{1, "of the former server"}
	srv := &server{tag: `"x"`, values: []secretsync.Value{value(t, "key", 1, "of this one")}}
	if _, err := syncer(t, srv, st, t.TempDir()).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted(t, srv), st.inPodman()); diff != "" {
		t.Errorf("Podman (-want +got):\n%s", diff)
	}
}

// Another server's tag says nothing about this one, even if names and versions
// are the same on both.
func TestAnotherServerWithTheSameVersions(t *testing.T) {
	t.Parallel()
	st, dir := newStore(), t.TempDir()
	first := &server{tag: `"x"`, values: []secretsync.Value{value(t, "key", 1, "of the first")}}
	second := &server{tag: `"x"`, values: []secretsync.Value{value(t, "key", 1, "of the second")}}
	for range 2 { // there, and back again
		for url, srv := range map[string]*server{"https://one.example": first, "https://two.example": second} {
			s := secretsync.New(secretsync.Config{Server: srv, Local: st, Consent: consents, Memory: secretsync.NewMemory(dir, url, user(t))})
			if _, err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := st.state(), string(srv.values[0].Value.Reveal()); got["key"] != want {
				t.Errorf("after a sync with %s the machine holds %v, want %q", url, got, want)
			}
			if got := st.inPodman()["key"]; got != string(srv.values[0].Value.Reveal()) {
				t.Errorf("after a sync with %s Podman holds %q", url, got)
			}
		}
	}
}

// The sync is cut at every call, before and after the call took effect, by an
// error that passes, by a store that dies, by Ctrl-C. Afterwards every secret is
// at its old or its new value, and one more sync finishes the job.
func TestSyncCutAnywhereConverges(t *testing.T) {
	t.Parallel()
	srv, clean := world(t)
	if _, err := syncer(t, srv, clean, t.TempDir()).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= len(clean.calls); n++ {
		for _, after := range []bool{false, true} {
			for _, how := range []string{"passes", "dies", "ctrl-c"} {
				t.Run(fmt.Sprintf("%s at %d %s after=%v", how, n, clean.calls[n-1], after), func(t *testing.T) {
					t.Parallel()
					cutAndFinish(t, n, after, how)
				})
			}
		}
	}
}

func cutAndFinish(t *testing.T, n int, after bool, how string) {
	t.Helper()
	srv, st := world(t)
	before := st.state()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	st.failAt, st.after, st.dead = n, after, how == "dies"
	st.fail = func() error {
		switch how {
		case "dies":
			return leger.Errorf(leger.CodeMissingPart, "legerd is not running")
		case "ctrl-c":
			cancel()
			return nil
		default:
			return leger.Wrap(leger.CodeUnavailable, errDisk, "write the store")
		}
	}
	dir := t.TempDir()
	_, err := syncer(t, srv, st, dir).Sync(ctx)
	if how != "passes" || st.calls[n-1] != "leftovers" { // without Podman's answer the rest is done
		assertCut(t, err, how)
	}
	assertOldOrNew(t, before, wanted(t, srv), st.state())
	assertOldOrNew(t, before, wanted(t, srv), st.inPodman())

	st.failAt = 0
	if _, err := syncer(t, srv, st, dir).Sync(t.Context()); err != nil {
		t.Fatalf("the second sync: %v", err)
	}
	if diff := cmp.Diff(wanted(t, srv), st.state()); diff != "" {
		t.Errorf("after the second sync (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wanted(t, srv), st.inPodman()); diff != "" {
		t.Errorf("Podman after the second sync (-want +got):\n%s", diff)
	}
}

func assertCut(t *testing.T, err error, how string) {
	t.Helper()
	switch {
	case how == "ctrl-c": // the call itself went well; what follows may all be done
		if err != nil && !errors.Is(err, leger.ErrInterrupted) {
			t.Errorf("error = %v, want interrupted", err)
		}
	case err == nil:
		t.Error("the cut sync reports success")
	case strings.Contains(err.Error(), canary):
		t.Error("the error holds a secret value")
	}
}

func assertOldOrNew(t *testing.T, before, wanted map[string]string, now map[string]string) {
	t.Helper()
	for name, old := range before {
		got, there := now[name]
		goal, stays := wanted[name]
		switch {
		case there && (got == old || (stays && got == goal)):
		case !there && !stays:
		default:
			t.Errorf("%s is at %q (there: %v): neither %q nor %q", name, got, there, old, goal)
		}
	}
}

func TestSyncNamesTheSecretsThatFailed(t *testing.T) {
	t.Parallel()
	srv, st := world(t)
	conflict := leger.Errorf(leger.CodeConflict, "Podman has a secret called fresh that Leger did not make").
		WithHint("leger secrets adopt fresh")
	st.verdict[secretName(t, "fresh")] = conflict
	dir := t.TempDir()
	report, err := syncer(t, srv, st, dir).Sync(t.Context())
	if !errors.Is(err, leger.ErrPartial) || !strings.Contains(err.Error(), "fresh") || strings.Contains(err.Error(), "later") {
		t.Fatalf("error = %v", err)
	}
	if failed := report.Failed(); len(failed) != 1 || !errors.Is(failed[0].Err, leger.ErrConflict) {
		t.Errorf("failed = %v", failed)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "sync.json")); err != nil || strings.Contains(string(b), "t1") {
		t.Errorf("a sync that failed in part was remembered as done: %s %v", b, err)
	}
}

// Without Podman the secrets wait in legerd's store, and the error says what is
// missing.
func TestWithoutPodmanTheStoreStillGetsTheSecrets(t *testing.T) {
	t.Parallel()
	srv := &server{tag: `"x"`, values: []secretsync.Value{value(t, "key", 1, "v")}}
	st := newStore()
	st.noPodman = leger.Errorf(leger.CodeMissingPart, "podman is not installed")
	if _, err := syncer(t, srv, st, t.TempDir()).Sync(t.Context()); !errors.Is(err, leger.ErrMissingPart) {
		t.Errorf("error = %v", err)
	}
	if diff := cmp.Diff(wanted(t, srv), st.state()); diff != "" {
		t.Errorf("the store (-want +got):\n%s", diff)
	}
}

func TestPlanChangesNothing(t *testing.T) {
	t.Parallel()
	srv, st := world(t)
	before, dir := st.state(), t.TempDir()
	p, err := syncer(t, srv, st, dir).Plan(t.Context())
	if err != nil || p.Count(secretsync.ActionNew) != 1 || p.Count(secretsync.ActionReplaced) != 2 || p.Count(secretsync.ActionRemoved) != 1 {
		t.Errorf("plan: %v\n%s", err, p)
	}
	if diff := cmp.Diff(before, st.state()); diff != "" {
		t.Errorf("a plan changed the store:\n%s", diff)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Error("a plan was remembered as a sync")
	}
}

func TestServerAwayLeavesTheMachineAlone(t *testing.T) {
	t.Parallel()
	srv, st := world(t)
	srv.err = leger.Errorf(leger.CodeUnreachable, "the server did not answer")
	before := st.state()
	if _, err := syncer(t, srv, st, t.TempDir()).Sync(t.Context()); !errors.Is(err, leger.ErrUnreachable) {
		t.Errorf("error = %v", err)
	}
	if diff := cmp.Diff(before, st.state()); diff != "" {
		t.Errorf("the store changed:\n%s", diff)
	}
}

func TestMemoryIsPrivateAndHoldsNoNamesOrValues(t *testing.T) {
	t.Parallel()
	srv, st := world(t)
	dir := filepath.Join(t.TempDir(), "state", "leger")
	if _, err := syncer(t, srv, st, dir).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sync.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{canary, "fresh", "later"} {
		if strings.Contains(string(b), leak) {
			t.Errorf("the memory holds %q: %s", leak, b)
		}
	}
	if err := os.WriteFile(path, []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := syncer(t, srv, st, dir).Sync(t.Context()); err != nil {
		t.Errorf("a torn memory stops the sync: %v", err)
	}
}

func TestThePlanIsToldBeforeTheSteps(t *testing.T) {
	t.Parallel()
	srv, st := world(t)
	var told []string
	s := secretsync.New(secretsync.Config{
		Server: srv, Local: st, Consent: consents, Memory: secretsync.NewMemory(t.TempDir(), "s", user(t)),
		Planned: func(secretsync.Plan) { told = append(told, "plan") },
		Done:    func(step secretsync.Step) { told = append(told, step.Name.String()) },
	})
	if _, err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"plan", "back", "fresh", "gone", "later", "same_number"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// What is reported of a sync is what the machine holds, not what it should hold.
func TestHeldIsWhatTheStepsLeft(t *testing.T) {
	t.Parallel()
	at := func(name string, action secretsync.Action, from, to leger.Version, done bool) secretsync.Result {
		return secretsync.Result{Step: secretsync.Step{Name: secretName(t, name), Action: action, From: from, To: to}, Done: done}
	}
	got := secretsync.Report{Results: []secretsync.Result{
		at("same", secretsync.ActionUnchanged, 2, 2, true), at("not-reached", secretsync.ActionUnchanged, 7, 7, false),
		at("new", secretsync.ActionNew, 0, 3, true), at("new-failed", secretsync.ActionNew, 0, 3, false),
		at("changed", secretsync.ActionChanged, 1, 4, true), at("changed-failed", secretsync.ActionChanged, 1, 4, false),
		at("removed", secretsync.ActionRemoved, 5, 0, true), at("removed-failed", secretsync.ActionRemoved, 5, 0, false),
	}}.Held()
	want := map[leger.SecretName]leger.Version{}
	for name, v := range map[string]leger.Version{
		"same": 2, "not-reached": 7, "new": 3, "changed": 4, "changed-failed": 1, "removed-failed": 5,
	} {
		want[secretName(t, name)] = v
	}
	if !maps.Equal(got, want) {
		t.Errorf("held %v, want %v", got, want)
	}
}
