package storetest

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"leger.run/leger"
)

func enrolmentTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"a code is approved once, and polled":         testApprove,
		"a code is denied":                            testDeny,
		"a code ends after ten minutes":               testCodeEnds,
		"a code waits once":                           testTakenCode,
		"five wrong codes, and no further one counts": testWrongCodes,
		"a right code takes wrong ones back":          testRightCode,
		"wrong codes of one user stop no other":       testWrongCodesOfTwo,
		"so many may wait":                            testManyWait,
		"a key of somebody else is not approved":      testApproveTakenKey,
		"a machine that was revoked is polled away":   testPollRevoked,
		"an invitation is accepted once":              testAccept,
		"of fifty at once one accepts":                testAcceptAtOnce,
		"an invitation ends after an hour":            testInvitationEnds,
		"an invitation is withdrawn by its owner":     testWithdraw,
		"so many invitations are open":                testManyInvitations,
		"a deleted account takes invitations along":   testInvitationsOfDeletedUser,
		"old ones are pruned":                         testPruneEnrolments,
	}
}

func (h *harness) ticket(prefix string) leger.TicketHash {
	h.Helper()
	t, err := leger.NewTicket(rand.Reader, prefix)
	h.must(err)
	return t.Hash()
}

// asks is machine number n that waits since that minute.
func (h *harness) asks(n, minute int) leger.Enrolment {
	h.Helper()
	code, err := leger.NewEnrolmentCode(rand.Reader)
	h.must(err)
	m := h.machine(leger.UserID{}, n, minute)
	e := leger.Enrolment{
		Code: code, Poll: h.ticket(leger.PollPrefix), ExpiresAt: at(minute).Add(leger.EnrolmentLifetime),
		Machine: leger.Machine{
			Name: m.Name, UnixUser: m.UnixUser, DeviceID: m.DeviceID, Key: m.Key, CLIVersion: m.CLIVersion,
			EnrolledAt: m.EnrolledAt, EnrolledFrom: m.EnrolledFrom,
		},
	}
	h.must(h.Enrolments.AskToEnrol(h.Context(), e))
	return e
}

// approved is what becomes of machine number 1 when a user approves it.
func (h *harness) approved(user leger.UserID, minute int) leger.Machine {
	h.Helper()
	m := h.machine(user, 1, minute)
	m.EnrolledBy = leger.SignInCode
	return m
}

func testApprove(h *harness) {
	user := h.account(1)
	e := h.asks(1, 1)
	got, err := h.Enrolments.Enrolment(h.Context(), user, e.Code, at(2))
	h.must(err)
	h.same("what waits", got, e)
	got, err = h.Enrolments.PollEnrolment(h.Context(), e.Poll, at(2))
	h.must(err)
	h.same("polled while it waits", got, e)

	want := h.approved(user, 3)
	m, err := h.Enrolments.ApproveEnrolment(h.Context(), e.Code, want, event(user, leger.ActionMachineEnrol, want.ID, 0, 3))
	h.must(err)
	h.same("enrolled", m, want)
	stored, _, err := h.Machines.MachineUser(h.Context(), want.ID)
	h.must(err)
	h.same("stored", stored, want)
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionMachineEnrol})

	e.Approved = want.ID
	for range 2 { // an answer may have been lost
		got, err = h.Enrolments.PollEnrolment(h.Context(), e.Poll, at(4))
		h.must(err)
		h.same("polled", got, e)
	}
	_, err = h.Enrolments.Enrolment(h.Context(), user, e.Code, at(4))
	h.fails(err, leger.ErrNotFound)
	again := h.approved(user, 4)
	_, err = h.Enrolments.ApproveEnrolment(h.Context(), e.Code, again, event(user, leger.ActionMachineEnrol, again.ID, 0, 4))
	h.fails(err, leger.ErrNotFound)
	h.fails(h.Enrolments.DenyEnrolment(h.Context(), e.Code, event(user, leger.ActionMachineDeny, "", 0, 4)), leger.ErrNotFound)
	_, err = h.Enrolments.PollEnrolment(h.Context(), h.ticket(leger.PollPrefix), at(4))
	h.fails(err, leger.ErrNotFound)
}

func testDeny(h *harness) {
	user := h.account(1)
	e := h.asks(1, 1)
	h.must(h.Enrolments.DenyEnrolment(h.Context(), e.Code, event(user, leger.ActionMachineDeny, "", 0, 2)))
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionMachineDeny})
	_, err := h.Enrolments.PollEnrolment(h.Context(), e.Poll, at(2))
	h.fails(err, leger.ErrNotFound)
	m := h.approved(user, 2)
	_, err = h.Enrolments.ApproveEnrolment(h.Context(), e.Code, m, event(user, leger.ActionMachineEnrol, m.ID, 0, 2))
	h.fails(err, leger.ErrNotFound)
	h.same("machines", len(h.machines(user)), 0)
}

func (h *harness) machines(user leger.UserID) []leger.Machine {
	h.Helper()
	list, err := h.Machines.Machines(h.Context(), user)
	h.must(err)
	return list
}

func testCodeEnds(h *harness) {
	user := h.account(1)
	e := h.asks(1, 1)
	late := e.ExpiresAt
	_, err := h.Enrolments.Enrolment(h.Context(), user, e.Code, late)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Enrolments.PollEnrolment(h.Context(), e.Poll, late)
	h.fails(err, leger.ErrNotFound)
	m := h.approved(user, 1)
	m.EnrolledAt = late
	_, err = h.Enrolments.ApproveEnrolment(h.Context(), e.Code, m, event(user, leger.ActionMachineEnrol, m.ID, 0, 2))
	h.fails(err, leger.ErrNotFound)
	h.same("machines", len(h.machines(user)), 0)
}

func testTakenCode(h *harness) {
	e := h.asks(1, 1)
	other := e
	other.Poll, other.Machine.Key = h.ticket(leger.PollPrefix), machineKey(2)
	h.fails(h.Enrolments.AskToEnrol(h.Context(), other), leger.ErrConflict)
	other.Machine.EnrolledAt, other.ExpiresAt = e.ExpiresAt, e.ExpiresAt.Add(time.Minute)
	h.must(h.Enrolments.AskToEnrol(h.Context(), other)) // the first one is over
}

func (h *harness) wrongCode(user leger.UserID, minute int) error {
	h.Helper()
	code, err := leger.NewEnrolmentCode(rand.Reader)
	h.must(err)
	_, err = h.Enrolments.Enrolment(h.Context(), user, code, at(minute))
	return err
}

func testWrongCodes(h *harness) {
	user := h.account(1)
	e := h.asks(1, 1)
	for range leger.MaxWrongCodes {
		h.fails(h.wrongCode(user, 1), leger.ErrNotFound)
	}
	h.fails(h.wrongCode(user, 2), leger.ErrRateLimited)
	_, err := h.Enrolments.Enrolment(h.Context(), user, e.Code, at(2))
	h.fails(err, leger.ErrRateLimited)
	late := h.asks(2, 12)
	_, err = h.Enrolments.Enrolment(h.Context(), user, late.Code, at(12))
	h.must(err)
}

func testRightCode(h *harness) {
	user := h.account(1)
	e := h.asks(1, 1)
	for range 3 {
		for range leger.MaxWrongCodes - 1 {
			h.fails(h.wrongCode(user, 1), leger.ErrNotFound)
		}
		_, err := h.Enrolments.Enrolment(h.Context(), user, e.Code, at(2))
		h.must(err)
	}
}

func testWrongCodesOfTwo(h *harness) {
	first, second := h.account(1), h.account(2)
	e := h.asks(1, 1)
	for range leger.MaxWrongCodes {
		h.fails(h.wrongCode(first, 1), leger.ErrNotFound)
	}
	_, err := h.Enrolments.Enrolment(h.Context(), second, e.Code, at(2))
	h.must(err)
}

func testManyWait(h *harness) {
	for n := range leger.MaxEnrolments {
		h.asks(n, 1)
	}
	e := leger.Enrolment{Poll: h.ticket(leger.PollPrefix), ExpiresAt: at(12), Machine: h.machine(leger.UserID{}, leger.MaxEnrolments, 2)}
	var err error
	e.Code, err = leger.NewEnrolmentCode(rand.Reader)
	h.must(err)
	h.fails(h.Enrolments.AskToEnrol(h.Context(), e), leger.ErrRateLimited)
	e.Machine.EnrolledAt = at(11) // the others are over
	h.must(h.Enrolments.AskToEnrol(h.Context(), e))
}

func testApproveTakenKey(h *harness) {
	first, second := h.account(1), h.account(2)
	want := h.enrol(h.machine(first, 1, 1))
	e := h.asks(1, 1)
	m := h.approved(second, 2)
	_, err := h.Enrolments.ApproveEnrolment(h.Context(), e.Code, m, event(second, leger.ActionMachineEnrol, m.ID, 0, 2))
	h.fails(err, leger.ErrConflict)
	h.same("the first owner's", h.machines(first), []leger.Machine{want})
	_, err = h.Enrolments.Enrolment(h.Context(), second, e.Code, at(2)) // it still waits
	h.must(err)
}

func testPollRevoked(h *harness) {
	user := h.account(1)
	e := h.asks(1, 1)
	m := h.approved(user, 2)
	_, err := h.Enrolments.ApproveEnrolment(h.Context(), e.Code, m, event(user, leger.ActionMachineEnrol, m.ID, 0, 2))
	h.must(err)
	h.must(h.Machines.RevokeMachine(h.Context(), user, m.ID, event(user, leger.ActionMachineRevoke, m.ID, 0, 3)))
	_, err = h.Enrolments.PollEnrolment(h.Context(), e.Poll, at(3))
	h.fails(err, leger.ErrNotFound)
}

// invites is an invitation made in minute 1.
func (h *harness) invites(user leger.UserID) leger.Invitation {
	h.Helper()
	in := leger.Invitation{
		ID: h.id(), User: user, Ticket: h.ticket(leger.InvitationPrefix), Name: "nas", Role: leger.RoleDeliver, Groups: []string{"home"},
		CreatedAt: at(1), ExpiresAt: at(1).Add(leger.InvitationLifetime),
	}
	h.must(h.Enrolments.Invite(h.Context(), in, event(user, leger.ActionMachineInvite, in.ID, 0, 1)))
	return in
}

// invited is machine number n as an invitation makes it.
func (h *harness) invited(in leger.Invitation, n, minute int) leger.Machine {
	h.Helper()
	m := h.machine(in.User, n, minute)
	m.EnrolledBy, m.Role, m.Groups, m.Name = leger.SignInInvitation, in.Role, in.Groups, in.Name
	return m
}

func testAccept(h *harness) {
	user := h.account(1)
	in := h.invites(user)
	got, err := h.Enrolments.Invitation(h.Context(), in.Ticket, at(2))
	h.must(err)
	h.same("invitation", got, in)
	list, err := h.Enrolments.Invitations(h.Context(), user, at(2))
	h.must(err)
	h.same("list", list, []leger.Invitation{in})

	want := h.invited(in, 1, 2)
	m, err := h.Enrolments.AcceptInvitation(h.Context(), in, want, event(user, leger.ActionMachineEnrol, want.ID, 0, 2))
	h.must(err)
	h.same("enrolled", m, want)
	_, err = h.Enrolments.Invitation(h.Context(), in.Ticket, at(2))
	h.fails(err, leger.ErrNotFound)
	list, err = h.Enrolments.Invitations(h.Context(), user, at(2))
	h.must(err)
	h.same("open ones", len(list), 0)
	second := h.invited(in, 2, 2)
	_, err = h.Enrolments.AcceptInvitation(h.Context(), in, second, event(user, leger.ActionMachineEnrol, second.ID, 0, 2))
	h.fails(err, leger.ErrNotFound)
	h.same("machines", h.machines(user), []leger.Machine{want})
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionMachineInvite, leger.ActionMachineEnrol})
}

func testAcceptAtOnce(h *harness) {
	user := h.account(1)
	in := h.invites(user)
	var won atomic.Int64
	var group sync.WaitGroup
	for n := range 50 {
		m := h.invited(in, n, 2)
		group.Go(func() {
			_, err := h.Enrolments.AcceptInvitation(h.Context(), in, m, event(user, leger.ActionMachineEnrol, m.ID, 0, 2))
			if err == nil {
				won.Add(1)
			}
		})
	}
	group.Wait()
	h.same("winners", won.Load(), int64(1))
	h.same("machines", len(h.machines(user)), 1)
}

func testInvitationEnds(h *harness) {
	user := h.account(1)
	in := h.invites(user)
	_, err := h.Enrolments.Invitation(h.Context(), in.Ticket, in.ExpiresAt)
	h.fails(err, leger.ErrNotFound)
	m := h.invited(in, 1, 61)
	_, err = h.Enrolments.AcceptInvitation(h.Context(), in, m, event(user, leger.ActionMachineEnrol, m.ID, 0, 61))
	h.fails(err, leger.ErrNotFound)
	list, err := h.Enrolments.Invitations(h.Context(), user, in.ExpiresAt)
	h.must(err)
	h.same("open ones", len(list), 0)
}

func testWithdraw(h *harness) {
	first, second := h.account(1), h.account(2)
	in := h.invites(first)
	h.fails(h.Enrolments.WithdrawInvitation(h.Context(), second, in.ID, event(second, leger.ActionMachineUninvite, in.ID, 0, 2)), leger.ErrNotFound)
	h.must(h.Enrolments.WithdrawInvitation(h.Context(), first, in.ID, event(first, leger.ActionMachineUninvite, in.ID, 0, 2)))
	h.same("audit", h.actions(first), []leger.Action{leger.ActionSignIn, leger.ActionMachineInvite, leger.ActionMachineUninvite})
	h.same("audit of the other", h.actions(second), []leger.Action{leger.ActionSignIn})
	_, err := h.Enrolments.Invitation(h.Context(), in.Ticket, at(2))
	h.fails(err, leger.ErrNotFound)
}

func testManyInvitations(h *harness) {
	user := h.account(1)
	for range leger.MaxInvitations {
		h.invites(user)
	}
	in := leger.Invitation{
		ID: h.id(), User: user, Ticket: h.ticket(leger.InvitationPrefix), Role: leger.RoleFull, CreatedAt: at(2), ExpiresAt: at(62),
	}
	h.fails(h.Enrolments.Invite(h.Context(), in, event(user, leger.ActionMachineInvite, in.ID, 0, 2)), leger.ErrConflict)
	in.CreatedAt = at(61)
	h.must(h.Enrolments.Invite(h.Context(), in, event(user, leger.ActionMachineInvite, in.ID, 0, 61)))
}

func testInvitationsOfDeletedUser(h *harness) {
	user := h.account(1)
	in := h.invites(user)
	h.must(h.Users.DeleteUser(h.Context(), user, event(user, leger.ActionUserDelete, "", 0, 2)))
	_, err := h.Enrolments.Invitation(h.Context(), in.Ticket, at(2))
	h.fails(err, leger.ErrNotFound)
}

func testPruneEnrolments(h *harness) {
	user := h.account(1)
	e, in := h.asks(1, 1), h.invites(user)
	_, err := h.Sessions.Prune(h.Context(), at(5))
	h.must(err)
	_, err = h.Enrolments.Enrolment(h.Context(), user, e.Code, at(5))
	h.must(err)
	_, err = h.Sessions.Prune(h.Context(), at(90))
	h.must(err)
	_, err = h.Enrolments.PollEnrolment(h.Context(), e.Poll, at(5)) // as if the clock went back
	h.fails(err, leger.ErrNotFound)
	_, err = h.Enrolments.Invitation(h.Context(), in.Ticket, at(5))
	h.fails(err, leger.ErrNotFound)
}
