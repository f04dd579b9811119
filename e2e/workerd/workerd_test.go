//go:build e2e

package workerd_test

import (
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/e2e/workerd"
	"leger.run/leger/internal/token"
)

// typescript is the smallest Worker there is here, the benchmark's.
func typescript(t *testing.T, c workerd.Config) *workerd.Worker {
	t.Helper()
	c.Dir, c.Tools = "../../bench/worker-ts", tools(t)
	c.Secrets = map[string]string{"JWT_SECRET": secret, "ENCRYPTION_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
	w, err := workerd.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func tools(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../worker")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

const secret = `a shared secret with $HOME, #1, \n and "quotes"`

// What wrangler's commands write, the running Worker reads, and the other way.
func TestStorageIsShared(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := typescript(t, workerd.Config{})
	who := leger.LocalIdentity("alice@example.com")
	key := "secrets:" + who.UserID().String() + ":a"
	const binding = "LEGER_SECRETS"

	for _, url := range []string{w.URL, w.Direct} {
		if got, err := w.KVGet(ctx, binding, key); err != nil || len(got) > 0 {
			t.Errorf("of a key that is not there: %v, %v", got, err)
		}
		if status := call(t, who, http.MethodPost, url+"/api/secrets/a", `{"value":"v"}`); status != http.StatusOK {
			t.Fatalf("status %d\n%s", status, w.Log())
		}
		got, err := w.KVGet(ctx, binding, key)
		if err != nil || !strings.Contains(got[key], `"name":"a"`) {
			t.Errorf("got %v, %v", got, err)
		}
		if err := w.KVDelete(ctx, binding, key); err != nil {
			t.Error(err)
		}
		if status := call(t, who, http.MethodGet, url+"/api/secrets/a", ""); status != http.StatusNotFound {
			t.Errorf("of a deleted key: status %d", status)
		}
		if err := w.KVPut(ctx, binding, workerd.KVEntry{Key: key, Value: got[key], Metadata: map[string]any{"version": 3}}); err != nil {
			t.Fatal(err)
		}
		if status := call(t, who, http.MethodGet, url+"/api/secrets/a", ""); status != http.StatusOK {
			t.Errorf("of a key that was put back: status %d", status)
		}
		keys, err := w.KVList(ctx, binding, "secrets:")
		if err != nil || len(keys) != 1 || keys[0].Metadata["version"] != 3.0 {
			t.Errorf("got %v, %v", keys, err)
		}
		if err := w.KVDelete(ctx, binding, key); err != nil {
			t.Error(err)
		}
	}
	rows, err := w.D1(ctx, "leger-db", "SELECT count(*) AS n FROM users")
	if err != nil || len(rows) != 1 || rows[0]["n"] != 0.0 {
		t.Errorf("got %v, %v", rows, err)
	}
	if n, err := w.R2Objects("leger-static-sites"); n != 0 || err != nil {
		t.Errorf("R2 holds %d objects, %v", n, err)
	}
	if n, err := w.Memory(); err != nil || n < 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// call sends a request as somebody and gives the status.
func call(t *testing.T, who leger.Identity, method, url, body string) int {
	t.Helper()
	shared, err := token.ParseSecret([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	origin, err := token.Origin(url)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := token.New(time.Now(), rand.Reader, who, token.IssuerCLI, origin, false, "test")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := token.Sign(shared, claims)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+signed)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// The storage of a Worker that was started again is the same, and nothing of the
// first is left: no process, no file with a secret.
func TestStopLeavesOnlyWhatWasAskedFor(t *testing.T) {
	persist, private := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", private)
	w := typescript(t, workerd.Config{Persist: persist})
	if err := w.KVPut(t.Context(), "LEGER_USERS", workerd.KVEntry{Key: "user:a", Value: "1\n"}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.Log(), secret[:20]) {
		t.Error("the log has a secret")
	}
	if files := holding(t, private, secret[:20]); len(files) != 1 || filepath.Base(files[0]) != "secrets.env" {
		t.Errorf("files that hold a secret: %v", files)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(private); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if _, err := w.Memory(); err == nil {
		t.Error("its process is still there")
	}
	w = typescript(t, workerd.Config{Persist: persist, Quiet: true})
	if got, err := w.KVGet(t.Context(), "LEGER_USERS", "user:a"); err != nil || got["user:a"] != "1\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

// holding names the files below dir that hold text.
func holding(t *testing.T, dir, text string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A Worker that cannot start says why.
func TestBrokenWorkerTellsWhy(t *testing.T) {
	t.Parallel()
	_, err := workerd.Start(t.Context(), workerd.Config{
		Dir: "../../bench/worker-ts", Tools: tools(t),
		Edit: func(s workerd.Settings) { s["main"] = "/nowhere/index.ts" },
	})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/index.ts") {
		t.Errorf("got %v", err)
	}
}
