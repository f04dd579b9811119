package sqlite_test

import (
	"path/filepath"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
)

// A filter that nothing fits read the whole log of the account for one page.
func TestFilterLooksThroughSoManyEvents(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	s := open(t, sqlite.Config{Path: path})
	user := owner().UserID()
	first := leger.AuditEvent{At: start(), User: user, Action: leger.ActionSignIn}
	if err := s.AppendAudit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	execSQL(t, path, `WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
		INSERT INTO audit_log (at, user_uuid, action, subject, version, count, credential, device_id, remote_addr, request_id, detail)
		SELECT at, user_uuid, 'secret.read', '', 0, 0, '', '', '', '', '' FROM audit_log, n`)
	page := leger.AuditPage{AuditFilter: leger.AuditFilter{Action: leger.ActionSignIn}}
	events, next, err := s.AuditEvents(t.Context(), user, page)
	if err != nil || len(events) != 0 || next != 2 {
		t.Fatalf("%d events, next %d, %v", len(events), next, err)
	}
	page.Before = next
	events, next, err = s.AuditEvents(t.Context(), user, page)
	if err != nil || len(events) != 1 || next != 0 {
		t.Errorf("%d events, next %d, %v", len(events), next, err)
	}
}
