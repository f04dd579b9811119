package storetest

import (
	"fmt"

	"leger.run/leger"
)

func auditTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"an event comes back as it was written": testAuditEvent,
		"pages, newest first":                   testAuditPages,
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
