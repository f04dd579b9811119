package ledger

import (
	"context"
	"database/sql/driver"
	"time"

	"leger.run/leger"
)

const (
	insertEvent = `
INSERT INTO audit_log (at, user_uuid, action, subject, version, count, credential, device_id, remote_addr, request_id, detail, seal)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12`

	// insertAudit follows the statement that made the change.
	insertAudit = insertEvent + ` WHERE changes() > 0`

	eventColumns = `id, at, action, subject, version, count, credential, device_id, remote_addr, request_id, detail`

	// Events of nobody have an empty user_uuid.
	selectEvents = `
SELECT ` + eventColumns + `
FROM audit_log WHERE user_uuid = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3`

	// eventsSearched is how many events one page of a filter looks through: a filter that
	// nothing fits must not read 400 days of a busy account.
	eventsSearched = 5000

	// ?4 is the most events to look through. The first two columns, which are there when
	// no event fits, too, say how many were looked through and which was the oldest.
	selectFilteredEvents = `
WITH newest AS (
    SELECT ` + eventColumns + `
    FROM audit_log WHERE user_uuid = ?1 AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?4)
SELECT searched.events, searched.oldest, newest.*
FROM (SELECT count(*) AS events, min(id) AS oldest FROM newest) AS searched
LEFT JOIN newest ON (?5 = '' OR newest.action = ?5) AND (?6 = '' OR newest.subject = ?6)
    AND (?7 = '' OR newest.device_id = ?7) AND (?8 = '' OR newest.at >= ?8) AND (?9 = '' OR newest.at < ?9)
ORDER BY newest.id DESC LIMIT ?3`
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
	if page.AuditFilter != (leger.AuditFilter{}) {
		events, next, err = s.filteredEvents(ctx, user, page.AuditFilter, args)
	} else {
		err = s.read(ctx, selectEvents, args, func(r *Row) { events = append(events, eventOf(r, user)) })
	}
	if err != nil {
		return nil, 0, err
	}
	if len(events) > limit {
		events = events[:limit]
		next = events[limit-1].ID
	}
	return events, next, nil
}

// filteredEvents gives what fits among the next events; next is not 0 when there may be
// more of them.
func (s *Store) filteredEvents(ctx context.Context, user leger.UserID, f leger.AuditFilter, args []driver.Value) (
	events []leger.AuditEvent, next int64, err error,
) {
	args = append(args, int64(eventsSearched), string(f.Action), f.Subject, f.DeviceID, maybeTimestamp(f.Since), maybeTimestamp(f.Until))
	err = s.read(ctx, selectFilteredEvents, args, func(r *Row) {
		searched, oldest := r.Integer(), r.Integer()
		if searched == eventsSearched {
			next = oldest
		}
		if !r.null() {
			events = append(events, eventOf(r, user))
		}
	})
	return events, next, err
}

// eventOf reads eventColumns.
func eventOf(r *Row, user leger.UserID) leger.AuditEvent {
	return leger.AuditEvent{
		ID: r.Integer(), At: r.Time(), User: user, Action: leger.Action(r.Text()), Subject: r.Text(),
		Version: leger.Version(r.Integer()), Count: int(r.Integer()), Credential: leger.Credential(r.Text()),
		DeviceID: r.Text(), RemoteAddr: r.Text(), RequestID: r.Text(), Detail: r.Text(),
	}
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
	at := Timestamp(s.eventTime(e))
	return []driver.Value{
		at, e.User.String(), string(e.Action), e.Subject, int64(e.Version), int64(e.Count),
		string(e.Credential), e.DeviceID, e.RemoteAddr, e.RequestID, e.Detail, s.stamp(at, e),
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
