package storetest

import (
	"fmt"

	"leger.run/leger"
)

func auditTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"an event comes back as it was written": testAuditEvent,
		"pages, newest first":                   testAuditPages,
		"filters":                               testAuditFilters,
		"events of nobody":                      testAuditNobody,
		"50 events at once":                     testConcurrentAudit,
	}
}

func testAuditEvent(h *harness) {
	user := h.account(1)
	want := leger.AuditEvent{
		At: at(3), User: user, Action: leger.ActionSecretRead, Subject: "*", Version: 7, Count: 100,
		Credential: leger.CredentialSession, DeviceID: "node", RemoteAddr: "fd7a::1", RequestID: "r-1", Detail: "<null> ' 🦊",
	}
	h.must(h.Audit.AppendAudit(h.Context(), want))
	events, next, err := h.Audit.AuditEvents(h.Context(), user, leger.AuditPage{Limit: 1})
	h.must(err)
	if len(events) != 1 || events[0].ID <= 0 {
		h.Fatalf("events = %+v", events)
	}
	h.same("next", next, events[0].ID)
	want.ID = events[0].ID
	h.same("event", events[0], want)
}

func testAuditPages(h *harness) {
	user, other := h.account(1), h.account(2)
	for i := range 7 {
		h.must(h.Audit.AppendAudit(h.Context(), event(user, leger.ActionAccessDenied, fmt.Sprint(i), 0, i)))
		h.must(h.Audit.AppendAudit(h.Context(), event(other, leger.ActionAccessDenied, "another's", 0, i)))
	}
	var got []string
	var before int64
	for pages := range 10 {
		events, next, err := h.Audit.AuditEvents(h.Context(), user, leger.AuditPage{Limit: 4, Before: before})
		h.must(err)
		for _, e := range events {
			if before != 0 && e.ID >= before {
				h.Errorf("event %d on the page before %d", e.ID, before)
			}
			got = append(got, e.Subject)
		}
		if next == 0 {
			h.same("pages before the last", pages, 1)
			break
		}
		before = next
	}
	h.same("subjects", got, []string{"6", "5", "4", "3", "2", "1", "0", ""})
}

func testAuditFilters(h *harness) {
	user, other := h.account(1), h.account(2)
	for i, subject := range []string{"a", "b", "a", "b", "a"} {
		e := event(user, leger.ActionSecretRead, subject, 1, i+1)
		if e.DeviceID = "one"; i > 2 {
			e.DeviceID = "two"
		}
		h.must(h.Audit.AppendAudit(h.Context(), e))
		e.User = other
		h.must(h.Audit.AppendAudit(h.Context(), e))
	}
	for _, c := range []struct {
		name   string
		filter leger.AuditFilter
		want   []int // minutes after the start
	}{
		{"by action", leger.AuditFilter{Action: leger.ActionSecretRead}, []int{5, 4, 3, 2, 1}},
		{"by another action", leger.AuditFilter{Action: leger.ActionSignIn}, []int{0}},
		{"by subject", leger.AuditFilter{Subject: "a"}, []int{5, 3, 1}},
		{"by a part of a subject", leger.AuditFilter{Subject: "%"}, nil},
		{"by machine", leger.AuditFilter{DeviceID: "two"}, []int{5, 4}},
		{"from a time on", leger.AuditFilter{Since: at(4)}, []int{5, 4}},
		{"before a time", leger.AuditFilter{Until: at(2)}, []int{1, 0}},
		{"by all of them", leger.AuditFilter{
			Action: leger.ActionSecretRead, Subject: "a", DeviceID: "one", Since: at(2), Until: at(5),
		}, []int{3}},
	} {
		var got []int
		var before int64
		for range 10 { // pages of two
			events, next, err := h.Audit.AuditEvents(h.Context(), user, leger.AuditPage{Limit: 2, Before: before, AuditFilter: c.filter})
			h.must(err)
			for _, e := range events {
				h.same("whose", e.User, user)
				got = append(got, int(e.At.Sub(at(0)).Minutes()))
			}
			if before = next; next == 0 {
				break
			}
		}
		h.same(c.name, got, c.want)
	}
}

func testAuditNobody(h *harness) {
	user := h.account(1)
	h.must(h.Audit.AppendAudit(h.Context(), event(leger.UserID{}, leger.ActionSignInRefused, "", 0, 0)))
	h.same("events of nobody", h.actions(leger.UserID{}), []leger.Action{leger.ActionSignInRefused})
	h.same("events of somebody", h.actions(user), []leger.Action{leger.ActionSignIn})
}

func testConcurrentAudit(h *harness) {
	user := h.account(1)
	h.together(func(i int) error {
		return h.Audit.AppendAudit(h.Context(), event(user, leger.ActionAccessDenied, fmt.Sprint(i), 0, i))
	})
	events, _, err := h.Audit.AuditEvents(h.Context(), user, leger.AuditPage{Limit: leger.MaxPageSize})
	h.must(err)
	h.same("events", len(events), writers+1)
	for i := 1; i < len(events); i++ {
		if events[i].ID >= events[i-1].ID {
			h.Errorf("event %d comes after event %d", events[i].ID, events[i-1].ID)
		}
	}
}
