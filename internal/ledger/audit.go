package ledger

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

const (
	insertEvent = `
INSERT INTO audit_log (at, user_uuid, action, subject, version, count, credential, device_id, remote_addr, request_id, detail)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11`

	// insertAudit follows the statement that made the change.
	insertAudit = insertEvent + ` WHERE changes() > 0`

	// Events of nobody have an empty user_uuid.
	selectEvents = `
SELECT id, at, action, subject, version, count, credential, device_id, remote_addr, request_id, detail
FROM audit_log WHERE user_uuid = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`
)

// AppendAudit implements leger.AuditLog.
func (s *Store) AppendAudit(ctx context.Context, e leger.AuditEvent) error {
	return s.write(ctx, SurvivesPowerLoss, s.auditEvent(e))
}

// AuditEvents implements leger.AuditLog. The zero user's events are those of
// callers who proved nobody. A Limit outside 1 to MaxPageSize is moved into it.
func (s *Store) AuditEvents(ctx context.Context, user leger.UserID, page leger.AuditPage) (events []leger.AuditEvent, next int64, err error) {
	limit := pageLimit(page.Limit)
	args := []driver.Value{user.String(), page.Before, int64(limit + 1)}
	err = s.read(ctx, selectEvents, args, func(r *Row) {
		events = append(events, leger.AuditEvent{
			ID: r.Integer(), At: r.Time(), User: user, Action: leger.Action(r.Text()), Subject: r.Text(),
			Version: leger.Version(r.Integer()), Count: int(r.Integer()), Credential: leger.Credential(r.Text()),
			DeviceID: r.Text(), RemoteAddr: r.Text(), RequestID: r.Text(), Detail: r.Text(),
		})
	})
	if err != nil {
		return nil, 0, err
	}
	if len(events) > limit {
		events = events[:limit]
		next = events[limit-1].ID
	}
	return events, next, nil
}

// auditChange writes the event of the change that the last statement made.
func (s *Store) auditChange(e leger.AuditEvent) Statement {
	return following(insertAudit, s.eventValues(e)...)
}

// auditEvent writes an event whatever the last statement did.
func (s *Store) auditEvent(e leger.AuditEvent) Statement {
	return statement(insertEvent, s.eventValues(e)...)
}

func (s *Store) eventValues(e leger.AuditEvent) []driver.Value {
	return []driver.Value{
		Timestamp(s.eventTime(e)), e.User.String(), string(e.Action), e.Subject, int64(e.Version), int64(e.Count),
		string(e.Credential), e.DeviceID, e.RemoteAddr, e.RequestID, e.Detail,
	}
}

func (s *Store) eventTime(e leger.AuditEvent) time.Time {
	if e.At.IsZero() {
		return s.now()
	}
	return e.At
}

// pageLimit moves a page's size into 1 to MaxPageSize; 0 is the default size.
func pageLimit(n int) int {
	if n == 0 {
		n = leger.DefaultPageSize
	}
	return min(max(n, 1), leger.MaxPageSize)
}
