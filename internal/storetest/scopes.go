package storetest

import (
	"slices"

	"leger.run/leger"
)

func scopeTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"a new secret goes to all machines, or as asked": testNewScope,
		"a scope is changed by its owner":                testSetScope,
		"a scope outlasts new values, and no deletion":   testScopeStays,
		"a machine is given what its scopes say":         testScopeDecides,
		"a revoked machine is in no scope":               testScopeOfRevokedMachine,
		"scopes of two users stay apart":                 testScopesOfTwoUsers,
	}
}

// scope is of chosen machines and groups.
func (h *harness) scope(machines, groups []string) leger.Scope {
	h.Helper()
	s, err := leger.ParseScope(machines, groups)
	h.must(err)
	return s
}

// scoped puts version expect+1 of a secret with a scope.
func (h *harness) scoped(user leger.UserID, name string, expect leger.Version, scope *leger.Scope) {
	h.Helper()
	w := h.write(user, name, expect, "value")
	w.Scope = scope
	h.must(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{w}))
}

func (h *harness) setScope(user leger.UserID, name string, s leger.Scope) error {
	h.Helper()
	e := event(user, leger.ActionSecretScope, name, 0, 7)
	return h.Secrets.SetScope(h.Context(), user, h.secretName(name), s, e)
}

// scopeOf reads a secret's scope in each way there is, which have to agree.
func (h *harness) scopeOf(user leger.UserID, name string) leger.Scope {
	h.Helper()
	one, err := h.Secrets.SealedSecret(h.Context(), user, h.secretName(name))
	h.must(err)
	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	all, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	states, err := h.Secrets.SecretStates(h.Context(), user, []leger.SecretName{one.Name})
	h.must(err)
	h.same("scope in its state", states[0].Current.Scope, one.Scope)
	for i, s := range infos {
		if s.Name == one.Name {
			h.same("scope in the list", s.Scope, one.Scope)
			h.same("scope in the list with values", all[i].Scope, one.Scope)
		}
	}
	return one.Scope
}

func testNewScope(h *harness) {
	user := h.account(1)
	want := h.scope([]string{h.id()}, []string{"db", "web"})
	h.scoped(user, "asked", 0, &want)
	h.scoped(user, "all", 0, nil)
	h.same("as asked", h.scopeOf(user, "asked"), want)
	h.same("of all machines", h.scopeOf(user, "all"), leger.Scope{})
}

func testSetScope(h *harness) {
	user := h.account(1)
	h.put(user, "key", 0, "one")
	before := h.actions(user)
	nobody, some := h.scope(nil, nil), h.scope([]string{h.id(), h.id()}, nil)
	for _, want := range []leger.Scope{some, nobody, {}} {
		h.must(h.setScope(user, "key", want))
		h.same("scope", h.scopeOf(user, "key"), want)
		before = append(before, leger.ActionSecretScope)
	}
	h.same("audit", h.actions(user), before)
	h.fails(h.setScope(user, "never-there", some), leger.ErrNotFound)
	h.must(h.deleteSecret(user, "key", 0))
	h.fails(h.setScope(user, "key", some), leger.ErrNotFound)
	h.same("audit of refusals", h.actions(user), append(before, leger.ActionSecretDelete))
}

// A secret that is made again under the name of a deleted one is another secret.
func testScopeStays(h *harness) {
	user := h.account(1)
	first, second := h.scope(nil, []string{"db"}), h.scope(nil, []string{"web"})
	h.scoped(user, "key", 0, &first)
	h.scoped(user, "key", 1, nil)
	h.same("after a new value", h.scopeOf(user, "key"), first)
	h.scoped(user, "key", 2, &second)
	h.same("with a new value", h.scopeOf(user, "key"), second)
	h.must(h.deleteSecret(user, "key", 0))
	h.scoped(user, "key", 3, nil)
	h.same("made again", h.scopeOf(user, "key"), leger.Scope{})
}

func testScopeDecides(h *harness) {
	user := h.account(1)
	box, other := h.machine(user, 1, 1), h.machine(user, 2, 1)
	box.Groups, other.Groups = []string{"db", "web"}, nil
	for name, s := range map[string]leger.Scope{
		"a-all": {}, "b-none": h.scope(nil, nil),
		"c-box": h.scope([]string{box.ID}, nil), "d-other": h.scope([]string{other.ID}, nil),
		"e-group": h.scope(nil, []string{"web"}), "f-nobodys": h.scope(nil, []string{"we"}),
		"g-both": h.scope([]string{other.ID}, []string{"db"}),
	} {
		h.scoped(user, name, 0, &s)
	}
	for _, c := range []struct {
		to   *leger.Machine
		want []string
	}{
		{&box, []string{"a-all", "c-box", "e-group", "g-both"}},
		{&other, []string{"a-all", "d-other", "g-both"}},
		{nil, []string{"a-all", "b-none", "c-box", "d-other", "e-group", "f-nobodys", "g-both"}},
	} {
		var asked []string
		give := func(s leger.SecretInfo) bool {
			asked = append(asked, s.Name.String())
			return s.Scope.Gives(*c.to)
		}
		if c.to == nil {
			give = nil
		}
		list, err := h.Secrets.SealedSecrets(h.Context(), user, give)
		h.must(err)
		got := []string{}
		for _, s := range list {
			got = append(got, s.Name.String())
		}
		h.same("given", got, c.want)
		if c.to != nil {
			h.same("asked about each, in order of name", len(asked) == 7 && slices.IsSorted(asked), true)
		}
	}
}

// Its id is never another machine's, but would stand in the scope for ever.
func testScopeOfRevokedMachine(h *harness) {
	user := h.account(1)
	box, other := h.enrol(h.machine(user, 1, 1)), h.enrol(h.machine(user, 2, 1))
	both, group := h.scope([]string{box.ID, other.ID}, []string{"db"}), h.scope(nil, []string{"db"})
	h.scoped(user, "all", 0, nil)
	h.scoped(user, "both", 0, &both)
	h.scoped(user, "group", 0, &group)
	h.must(h.Machines.RevokeMachine(h.Context(), user, box.ID, event(user, leger.ActionMachineRevoke, box.ID, 0, 8)))
	h.same("all", h.scopeOf(user, "all"), leger.Scope{})
	h.same("both", h.scopeOf(user, "both"), h.scope([]string{other.ID}, []string{"db"}))
	h.same("group", h.scopeOf(user, "group"), group)
	h.must(h.Machines.RevokeMachine(h.Context(), user, other.ID, event(user, leger.ActionMachineRevoke, other.ID, 0, 8)))
	h.same("the group is left", h.scopeOf(user, "both"), group)
}

func testScopesOfTwoUsers(h *harness) {
	first, second := h.account(1), h.account(2)
	mine, theirs := h.scope(nil, []string{"db"}), h.scope(nil, []string{"web"})
	h.scoped(first, "key", 0, &mine)
	h.fails(h.setScope(second, "key", theirs), leger.ErrNotFound)
	h.scoped(second, "key", 0, &theirs)
	h.same("the first's", h.scopeOf(first, "key"), mine)
	h.same("the second's", h.scopeOf(second, "key"), theirs)
}
