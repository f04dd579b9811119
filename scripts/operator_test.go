package scripts_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// console is an account, and the Worker that uses its database.
type console struct {
	account

	url   string
	where string // the database, as wrangler is to be told

	mu      sync.Mutex
	tickets map[string]bool // that were shown
	bodies  []string        // of requests, with their paths
}

// asked is what the Worker was asked so far.
func (c *console) asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.bodies)
}

// newConsole starts a Worker whose answers are these, one after the other. It lets in
// whoever shows a ticket whose hash was written into the database.
func newConsole(t *testing.T, answers ...http.HandlerFunc) *console {
	t.Helper()
	c := &console{account: newAccount(t, nil), where: "--remote", tickets: map[string]bool{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		ticket, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		c.mu.Lock()
		c.tickets[ticket] = true
		n := len(c.bodies)
		c.bodies = append(c.bodies, r.URL.Path+" "+string(body))
		c.mu.Unlock()
		if !strings.Contains(c.sql(), hashOf(ticket)) || len(ticket) != len("leger-operator-")+43 {
			refuses(http.StatusUnauthorized, "your sign-in is invalid or has expired", "")(w, r)
			return
		}
		if n >= len(answers) {
			t.Errorf("one request too many: %s", body)
			n = len(answers) - 1
		}
		answers[n](w, r)
	}))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func hashOf(ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return hex.EncodeToString(sum[:])
}

func (c *console) env() []string {
	standin, err := filepath.Abs("testdata/wrangler")
	if err != nil {
		c.t.Fatal(err)
	}
	return []string{
		"WRANGLER=" + standin, "STANDIN_ACCOUNT=" + c.dir, "STANDIN_WHERE=" + c.where, "LEGER_WORKER_URL=" + c.url,
	}
}

func (c *console) run(args ...string) outcome {
	c.t.Helper()
	got := run(c.t, c.env(), "worker-operator", args...)
	c.leavesNothing(got)
	return got
}

// leavesNothing checks that no ticket is seen anywhere, and that each one's row is gone.
func (c *console) leavesNothing(got outcome) {
	c.t.Helper()
	calls, err := os.ReadFile(filepath.Join(c.dir, "calls"))
	if err != nil {
		c.t.Fatal(err)
	}
	sql := c.sql()
	c.mu.Lock()
	defer c.mu.Unlock()
	for ticket := range c.tickets {
		if strings.Contains(string(calls)+sql+got.stdout+got.stderr, ticket) {
			c.t.Error("a ticket is an argument, in the database or in what is printed")
		}
		if !strings.Contains(sql, "\nDELETE FROM operator_tickets WHERE ticket_hash = '"+hashOf(ticket)+"';\n") {
			c.t.Errorf("the ticket's row stays:\n%s", sql)
		}
	}
}

// sql is what was run on the database so far.
func (c *console) sql() string {
	text, err := os.ReadFile(filepath.Join(c.dir, "sql"))
	if err != nil && !os.IsNotExist(err) {
		c.t.Error(err)
	}
	return string(text)
}

func gives(data string) http.HandlerFunc {
	return answers(http.StatusOK, `{"success":true,"data":`+data+`}`)
}

func refuses(status int, message, hint string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		body, err := json.Marshal(map[string]any{"success": false, "error": map[string]string{"code": "x", "message": message, "hint": hint}})
		if err != nil {
			panic(err)
		}
		answers(status, string(body))(w, r)
	}
}

const invited = `{"invitation":"leger-invite-x","expires_at":"2026-11-01T11:00:00Z","created":true,` +
	`"user":{"email":"alice@example.com","tailnet":"local"}}`

// TestOperatorInvites: the invitation alone is on standard output, for a pipe to the
// machine; the ticket is in no argument, in no file and on no screen.
func TestOperatorInvites(t *testing.T) {
	t.Parallel()
	c := newConsole(t, gives(invited), gives(invited))
	got := c.run("invite", "alice@example.com", "--tailscale-user-id", "u1", "--tailnet", "x.ts.net", "--name", "nas")
	if got.code != 0 || got.stdout != "leger-invite-x\n" || !strings.Contains(got.stderr, "leger auth login --server "+c.url+" --invitation-file -") {
		t.Errorf("exit %d, printed %q\n%s", got.code, got.stdout, got.stderr)
	}
	want := `/api/operator/invitations {"email":"alice@example.com","tailscale_user_id":"u1","tailnet":"x.ts.net","name":"nas"}`
	if asked := c.asked(); asked[0] != want {
		t.Errorf("asked for %s", asked[0])
	}
	if !strings.Contains(c.sql(), "'now', '+1 hour'") {
		t.Errorf("the ticket has no end:\n%s", c.sql())
	}

	file := filepath.Join(t.TempDir(), "invitation")
	got = c.run("invite", "alice@example.com", "--file", file)
	text, err := os.ReadFile(file)
	info, err2 := os.Stat(file)
	if err != nil || err2 != nil || got.code != 0 || got.stdout != "" || string(text) != "leger-invite-x\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("exit %d, printed %q, %v %v\n%s", got.code, got.stdout, err, err2, got.stderr)
	}
}

func part(resealed, passed int, end string) http.HandlerFunc {
	return gives(fmt.Sprintf(`{"key_id":"0123456789abcdef","resealed":%d,"passed":%d,"total":120,%s}`, resealed, passed, end))
}

const mayGo = "wrangler secret delete ENCRYPTION_KEY_PREVIOUS"

// TestOperatorRekeys: until a whole round found nothing to seal, the former key is not
// said to be free. A Worker that is busy for a moment is asked again.
func TestOperatorRekeys(t *testing.T) {
	t.Parallel()
	c := newConsole(t,
		part(50, 50, `"next":"one"`), refuses(http.StatusServiceUnavailable, "the database does not answer", ""),
		part(50, 100, `"next":"two"`), part(20, 120, `"former":["fedcba9876543210"]`),
		part(0, 120, `"former":["fedcba9876543210"]`))
	c.where = "--local --persist-to " + c.dir
	got := c.run("rekey", "--settle", "0", "--local", c.dir)
	if got.code != 0 || !strings.Contains(got.stderr, "Sealed 120 records with the key 0123456789abcdef") ||
		!strings.Contains(got.stderr, "no longer needs the former key fedcba9876543210") || !strings.Contains(got.stderr, mayGo) {
		t.Errorf("exit %d\n%s", got.code, got.stderr)
	}
	asked := strings.ReplaceAll(strings.Join(c.asked(), " "), "/api/operator/rekey ", "")
	if asked != `{} {"cursor":"one"} {"cursor":"one"} {"cursor":"two"} {}` {
		t.Errorf("asked %s", asked)
	}
}

func TestOperatorRekeysWhatHasOneKey(t *testing.T) {
	t.Parallel()
	c := newConsole(t, part(0, 120, `"former":[]`))
	if got := c.run("rekey"); got.code != 0 || strings.Contains(got.stderr, mayGo) || !strings.Contains(got.stderr, "names no other key") {
		t.Errorf("exit %d\n%s", got.code, got.stderr)
	}
}

// TestOperatorIsInterrupted: Ctrl-C in the middle takes the ticket out of the database,
// and says that one may go on.
func TestOperatorIsInterrupted(t *testing.T) {
	t.Parallel()
	waits := make(chan struct{})
	c := newConsole(t, part(50, 50, `"next":"one"`), func(_ http.ResponseWriter, r *http.Request) {
		close(waits)
		<-r.Context().Done()
	})
	cmd := exec.CommandContext(t.Context(), "./worker-operator", "rekey")
	cmd.Env = append(os.Environ(), c.env()...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-waits
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 || !strings.Contains(stderr.String(), "goes on where it stopped") {
		t.Errorf("%v\n%s", err, stderr.String())
	}
	c.leavesNothing(outcome{stderr: stderr.String()})
}

func TestOperatorInTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		env    string
		says   string
	}{
		"a key is missing": {
			refuses(http.StatusConflict, "there are secrets sealed with the key fedcba9876543210", "put the key it needs into ENCRYPTION_KEY_PREVIOUS"),
			"", "hint: put the key it needs",
		},
		"not let in":     {refuses(http.StatusUnauthorized, "your sign-in is invalid or has expired", ""), "", "does not accept the ticket"},
		"another's page": {answers(http.StatusNotFound, "<!doctype html>"), "", "answers 404 with something that is not Leger's"},
		"sent elsewhere": {http.RedirectHandler("https://evil.example/", http.StatusFound).ServeHTTP, "", "answers 302"},
		"signed out":     {nil, "STANDIN_TROUBLE=signed-out", "wrangler could not write to the database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := newConsole(t, c.answer)
			got := run(t, append(on.env(), c.env), "worker-operator", "rekey")
			on.leavesNothing(got)
			if got.code != 1 || !strings.Contains(got.stderr, c.says) || !strings.Contains(got.stderr, "hint: ") || strings.Contains(got.stderr, mayGo) {
				t.Errorf("exit %d\n%s", got.code, got.stderr)
			}
		})
	}
}

// TestOperatorNeedsToKnow: a ticket goes to no stranger over plain http.
func TestOperatorNeedsToKnow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"rekey"},
		{"rekey", "now", "--url", "https://leger.example.com"},
		{"rekey", "--url", "http://leger.example.com"},
		{"invite", "--url", "https://leger.example.com"},
		{"invite", "a", "--settle", "1", "--url", "https://leger.example.com"},
		{"rekey", "--settle", "soon", "--url", "https://leger.example.com"},
		{"rekey", "--unknown", "--url", "https://leger.example.com"},
	} {
		got := run(t, []string{"LEGER_WORKER_URL=", "WRANGLER=/bin/false"}, "worker-operator", args...)
		if got.code != 2 || !strings.Contains(got.stderr, "hint: scripts/worker-operator invite EMAIL") {
			t.Errorf("%q: exit %d\n%s", args, got.code, got.stderr)
		}
	}
}
