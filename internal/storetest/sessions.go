package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"leger.run/leger"
)

func sessionTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"a session is found by its hash":            testSession,
		"live sessions, last seen first":            testSessions,
		"a session is ended by its owner":           testDeleteSession,
		"a token is spent once":                     testSpendToken,
		"of 50 that spend a token, one succeeds":    testSpendTokenConcurrently,
		"what is past its time is forgotten":        testPrune,
		"a clock that jumps makes it forget little": testPruneWithWrongClock,
		"an event from the future keeps no other":   testPruneEventsFromTheFuture,
	}
}

// signInBrowser signs person n in with a session made from cookie.
func (h *harness) signInBrowser(n int, cookie string) leger.Session {
	h.Helper()
	s := leger.Session{
		Hash: leger.HashSession(cookie), ID: h.id(), User: identity(n).UserID(), CreatedAt: at(0), LastSeen: at(0),
		ExpiresAt: at(0).Add(leger.SessionAbsolute), UserAgent: "Browser <1>", RemoteAddr: "100.64.0.7",
	}
	_, _, err := h.Users.SignIn(h.Context(), signIn(n, 0), &s)
	h.must(err)
	return s
}

func testSession(h *harness) {
	want := h.signInBrowser(1, "cookie")
	got, err := h.Sessions.Session(h.Context(), want.Hash)
	h.must(err)
	h.same("session", got, want)
	_, err = h.Sessions.Session(h.Context(), leger.HashSession("another"))
	h.fails(err, leger.ErrNotFound)
	_, err = h.Sessions.Session(h.Context(), leger.SessionHash("cookie"))
	h.fails(err, leger.ErrNotFound)
	_, err = h.Sessions.Session(h.Context(), "")
	h.fails(err, leger.ErrNotFound)
}

func testSessions(h *harness) {
	a, b, c := h.signInBrowser(1, "a"), h.signInBrowser(1, "b"), h.signInBrowser(1, "c")
	h.signInBrowser(2, "another's")
	now := at(0).Add(leger.SessionIdle)
	a.LastSeen, b.LastSeen = at(10), at(20)
	h.must(h.Sessions.TouchSession(h.Context(), a.Hash, a.LastSeen))
	h.must(h.Sessions.TouchSession(h.Context(), b.Hash, b.LastSeen))
	h.must(h.Sessions.TouchSession(h.Context(), b.Hash, at(15)))
	h.must(h.Sessions.TouchSession(h.Context(), leger.HashSession("nobody's"), at(15)))
	list, err := h.Sessions.Sessions(h.Context(), a.User, now)
	h.must(err)
	h.same("c has gone idle", list, []leger.Session{b, a})
	list, err = h.Sessions.Sessions(h.Context(), a.User, now.Add(-time.Millisecond))
	h.must(err)
	h.same("a moment earlier", list, []leger.Session{b, a, c})
	h.must(h.Sessions.TouchSession(h.Context(), a.Hash, a.ExpiresAt.Add(-time.Minute)))
	list, err = h.Sessions.Sessions(h.Context(), a.User, a.ExpiresAt)
	h.must(err)
	h.same("at the absolute end", list, []leger.Session{})
}

func testDeleteSession(h *harness) {
	mine, theirs := h.signInBrowser(1, "mine"), h.signInBrowser(2, "theirs")
	end := func(user leger.UserID, id string) error {
		return h.Sessions.DeleteSession(h.Context(), user, id, event(user, leger.ActionSessionEnd, id, 0, 1))
	}
	h.fails(end(mine.User, theirs.ID), leger.ErrNotFound)
	h.must(end(mine.User, mine.ID))
	h.fails(end(mine.User, mine.ID), leger.ErrNotFound)
	_, err := h.Sessions.Session(h.Context(), mine.Hash)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Sessions.Session(h.Context(), theirs.Hash)
	h.must(err)
	h.same("audit", h.actions(mine.User), []leger.Action{leger.ActionSignIn, leger.ActionSessionEnd})
}

func (h *harness) spent(jti string) bool {
	h.Helper()
	spent, err := h.Sessions.TokenSpent(h.Context(), jti)
	h.must(err)
	return spent
}

func testSpendToken(h *harness) {
	h.same("spent before", h.spent("t1"), false)
	h.must(h.Sessions.SpendToken(h.Context(), "t1", at(2)))
	h.fails(h.Sessions.SpendToken(h.Context(), "t1", at(2)), leger.ErrConflict)
	h.fails(h.Sessions.SpendToken(h.Context(), "t1", at(90)), leger.ErrConflict)
	h.same("spent after", h.spent("t1"), true)
	h.same("another", h.spent("t"), false)

	user := h.account(1)
	for jti, want := range map[string]bool{"t1": true, "t": false, "": false} {
		u, spent, err := h.Sessions.TokenUser(h.Context(), user, jti)
		h.must(err)
		h.same("spent "+jti, spent, want)
		h.same("whose", u.ID, user)
	}
	_, _, err := h.Sessions.TokenUser(h.Context(), identity(2).UserID(), "t1")
	h.fails(err, leger.ErrNotFound)
}

func testSpendTokenConcurrently(h *harness) {
	var succeeded atomic.Int64
	h.together(func(int) error {
		err := h.Sessions.SpendToken(h.Context(), "t1", at(2))
		if err == nil {
			succeeded.Add(1)
		}
		if errors.Is(err, leger.ErrConflict) {
			return nil
		}
		return err
	})
	h.same("callers that succeeded", succeeded.Load(), int64(1))
}

func testPrune(h *harness) {
	old, idle, live := h.signInBrowser(1, "old"), h.signInBrowser(1, "idle"), h.signInBrowser(1, "live")
	now := old.ExpiresAt.Add(time.Hour)
	h.must(h.Sessions.TouchSession(h.Context(), old.Hash, now))
	fresh := live
	fresh.Hash, fresh.ID, fresh.CreatedAt, fresh.LastSeen, fresh.ExpiresAt =
		leger.HashSession("fresh"), h.id(), now, now, now.Add(leger.SessionAbsolute)
	_, _, err := h.Users.SignIn(h.Context(), signIn(1, 1), &fresh)
	h.must(err)
	h.must(h.Sessions.SpendToken(h.Context(), "past", now.Add(-time.Hour)))
	h.must(h.Sessions.SpendToken(h.Context(), "coming", now.Add(time.Minute)))
	h.pruneUntil(now)

	for _, s := range []leger.Session{old, idle} {
		_, err := h.Sessions.Session(h.Context(), s.Hash)
		h.fails(err, leger.ErrNotFound)
	}
	_, err = h.Sessions.Session(h.Context(), fresh.Hash)
	h.must(err)
	h.same("a token that has expired", h.spent("past"), false)
	h.same("a token that has not", h.spent("coming"), true)
	h.fails(h.Sessions.SpendToken(h.Context(), "coming", now.Add(time.Minute)), leger.ErrConflict)
	h.same("audit events within their time", len(h.actions(live.User)), 4)

	late := event(live.User, leger.ActionAccessDenied, "late", 0, 0)
	late.At = at(0).AddDate(0, 0, 1)
	h.must(h.Audit.AppendAudit(h.Context(), late))
	h.pruneUntil(at(2).AddDate(0, 0, leger.AuditRetentionDays))
	h.same("audit events, the old ones forgotten", h.actions(live.User), []leger.Action{leger.ActionAccessDenied})
	h.pruneUntil(late.At.AddDate(0, 0, leger.AuditRetentionDays+1))
	h.same("audit events when all are old: the newest one", h.actions(live.User), []leger.Action{leger.ActionAccessDenied})
}

// pruneUntil prunes as often as it takes to come to now.
func (h *harness) pruneUntil(now time.Time) {
	h.Helper()
	for range 1000 {
		upTo, err := h.Sessions.Prune(h.Context(), now)
		h.must(err)
		if upTo.Equal(now) {
			return
		}
		if upTo.After(now) {
			h.Fatalf("pruned up to %v, which is after %v", upTo, now)
		}
	}
	h.Fatal("pruning never comes to an end")
}

// A server that was started once with its clock 31 days ahead forgot which tokens
// were revoked, and a revoked token worked again; ten years ahead it deleted the
// whole audit log.
func testPruneWithWrongClock(h *harness) {
	user := h.signInBrowser(1, "cookie").User
	h.must(h.Sessions.SpendToken(h.Context(), "revoked", at(0).AddDate(0, 0, 20)))
	before := h.actions(user)
	for _, ahead := range []time.Time{at(0).AddDate(0, 0, 31), at(1).AddDate(10, 0, 0)} {
		_, err := h.Sessions.Prune(h.Context(), at(0)) // the clock is right again
		h.must(err)
		upTo, err := h.Sessions.Prune(h.Context(), ahead)
		h.must(err)
		h.same("how far one pruning goes", upTo, at(0).AddDate(0, 0, 1))
		h.same("a revoked token stays revoked", h.spent("revoked"), true)
		h.same("audit events", h.actions(user), before)
	}
	late := event(user, leger.ActionAccessDenied, "of the wrong clock", 0, 0)
	late.At = at(0).AddDate(10, 0, 0)
	h.must(h.Audit.AppendAudit(h.Context(), late))
	_, err := h.Sessions.Prune(h.Context(), late.At)
	h.must(err)
	h.same("a revoked token, after the wrong clock wrote an event", h.spent("revoked"), true)
}

// One event with a time years ahead, once the oldest, ended every search for old
// events: the log was never pruned again.
func testPruneEventsFromTheFuture(h *harness) {
	user := h.account(1)
	for i, when := range []time.Time{at(0).AddDate(10, 0, 0), at(1), at(0).AddDate(0, 0, 30)} {
		e := event(user, leger.ActionAccessDenied, fmt.Sprint(i), 0, 0)
		e.At = when
		h.must(h.Audit.AppendAudit(h.Context(), e))
	}
	h.pruneUntil(at(2).AddDate(0, 0, leger.AuditRetentionDays))
	events, _, err := h.Audit.AuditEvents(h.Context(), user, leger.AuditPage{})
	h.must(err)
	if len(events) != 1 || events[0].Subject != "2" {
		h.Errorf("events that stay: %+v", events)
	}
}
