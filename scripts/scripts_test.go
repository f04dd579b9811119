// Package scripts_test runs the scripts that talk to Cloudflare, with a stand-in
// for wrangler and small servers for the Worker.
package scripts_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// outcome is how a script ended.
type outcome struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, env []string, script string, args ...string) outcome {
	t.Helper()
	path, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// account is what the stand-in for wrangler keeps instead of Cloudflare.
type account struct {
	t   *testing.T
	dir string
}

func newAccount(t *testing.T, holds map[string]string) account {
	t.Helper()
	a := account{t, t.TempDir()}
	for name, id := range holds {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(id), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// resources runs the script on the account.
func (a account) resources(trouble string) outcome {
	a.t.Helper()
	standin, err := filepath.Abs("testdata/wrangler")
	if err != nil {
		a.t.Fatal(err)
	}
	return run(a.t, []string{"WRANGLER=" + standin, "STANDIN_ACCOUNT=" + a.dir, "STANDIN_TROUBLE=" + trouble}, "cloudflare-resources")
}

// created gives the calls of the stand-in that make something, and forgets them.
func (a account) created() []string {
	a.t.Helper()
	path := filepath.Join(a.dir, "calls")
	text, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		a.t.Fatal(err)
	}
	var made []string
	for call := range strings.Lines(string(text)) {
		if strings.Contains(call, " create ") {
			made = append(made, strings.TrimSpace(call))
		}
	}
	return made
}

func everything() map[string]string {
	return map[string]string{
		"kv:LEGER_USERS": "aaaaaaaa1", "kv:LEGER_USERS_preview": "aaaaaaaa2",
		"kv:LEGER_SECRETS": "bbbbbbbb1", "kv:LEGER_SECRETS_preview": "bbbbbbbb2",
		"r2:leger-static-sites": "cccccccc1",
		"d1:leger-db":           "dddddddd-0000-4000-8000-000000000001",
	}
}

func without(all map[string]string, names ...string) map[string]string {
	for _, name := range names {
		delete(all, name)
	}
	return all
}

func TestResourcesAreMadeOnce(t *testing.T) {
	t.Parallel()
	others := map[string]string{
		"kv:MY_LEGER_USERS": "eeeeeeee1", "r2:leger-static-sites-old": "eeeeeeee2", "d1:leger-db-old": "eeeeeeee3",
	}
	for name, c := range map[string]struct {
		holds map[string]string
		made  int
	}{
		"nothing there":            {nil, 6},
		"all there":                {everything(), 0},
		"half there":               {without(everything(), "kv:LEGER_USERS_preview", "kv:LEGER_SECRETS", "d1:leger-db"), 3},
		"only others' of the like": {others, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, c.holds)
			first := a.resources("")
			if made := a.created(); first.code != 0 || len(made) != c.made {
				t.Fatalf("exit %d, made %q, want %d made\n%s", first.code, made, c.made, first.stderr)
			}
			for file, id := range c.holds {
				if _, ours := everything()[file]; ours && !strings.HasPrefix(file, "r2:") && !strings.Contains(first.stdout, `"`+id+`"`) {
					t.Errorf("%s was there with the id %s, which is not printed:\n%s", file, id, first.stdout)
				}
			}
			if empty := regexp.MustCompile(`id": ""`); empty.MatchString(first.stdout) || strings.Contains(first.stdout, "eeeeeeee") {
				t.Errorf("an id is missing or another one's:\n%s", first.stdout)
			}

			second := a.resources("")
			if made := a.created(); second.code != 0 || len(made) != 0 || second.stdout != first.stdout {
				t.Errorf("the second time: exit %d, made %q, printed\n%s\nand not\n%s", second.code, made, second.stdout, first.stdout)
			}
		})
	}
}

// TestResourcesArePrintedAsConfigured: what is printed goes into wrangler.jsonc as
// it is, so it has the same lines there but for the ids.
func TestResourcesArePrintedAsConfigured(t *testing.T) {
	t.Parallel()
	configured, err := os.ReadFile("../worker/wrangler.jsonc")
	if err != nil {
		t.Fatal(err)
	}
	ids := regexp.MustCompile(`, "preview_id": "[^"]*"|"(id|database_id)": "[^"]*"`)
	plain := func(text string) string { return ids.ReplaceAllString(text, "$1") }
	printed := newAccount(t, nil).resources("")
	for line := range strings.Lines(plain(printed.stdout)) {
		if !strings.Contains(plain(string(configured)), line) {
			t.Errorf("worker/wrangler.jsonc has no line such as %q", line)
		}
	}
	if strings.Count(printed.stdout, "\n") < 8 {
		t.Errorf("printed only\n%s", printed.stdout)
	}
}

// TestResourcesBeyondTheFirstPage: wrangler lists twenty buckets and no more.
func TestResourcesBeyondTheFirstPage(t *testing.T) {
	t.Parallel()
	a := newAccount(t, everything())
	if got := a.resources("many-buckets"); got.code != 0 || !strings.Contains(got.stderr, "is there:    R2 bucket") {
		t.Errorf("exit %d\n%s", got.code, got.stderr)
	}
}

func TestResourcesInTrouble(t *testing.T) {
	t.Parallel()
	for trouble, says := range map[string][]string{
		"signed-out": {"CLOUDFLARE_API_TOKEN", "leger: wrangler kv namespace list did not succeed", "hint: sign in"},
		"garbled":    {"leger: wrangler printed a list that cannot be read", "hint: "},
		"no-r2":      {"Please enable R2", "leger: the R2 bucket leger-static-sites cannot be made", "hint: R2 has to be switched on"},
	} {
		t.Run(trouble, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, nil)
			got := a.resources(trouble)
			if got.code != 1 || got.stdout != "" {
				t.Errorf("exit %d, want 1 and nothing to put into the configuration, got %q", got.code, got.stdout)
			}
			for _, text := range says {
				if !strings.Contains(got.stderr, text) {
					t.Errorf("does not say %q:\n%s", text, got.stderr)
				}
			}
			if trouble != "no-r2" && len(a.created()) > 0 {
				t.Error("something was made although nothing could be told")
			}
		})
	}
}

const (
	healthy = `{"status":"healthy","service":"leger-app","version":"0.1.0","timestamp":"2026-11-01T00:00:00Z"}`
	ready   = `{"status":"ready","checks":{"storage":"ok"}}`
)

// worker answers /health and /ready.
func worker(t *testing.T, health, readiness http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", health)
	mux.HandleFunc("GET /ready", readiness)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestHealthOfAWorker(t *testing.T) {
	t.Parallel()
	unmigrated := `{"status":"unavailable","checks":{"storage":"the database lacks the migration 0001_initial"}}`
	for name, c := range map[string]struct {
		health, ready http.HandlerFunc
		code          int
		says          string
	}{
		"well":              {answers(200, healthy), answers(200, ready), 0, "is healthy and ready"},
		"not migrated":      {answers(200, healthy), answers(503, unmigrated), 1, "/ready answers 503: the database lacks the migration 0001_initial"},
		"another's page":    {answers(200, "<!doctype html>"), answers(200, ready), 1, "/health answers 200 with something that is not Leger's"},
		"another's service": {answers(200, `{"status":"healthy","service":"cafe"}`), answers(200, ready), 1, "/health answers 200: healthy"},
		"null":              {answers(200, `null`), answers(200, ready), 1, "/health answers 200"},
		"sent elsewhere":    {http.RedirectHandler("/ready", http.StatusFound).ServeHTTP, answers(200, ready), 1, "/health answers 302"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := worker(t, c.health, c.ready)
			got := run(t, nil, "worker-health", s.URL, "0")
			if got.code != c.code || !strings.Contains(got.stdout+got.stderr, c.says) {
				t.Errorf("exit %d, want %d, saying %q:\n%s%s", got.code, c.code, c.says, got.stdout, got.stderr)
			}
			if got.code != 0 && !strings.Contains(got.stderr, "hint: ") {
				t.Errorf("no hint:\n%s", got.stderr)
			}
		})
	}
}

// TestHealthAfterAMoment: the first answers after a deployment may be the old
// version's, or the platform's own.
func TestHealthAfterAMoment(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := worker(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			answers(404, "There is nothing here yet")(w, r)
			return
		}
		answers(200, healthy)(w, r)
	}, answers(200, ready))
	if got := run(t, nil, "worker-health", s.URL, "30"); got.code != 0 || asked.Load() != 3 {
		t.Errorf("exit %d after %d requests\n%s", got.code, asked.Load(), got.stderr)
	}
}

// TestHealthOfNobody: neither a server that is away nor one that never answers
// holds the script longer than it may.
func TestHealthOfNobody(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	silent := worker(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, answers(200, ready))
	for _, url := range []string{gone.URL, silent.URL} {
		got := run(t, nil, "worker-health", url, "1")
		if got.code != 1 || !strings.Contains(got.stderr, "is not well after 1 s: /health does not answer: ") {
			t.Errorf("exit %d\n%s", got.code, got.stderr)
		}
	}
}

func TestHealthNeedsAnAddress(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"https://leger.example.com", "-1"}, {"leger.example.com"}, {"ftp://leger.example.com"}, {"https://leger.example.com", "soon"}, {"https://a.example", "1", "2"}} {
		if got := run(t, nil, "worker-health", args...); got.code != 2 || !strings.Contains(got.stderr, "usage") {
			t.Errorf("%q: exit %d\n%s", args, got.code, got.stderr)
		}
	}
}
