package storetest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"leger.run/leger"
)

func operatorTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"a ticket is one that stands in the database":     testOperatorTicket,
		"an invitation makes the account":                 testInviteOwner,
		"an invitation leaves an account as it is":        testInviteKnownOwner,
		"an account has so many invitations of both":      testManyOwnerInvitations,
		"records are sealed anew where they are as read":  testReseal,
		"owners are told of a new key once":               testTellRekey,
		"of two that tell owners of a key, one does each": testTellManyOfRekey,
	}
}

// writeTicket does what scripts/worker-operator has wrangler do.
func (h *harness) writeTicket(end time.Time) leger.TicketHash {
	h.Helper()
	hash := h.ticket(leger.OperatorPrefix)
	h.must(h.Execute(h.Context(), fmt.Sprintf(`INSERT INTO operator_tickets (ticket_hash, expires_at)
		VALUES ('%s', strftime('%%Y-%%m-%%dT%%H:%%M:%%f000Z', '%s'))`, hash, end.UTC().Format("2006-01-02 15:04:05.000"))))
	return hash
}

func testOperatorTicket(h *harness) {
	h.fails(h.Operator.OperatorTicket(h.Context(), h.ticket(leger.OperatorPrefix), at(1)), leger.ErrNotFound)
	hash := h.writeTicket(at(60))
	for range 2 {
		h.must(h.Operator.OperatorTicket(h.Context(), hash, at(1)))
	}
	h.fails(h.Operator.OperatorTicket(h.Context(), hash, at(60)), leger.ErrNotFound)
	long := h.writeTicket(at(1).Add(leger.OperatorLifetime + leger.OperatorSkew + time.Second))
	h.fails(h.Operator.OperatorTicket(h.Context(), long, at(1)), leger.ErrNotFound) // none is a key for good
	_, err := h.Sessions.Prune(h.Context(), at(60))
	h.must(err)
	h.fails(h.Operator.OperatorTicket(h.Context(), hash, at(1)), leger.ErrNotFound)
	h.must(h.Operator.OperatorTicket(h.Context(), long, at(5)))
}

// ownerInvitation is an invitation of person number n, and its event.
func (h *harness) ownerInvitation(n, minute int) (leger.Invitation, leger.AuditEvent) {
	h.Helper()
	user := identity(n).UserID()
	in := leger.Invitation{
		ID: h.id(), User: user, Ticket: h.ticket(leger.InvitationPrefix), Role: leger.RoleFull,
		CreatedAt: at(minute), ExpiresAt: at(minute).Add(leger.InvitationLifetime),
	}
	e := event(user, leger.ActionMachineInvite, in.ID, 0, minute)
	e.Credential = leger.CredentialOperator
	return in, e
}

func testInviteOwner(h *harness) {
	in, e := h.ownerInvitation(1, 1)
	u, err := h.Operator.InviteOwner(h.Context(), identity(1), in, e)
	h.must(err)
	id := identity(1)
	want := leger.User{
		ID: id.UserID(), TailscaleUserID: id.TailscaleUserID, Email: id.Email, Tailnet: id.Tailnet,
		CreatedAt: at(1), LastSeen: at(1),
	}
	h.same("the account", u, want)
	stored, err := h.Users.User(h.Context(), u.ID)
	h.must(err)
	h.same("stored", stored, want)
	got, err := h.Enrolments.Invitation(h.Context(), in.Ticket, at(2))
	h.must(err)
	h.same("the invitation", got, in)
	h.same("audit", h.actions(u.ID), []leger.Action{leger.ActionMachineInvite})

	m := h.machine(u.ID, 1, 2)
	m.EnrolledBy = leger.SignInInvitation
	_, err = h.Enrolments.AcceptInvitation(h.Context(), in, m, event(u.ID, leger.ActionMachineEnrol, m.ID, 0, 2))
	h.must(err)
	_, created, err := h.Users.SignIn(h.Context(), signIn(1, 3), nil)
	h.must(err)
	h.same("the first sign-in is one", created, true)

	other, e := h.ownerInvitation(2, 4)
	_, err = h.Operator.InviteOwner(h.Context(), identity(1), other, e)
	h.fails(err, leger.ErrInternal) // of another account
}

func testInviteKnownOwner(h *harness) {
	user := h.account(1)
	before, err := h.Users.User(h.Context(), user)
	h.must(err)
	in, e := h.ownerInvitation(1, 5)
	renamed := identity(1)
	renamed.Email, renamed.Tailnet = "mallory@github", "evil.ts.net"
	u, err := h.Operator.InviteOwner(h.Context(), renamed, in, e)
	h.must(err)
	h.same("the account", u, before)
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionMachineInvite})
}

func testManyOwnerInvitations(h *harness) {
	for range leger.MaxInvitations {
		in, e := h.ownerInvitation(1, 1)
		_, err := h.Operator.InviteOwner(h.Context(), identity(1), in, e)
		h.must(err)
	}
	in, e := h.ownerInvitation(1, 2)
	_, err := h.Operator.InviteOwner(h.Context(), identity(1), in, e)
	h.fails(err, leger.ErrConflict)
	h.same("audit", len(h.actions(identity(1).UserID())), leger.MaxInvitations)
	in, e = h.ownerInvitation(1, 62) // the others are over
	_, err = h.Operator.InviteOwner(h.Context(), identity(1), in, e)
	h.must(err)
}

// sealedAnew is a record as another key seals it.
func sealedAnew(s leger.SealedSecret, keyID string) leger.ResealedSecret {
	former := s.KeyID
	s.Ciphertext, s.KeyID = append(slices.Clone(s.Ciphertext), '!'), keyID
	return leger.ResealedSecret{SealedSecret: s, FormerKeyID: former}
}

func testReseal(h *harness) {
	first, second := h.account(1), h.account(2)
	h.put(first, "a", 0, "one")
	old := h.put(first, "a", 1, "two")
	h.put(first, "b", 0, big())
	h.put(second, "a", 0, "theirs")
	h.must(h.deleteSecret(second, "a", 1))
	h.put(second, "a", 1, "again")
	n, err := h.Operator.CountVersions(h.Context())
	h.must(err)
	h.same("versions", n, 4)
	all, err := h.Operator.SealedVersions(h.Context(), leger.RecordPlace{}, 3)
	h.must(err)
	rest, err := h.Operator.SealedVersions(h.Context(), all[2].Place(), 3)
	h.must(err)
	all = append(all, rest...)
	h.same("read", len(all), 4)

	var anew []leger.ResealedSecret
	for _, s := range all {
		anew = append(anew, sealedAnew(s, "key2"))
	}
	lost := anew[0]
	lost.FormerKeyID = "key0" // somebody else was faster
	h.must(h.Operator.Reseal(h.Context(), append([]leger.ResealedSecret{lost}, anew[1:]...)))
	ids, err := h.Operator.KeyIDs(h.Context())
	h.must(err)
	h.same("keys", ids, []string{"key1", "key2"})
	h.must(h.Operator.Reseal(h.Context(), anew[:1]))
	stale := sealedAnew(old, "key3")
	stale.Nonce = bytes.Repeat([]byte{1}, len(old.Nonce)) // of another value
	stale.FormerKeyID = "key2"
	h.must(h.Operator.Reseal(h.Context(), []leger.ResealedSecret{stale}))

	got, err := h.Operator.SealedVersions(h.Context(), leger.RecordPlace{}, 10)
	h.must(err)
	for i, s := range got {
		h.same("record "+s.Name.String(), s, anew[i].SealedSecret)
	}
	for _, user := range []leger.UserID{first, second} { // as everybody reads them
		list, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
		h.must(err)
		for _, s := range list {
			h.same("key of "+s.Name.String(), s.KeyID, "key2")
		}
	}
	h.must(h.Operator.OpenAuditKey(h.Context(), PlainKeys("key2"), rand.Reader))
	ids, err = h.Operator.KeyIDs(h.Context())
	h.must(err)
	h.same("keys", ids, []string{"key2"})
}

func rotated() leger.AuditEvent {
	return leger.AuditEvent{
		At: at(9), Action: leger.ActionKeyRotate, Credential: leger.CredentialOperator, Detail: "key key2",
	}
}

func testTellRekey(h *harness) {
	first, second := h.account(1), h.account(2)
	tell := func(key string) {
		h.Helper()
		more, err := h.Operator.TellRekey(h.Context(), key, rotated())
		h.must(err)
		h.same("more accounts", more, false)
	}
	tell("key2") // nothing was sealed
	h.same("audit", h.actions(first), []leger.Action{leger.ActionSignIn})
	for range 2 {
		h.must(h.Operator.BeginRekey(h.Context(), "key2"))
	}
	tell("key1")
	for range 2 {
		tell("key2")
	}
	for _, user := range []leger.UserID{first, second} {
		h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionKeyRotate})
	}
}

func testTellManyOfRekey(h *harness) {
	const users = 501
	for n := range users {
		in, e := h.ownerInvitation(n, 1)
		_, err := h.Operator.InviteOwner(h.Context(), identity(n), in, e)
		h.must(err)
	}
	h.must(h.Operator.BeginRekey(h.Context(), "key2"))
	h.together(func(int) error { // some are too late, and come again
		_, err := h.Operator.TellRekey(h.Context(), "key2", rotated())
		if errors.Is(err, leger.ErrConflict) {
			return nil
		}
		return err
	})
	for more := true; more; {
		var err error
		more, err = h.Operator.TellRekey(h.Context(), "key2", rotated())
		h.must(err)
	}
	for n := range users {
		if got := h.actions(identity(n).UserID()); len(got) != 2 || got[1] != leger.ActionKeyRotate {
			h.Fatalf("person %s: %v", fmt.Sprint(n), got)
		}
	}
}
