//go:build e2e

package cloudflare_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"leger.run/leger/e2e/workerd"
	"leger.run/leger/internal/cloudflare"
	"leger.run/leger/internal/storetest"
	"leger.run/leger/migrations"
)

// stores is how many databases the Worker of the suite has: one for each test.
const stores = 140

// TestConformance runs the suite on D1 and KV as workerd has them. The tests are
// native; worker/test/operations.mjs runs what they ask of the bindings, with the
// code that the Worker runs it with.
func TestConformance(t *testing.T) {
	t.Parallel()
	w := startOperations(t)
	var next atomic.Int64
	storetest.Run(t, func(t *testing.T) storetest.Stores {
		number := int(next.Add(1)) - 1
		if number == stores {
			t.Fatalf("the suite has more than %d tests: give its Worker more databases", stores)
		}
		b := &remote{url: w.Direct, number: number}
		b.migrate(t)
		s := cloudflare.NewStore(b, time.Now, slog.New(slog.NewTextHandler(t.Output(), nil)))
		return storetest.Stores{
			Secrets: s, Users: s, Sessions: s, Releases: s, Hosts: s, Machines: s, Enrolments: s, Links: s,
			Operator: s, Audit: s, Installation: s, Chain: s,
			Execute: func(ctx context.Context, sql string) error { return cloudflare.RunScript(ctx, b, sql) },
		}
	})
}

func startOperations(t *testing.T) *workerd.Worker {
	t.Helper()
	tools, err := filepath.Abs("../../worker")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "wrangler.jsonc"), operationsSettings(t, tools), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := workerd.Start(t.Context(), workerd.Config{Dir: dir, Tools: tools, Unmigrated: true, Quiet: true})
	if err != nil {
		t.Fatalf("start the Worker: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// operationsSettings gives the Worker a database and two namespaces for each test.
func operationsSettings(t *testing.T, worker string) []byte {
	t.Helper()
	type binding map[string]string
	var databases, namespaces []binding
	for i := range stores {
		databases = append(databases, binding{
			"binding": fmt.Sprintf("DB_%d", i), "database_name": fmt.Sprintf("db-%d", i), "database_id": fmt.Sprintf("db-%d", i),
		})
		for _, kind := range []string{"USERS", "SECRETS"} {
			name := fmt.Sprintf("%s_%d", kind, i)
			namespaces = append(namespaces, binding{"binding": name, "id": name})
		}
	}
	text, err := json.Marshal(map[string]any{
		"name": "operations", "main": filepath.Join(worker, "test", "operations.mjs"), "compatibility_date": "2025-04-01",
		"d1_databases": databases, "kv_namespaces": namespaces,
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// remote implements cloudflare.Bindings with those of a Worker.
type remote struct {
	url    string
	number int
	meter  bool // have the rows counted
}

func (r *remote) Do(ctx context.Context, op cloudflare.Operation) ([]byte, error) {
	body, _, err := r.do(ctx, op)
	return body, err
}

// do also gives what the Worker says of the operation beside its answer.
func (r *remote) do(ctx context.Context, op cloudflare.Operation) ([]byte, http.Header, error) {
	text, err := json.Marshal(map[string]any{"number": r.number, "operation": op, "meter": r.meter})
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/operation", bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, errors.New(string(body))
	}
	return body, res.Header, nil
}

// migrate applies the schema: each file's statements in one batch.
func (r *remote) migrate(t *testing.T) {
	t.Helper()
	all, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if err := cloudflare.RunScript(t.Context(), r, m.SQL); err != nil {
			t.Fatalf("apply %s: %v", m.Name, err)
		}
	}
}
