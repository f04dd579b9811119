package storetest

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"leger.run/leger"
)

func machineTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"a machine is enrolled":                       testEnrolMachine,
		"a key that is enrolled again is the same":    testEnrolAgain,
		"a key belongs to one user":                   testEnrolTakenKey,
		"a machine of no account":                     testEnrolWithoutAccount,
		"more machines than are kept":                 testTooManyMachines,
		"of 50 that enrol one key, one makes it":      testEnrolConcurrently,
		"a machine is changed by its owner":           testChangeMachine,
		"a machine was seen":                          testTouchMachine,
		"a machine is revoked, and its report goes":   testRevokeMachine,
		"a deleted account takes its machines along":  testMachinesOfDeletedUser,
		"machines of two users stay apart":            testMachinesOfTwoUsers,
		"a token's lifetime ends no machine's access": testSignOutLeavesMachines,
	}
}

// machineKey makes key number n, always the same.
func machineKey(n int) leger.MachineKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.LittleEndian.PutUint64(seed, uint64(n)) //nolint:gosec // tests count from 0
	return leger.MachineKeyOf(ed25519.NewKeyFromSeed(seed))
}

// machine is machine number n of a user, enrolled in that minute.
func (h *harness) machine(user leger.UserID, n, minute int) leger.Machine {
	h.Helper()
	return leger.Machine{
		ID: h.id(), User: user, Name: fmt.Sprintf("box %02d", n), UnixUser: "me", DeviceID: fmt.Sprintf("node%d", n),
		Role: leger.RoleFull, Groups: []string{"home"}, Key: machineKey(n), CLIVersion: "0.1.0", EnrolledBy: leger.SignInSharedSecret,
		EnrolledAt: at(minute), EnrolledFrom: "100.64.0.7", LastSeen: at(minute), LastAddr: "100.64.0.7",
	}
}

func (h *harness) enrol(m leger.Machine) leger.Machine {
	h.Helper()
	got, created, err := h.Machines.EnrolMachine(h.Context(), m, event(m.User, leger.ActionMachineEnrol, m.ID, 0, 1))
	h.must(err)
	h.same("created", created, true)
	return got
}

func testEnrolMachine(h *harness) {
	user := h.account(1)
	want := h.machine(user, 1, 1)
	h.same("enrolled", h.enrol(want), want)
	got, u, err := h.Machines.MachineUser(h.Context(), want.ID)
	h.must(err)
	h.same("machine", got, want)
	account, err := h.Users.User(h.Context(), user)
	h.must(err)
	h.same("its owner", u, account)
	list, err := h.Machines.Machines(h.Context(), user)
	h.must(err)
	h.same("list", list, []leger.Machine{want})
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionMachineEnrol})
	_, _, err = h.Machines.MachineUser(h.Context(), h.id())
	h.fails(err, leger.ErrNotFound)
}

// Signing in again on a machine changes neither its name, which its owner may have
// changed, nor what it may do.
func testEnrolAgain(h *harness) {
	user := h.account(1)
	first := h.enrol(h.machine(user, 1, 1))
	again := h.machine(user, 1, 9)
	again.Name, again.UnixUser, again.DeviceID, again.CLIVersion, again.Role = "other", "you", "node9", "", leger.RoleDeliver
	again.EnrolledBy, again.EnrolledFrom = leger.SignInMachine, "100.64.0.9"
	got, created, err := h.Machines.EnrolMachine(h.Context(), again, event(user, leger.ActionMachineEnrol, again.ID, 0, 9))
	h.must(err)
	h.same("created", created, false)
	want := first
	want.UnixUser, want.DeviceID, want.EnrolledBy = "you", "node9", leger.SignInMachine
	want.EnrolledAt, want.LastSeen, want.EnrolledFrom, want.LastAddr = at(9), at(9), "100.64.0.9", "100.64.0.9"
	h.same("machine", got, want)
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionMachineEnrol, leger.ActionMachineEnrol})
}

func testEnrolTakenKey(h *harness) {
	first, second := h.account(1), h.account(2)
	want := h.enrol(h.machine(first, 1, 1))
	_, _, err := h.Machines.EnrolMachine(h.Context(), h.machine(second, 1, 2), event(second, leger.ActionMachineEnrol, "x", 0, 2))
	h.fails(err, leger.ErrConflict)
	got, _, err := h.Machines.MachineUser(h.Context(), want.ID)
	h.must(err)
	h.same("the first owner's", got, want)
	h.same("audit", h.actions(second), []leger.Action{leger.ActionSignIn})
}

func testEnrolWithoutAccount(h *harness) {
	user := identity(1).UserID()
	_, _, err := h.Machines.EnrolMachine(h.Context(), h.machine(user, 1, 1), event(user, leger.ActionMachineEnrol, "x", 0, 1))
	h.fails(err, leger.ErrNotFound)
	h.same("audit", h.actions(user), []leger.Action{})
}

func testTooManyMachines(h *harness) {
	user := h.account(1)
	for n := range leger.MaxMachinesPerUser {
		h.enrol(h.machine(user, n, 1))
	}
	_, _, err := h.Machines.EnrolMachine(h.Context(), h.machine(user, leger.MaxMachinesPerUser, 2), event(user, leger.ActionMachineEnrol, "x", 0, 2))
	h.fails(err, leger.ErrConflict)
	list, err := h.Machines.Machines(h.Context(), user)
	h.must(err)
	h.same("machines", len(list), leger.MaxMachinesPerUser)
}

func testEnrolConcurrently(h *harness) {
	user := h.account(1)
	var made atomic.Int32
	all := make([]leger.Machine, writers)
	for i := range all {
		all[i] = h.machine(user, 1, 1)
	}
	h.together(func(i int) error {
		_, created, err := h.Machines.EnrolMachine(h.Context(), all[i], event(user, leger.ActionMachineEnrol, all[i].ID, 0, 1))
		if created {
			made.Add(1)
		}
		return err
	})
	h.same("made", made.Load(), int32(1))
	list, err := h.Machines.Machines(h.Context(), user)
	h.must(err)
	h.same("machines", len(list), 1)
}

func testChangeMachine(h *harness) {
	user, other := h.account(1), h.account(2)
	want := h.enrol(h.machine(user, 1, 1))
	name, role, groups := "renamed", leger.RoleDeliver, []string{"a", "b"}
	change := func(of leger.UserID, id string, c leger.MachineChange) (leger.Machine, error) {
		return h.Machines.ChangeMachine(h.Context(), of, id, c, event(of, leger.ActionMachineUpdate, id, 0, 2))
	}
	_, err := change(other, want.ID, leger.MachineChange{Name: &name})
	h.fails(err, leger.ErrNotFound)
	for _, c := range []leger.MachineChange{{Name: &name}, {Role: &role}, {Groups: &groups}, {}} {
		if c.Name != nil {
			want.Name = name
		}
		if c.Role != nil {
			want.Role = role
		}
		if c.Groups != nil {
			want.Groups = groups
		}
		got, err := change(user, want.ID, c)
		h.must(err)
		h.same("changed", got, want)
	}
	groups = nil
	got, err := change(user, want.ID, leger.MachineChange{Groups: &groups})
	h.must(err)
	h.same("groups", len(got.Groups), 0)
	_, err = change(user, h.id(), leger.MachineChange{})
	h.fails(err, leger.ErrNotFound)
}

func testTouchMachine(h *harness) {
	user := h.account(1)
	want := h.enrol(h.machine(user, 1, 1))
	for _, seen := range []struct{ minute, want int }{{8, 8}, {5, 8}} {
		m := want
		m.LastSeen, m.LastAddr, m.CLIVersion = at(seen.minute), "100.64.0.8", "0.2.0"
		h.must(h.Machines.TouchMachine(h.Context(), m))
		got, u, err := h.Machines.MachineUser(h.Context(), m.ID)
		h.must(err)
		m.LastSeen = at(seen.want)
		h.same("machine", got, m)
		h.same("its owner", u.LastSeen, at(seen.want))
	}
	h.must(h.Machines.TouchMachine(h.Context(), h.machine(user, 2, 9))) // nobody's
	list, err := h.Machines.Machines(h.Context(), user)
	h.must(err)
	h.same("machines", len(list), 1)
}

func testRevokeMachine(h *harness) {
	user, other := h.account(1), h.account(2)
	m, stays := h.enrol(h.machine(user, 1, 1)), h.enrol(h.machine(user, 2, 1))
	for _, id := range []string{m.ID, stays.ID} {
		_, err := h.Hosts.ReportHost(h.Context(), leger.HostReport{User: user, DeviceID: id, Name: "box", At: at(1)}, event(user, leger.ActionHostAdd, id, 0, 1))
		h.must(err)
	}
	revoke := func(of leger.UserID, id string) error {
		return h.Machines.RevokeMachine(h.Context(), of, id, event(of, leger.ActionMachineRevoke, id, 0, 2))
	}
	h.fails(revoke(other, m.ID), leger.ErrNotFound)
	h.must(revoke(user, m.ID))
	h.fails(revoke(user, m.ID), leger.ErrNotFound)
	_, _, err := h.Machines.MachineUser(h.Context(), m.ID)
	h.fails(err, leger.ErrNotFound)
	list, err := h.Machines.Machines(h.Context(), user)
	h.must(err)
	h.same("what stays", list, []leger.Machine{stays})
	hosts := h.hosts(user)
	h.same("reports", len(hosts), 1)
	h.same("whose", hosts[0].DeviceID, stays.ID)
}

func testMachinesOfDeletedUser(h *harness) {
	user := h.account(1)
	m := h.enrol(h.machine(user, 1, 1))
	h.must(h.Users.DeleteUser(h.Context(), user, event(user, leger.ActionUserDelete, "", 0, 2)))
	_, _, err := h.Machines.MachineUser(h.Context(), m.ID)
	h.fails(err, leger.ErrNotFound)
}

func testMachinesOfTwoUsers(h *harness) {
	first, second := h.account(1), h.account(2)
	a, b := h.enrol(h.machine(first, 1, 1)), h.enrol(h.machine(second, 2, 1))
	for user, want := range map[leger.UserID]leger.Machine{first: a, second: b} {
		list, err := h.Machines.Machines(h.Context(), user)
		h.must(err)
		h.same("machines", list, []leger.Machine{want})
	}
}

// Whoever signs out everywhere ends browsers and tokens; a machine is revoked by
// itself, as a key is that one removes.
func testSignOutLeavesMachines(h *harness) {
	user := h.account(1)
	m := h.enrol(h.machine(user, 1, 1))
	_, err := h.Users.SignOutEverywhere(h.Context(), user, "", at(5), event(user, leger.ActionSignOutEverywhere, "", 0, 5))
	h.must(err)
	got, u, err := h.Machines.MachineUser(h.Context(), m.ID)
	h.must(err)
	h.same("machine", got, m)
	h.same("tokens from before end", u.TokensValidAfter, at(5))
}
