package localvault_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
)

// keeper answers with what it was given, and keeps what it was asked.
type keeper struct {
	status  localvault.Status
	report  localvault.Report
	outcome localvault.Outcome
	err     error

	order localvault.Order
	name  leger.SecretName
}

func (k *keeper) Status(context.Context) localvault.Status { return k.status }

func (k *keeper) Reconcile(_ context.Context, o localvault.Order) (localvault.Report, error) {
	k.order = o
	return k.report, k.err
}

func (k *keeper) Adopt(_ context.Context, n leger.SecretName) (localvault.Outcome, error) {
	k.name = n
	return k.outcome, k.err
}

// equal compares values of parsed types by ==.
func equal() cmp.Options {
	return cmp.Options{
		cmp.Comparer(func(a, b leger.SecretName) bool { return a == b }),
		cmp.Comparer(func(a, b leger.UserID) bool { return a == b }),
	}
}

func TestClientWritesReadsAndForgets(t *testing.T) {
	t.Parallel()
	f := serve(t, localvault.HandlerConfig{})
	c, ctx, u := f.client, t.Context(), user(t, 1)
	a, b := name(t, "a"), name(t, "b")
	for _, v := range []leger.Version{2, 5} {
		if err := c.CreateVersion(ctx, u, a, v, text("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	for owner, n := range map[leger.UserID]leger.SecretName{u: b, user(t, 2): a} {
		if err := c.CreateVersion(ctx, owner, n, 1, text("x")); err != nil {
			t.Fatal(err)
		}
	}
	list, err := c.List(ctx, u)
	if err != nil {
		t.Fatal(err)
	}
	want := []localvault.Stored{
		{Name: a, Active: 5, Versions: []leger.Version{2, 5}},
		{Name: b, Active: 1, Versions: []leger.Version{1}},
	}
	if diff := cmp.Diff(want, list, equal()); diff != "" {
		t.Error(diff)
	}
	value, v, err := c.Get(ctx, u, a, 0)
	if err != nil || v != 5 || string(value.Reveal()) != "line\n" {
		t.Errorf("got version %d, %v", v, err)
	}
	wantCode(t, c.CreateVersion(ctx, u, a, 5, text("y")), leger.ErrConflict)
	if err := c.Activate(ctx, u, a, 2); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteVersion(ctx, u, a, 5); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.DeleteVersion(ctx, u, a, 5), leger.ErrNotFound)
	wantCode(t, c.CreateVersion(ctx, u, a, 5, text("y")), leger.ErrConflict)
	if err := c.Delete(ctx, u, a); err != nil {
		t.Fatal(err)
	}
	_, _, err = c.Get(ctx, u, a, 0)
	wantCode(t, err, leger.ErrNotFound)
	// Deleting forgets the numbers too: a restored server may give them again.
	if err := c.CreateVersion(ctx, u, a, 5, text("y")); err != nil {
		t.Error(err)
	}
}

func TestClientWithoutADaemon(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	c := localvault.NewClient(localvault.ClientConfig{Socket: filepath.Join(dir, "nobody")})
	_, err := c.Status(t.Context())
	if e := codeOf(t, err, leger.ErrMissingPart); !strings.Contains(e.Hint, "systemctl --user") || !strings.Contains(e.Message, "not running") {
		t.Errorf("not a helpful error: %v (hint %q)", err, e.Hint)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Status(ctx)
	wantCode(t, err, leger.ErrInterrupted)
}

func TestClientGivesUpOnASilentDaemon(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // the test ends
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = localvault.NewClient(localvault.ClientConfig{Socket: path}).Status(ctx)
	wantCode(t, err, leger.ErrUnavailable)
}

func TestLegersPartTravelsWhole(t *testing.T) {
	t.Parallel()
	u, at := user(t, 4), time.Date(2025, 10, 3, 4, 5, 6, 0, time.UTC)
	report := localvault.Report{User: u, At: at, Secrets: []localvault.Outcome{
		{Name: name(t, "a"), Version: 3, Action: localvault.ActionCreated},
		{Name: name(t, "b"), Version: 1, Action: localvault.ActionConflict, Error: &localvault.Problem{Code: leger.CodeConflict, Message: "m", Hint: "h"}},
	}}
	k := &keeper{
		status:  localvault.Status{Version: "1.2.3", PID: 7, StartedAt: at, User: &u, Secrets: 2, Podman: localvault.PodmanStatus{Version: "5.8.6"}, Last: &report},
		report:  report,
		outcome: localvault.Outcome{Name: name(t, "b"), Version: 1, Action: localvault.ActionReplaced},
	}
	f := serve(t, localvault.HandlerConfig{Keeper: k})
	status, err := f.client.Status(t.Context())
	if diff := cmp.Diff(k.status, status, equal()); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	got, err := f.client.Reconcile(t.Context(), u, name(t, "gone"))
	if diff := cmp.Diff(report, got, equal()); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if diff := cmp.Diff(localvault.Order{User: &u, Remove: []leger.SecretName{name(t, "gone")}}, k.order, equal()); diff != "" {
		t.Error(diff)
	}
	if _, err := f.client.Preview(t.Context(), u); err != nil || !k.order.DryRun || k.order.Remove != nil {
		t.Errorf("a preview was asked for as %+v, %v", k.order, err)
	}
	if got.OK() {
		t.Error("a conflict is OK")
	}
	outcome, err := f.client.Adopt(t.Context(), name(t, "b"))
	if diff := cmp.Diff(k.outcome, outcome, equal()); err != nil || diff != "" || k.name != name(t, "b") {
		t.Errorf("%v %s", err, diff)
	}
}

func TestErrorsKeepTheirCodeAndHint(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	var log bytes.Buffer
	f := serve(t, localvault.HandlerConfig{Keeper: k, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, code := range []leger.Code{leger.CodeMissingPart, leger.CodeUnavailable, leger.CodeConflict, leger.CodeNotFound, leger.CodeInvalid, leger.CodeForbidden} {
		k.err = leger.Wrap(code, errors.New("the cause"), "what happened").WithHint("what to do")
		_, err := f.client.Reconcile(t.Context(), user(t, 1))
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != code || e.Message != "what happened" || e.Hint != "what to do" {
			t.Errorf("%s arrived as %v", code, err)
		}
	}
	k.err = errors.New("deep inside")
	_, err := f.client.Adopt(t.Context(), name(t, "x"))
	if e := codeOf(t, err, leger.ErrInternal); strings.Contains(e.Message, "deep inside") {
		t.Errorf("an internal error was sent: %v", err)
	}
	f.client.Close()
	if !strings.Contains(log.String(), "deep inside") {
		t.Error("an internal error was not logged")
	}
}

func TestLegersPartIsClosedToBrowsersAndGarbage(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	f := serve(t, localvault.HandlerConfig{Keeper: k})
	h := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", f.socket)
	}}}
	t.Cleanup(h.CloseIdleConnections)
	for _, test := range []struct {
		what, method, path, header, body string
		want                             int
	}{
		{"a browser", "POST", "/leger/v1/reconcile", "", "{}", 403},
		{"a browser reads", "GET", "/leger/v1/status", "", "", 403},
		{"another method", "GET", "/leger/v1/reconcile", "setec", "", 405},
		{"no JSON", "POST", "/leger/v1/reconcile", "setec", "x", 400},
		{"a field nobody knows", "POST", "/leger/v1/reconcile", "setec", `{"usr":1}`, 400},
		{"no user id", "POST", "/leger/v1/reconcile", "setec", `{"user":"root"}`, 400},
		{"no name", "POST", "/leger/v1/adopt", "setec", `{}`, 400},
		{"a path for a name", "POST", "/leger/v1/adopt", "setec", `{"name":"../x"}`, 400},
		{"nobody in particular", "POST", "/leger/v1/reconcile", "setec", `{}`, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, "http://legerd"+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		if test.header != "" {
			req.Header.Set("Sec-X-Tailscale-No-Browsers", test.header)
		}
		resp, err := h.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != test.want {
			t.Errorf("%s: got %d, want %d", test.what, resp.StatusCode, test.want)
		}
	}
	if k.order.User != nil {
		t.Errorf("a user was made up: %v", k.order.User)
	}
}
