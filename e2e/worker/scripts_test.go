//go:build e2e

package worker_test

import (
	"os/exec"
	"testing"
)

// TestAPIScripts runs the API's scripts, which internal/httpapi runs against the
// native handlers, against the Worker.
func TestAPIScripts(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	w := startWorker(t, k, nil)
	scripts := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "^TestScripts$", "leger.run/leger/internal/httpapi")
	scripts.Env = append(scripts.Environ(), "LEGER_TEST_URL="+w.URL, "LEGER_TEST_JWT_SECRET="+k.shared, "LEGER_TEST_OPERATOR="+operatorTicket(t, w))
	if out, err := scripts.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
