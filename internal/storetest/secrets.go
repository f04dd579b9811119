package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"leger.run/leger"
)

func secretTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"an account without secrets":                 testNoSecrets,
		"a value comes back as it was put":           testPutAndRead,
		"an update keeps id and first time":          testUpdate,
		"a write needs the version to hold":          testExpect,
		"a deleted secret leaves its number":         testTombstone,
		"deleting needs the version to hold":         testDeleteExpect,
		"the newest versions stay":                   testKeptVersions,
		"names that begin alike are apart":           testPrefixes,
		"values that look like something else":       testLiteralValues,
		"another account sees and changes nothing":   testOtherAccount,
		"many writes are all or none":                testAllOrNothing,
		"no more than the limit":                     testSecretLimit,
		"states come in the order asked":             testStates,
		"a read is recorded to the minute":           testRecordAccess,
		"nothing is written for nobody":              testNoAccount,
		"a request that was given up writes nothing": testGivenUp,
	}
}

func testNoSecrets(h *harness) {
	user, name := h.account(1), h.secretName("none")
	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	h.same("secrets", infos, []leger.SecretInfo{})
	sealed, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	h.same("sealed secrets", sealed, []leger.SealedSecret{})
	_, err = h.Secrets.SealedSecret(h.Context(), user, name)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Secrets.SealedSecretVersion(h.Context(), user, name, 1)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Secrets.SecretVersions(h.Context(), user, name)
	h.fails(err, leger.ErrNotFound)
	h.fails(h.deleteSecret(user, "none", 0), leger.ErrNotFound)
	h.must(h.Secrets.PutSecrets(h.Context(), nil))
}

func testPutAndRead(h *harness) {
	user := h.account(1)
	b := h.put(user, "b", 0, "second")
	a := h.put(user, "a", 0, "first")

	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	h.same("secrets, by name", infos, []leger.SecretInfo{a.SecretInfo, b.SecretInfo})
	all, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	h.same("sealed secrets, by name", all, []leger.SealedSecret{a, b})
	one, err := h.Secrets.SealedSecret(h.Context(), user, b.Name)
	h.must(err)
	h.same("sealed secret", one, b)
	one, err = h.Secrets.SealedSecretVersion(h.Context(), user, b.Name, 1)
	h.must(err)
	h.same("sealed version", one, b)
	versions, err := h.Secrets.SecretVersions(h.Context(), user, b.Name)
	h.must(err)
	h.same("versions", versions, []leger.SecretVersion{{Version: 1, CreatedAt: b.UpdatedAt, Current: true}})
}

func testUpdate(h *harness) {
	user := h.account(1)
	first := h.put(user, "key", 0, "one")
	want := h.put(user, "key", 1, "two")
	want.ID, want.CreatedAt = first.ID, first.CreatedAt

	got, err := h.Secrets.SealedSecret(h.Context(), user, want.Name)
	h.must(err)
	h.same("current", got, want)
	old, err := h.Secrets.SealedSecretVersion(h.Context(), user, want.Name, 1)
	h.must(err)
	h.same("version 1", old, first)
	versions, err := h.Secrets.SecretVersions(h.Context(), user, want.Name)
	h.must(err)
	h.same("versions, newest first", versions, []leger.SecretVersion{
		{Version: 2, CreatedAt: want.UpdatedAt, Current: true}, {Version: 1, CreatedAt: first.UpdatedAt},
	})
	_, err = h.Secrets.SealedSecretVersion(h.Context(), user, want.Name, 3)
	h.fails(err, leger.ErrNotFound)
}

func testExpect(h *harness) {
	user := h.account(1)
	h.put(user, "key", 0, "one")
	want := h.put(user, "key", 1, "two")
	before := h.actions(user)
	for _, expect := range []leger.Version{0, 1, 3, 100} {
		err := h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{h.write(user, "key", expect, "late")})
		if e := h.conflict(err); e.Version != 2 {
			h.Errorf("expecting %d: the conflict names version %d, want 2", expect, e.Version)
		}
	}
	e := h.conflict(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{h.write(user, "new", 4, "never was")}))
	h.same("current version of a secret that never was", e.Version, leger.Version(0))

	got, err := h.Secrets.SealedSecret(h.Context(), user, want.Name)
	h.must(err)
	h.same("value", string(got.Ciphertext), "two")
	h.same("audit after refusals", h.actions(user), before)
}

func testTombstone(h *harness) {
	user, name := h.account(1), h.secretName("key")
	first := h.put(user, "key", 0, "one")
	h.put(user, "key", 1, "two")
	h.must(h.Secrets.RecordAccess(h.Context(), user, nil, event(user, leger.ActionSecretRead, "*", 0, 5)))
	h.must(h.deleteSecret(user, "key", 0))

	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	h.same("secrets", infos, []leger.SecretInfo{})
	for v := range leger.Version(4) {
		_, err = h.Secrets.SealedSecretVersion(h.Context(), user, name, v)
		h.fails(err, leger.ErrNotFound)
	}
	_, err = h.Secrets.SecretVersions(h.Context(), user, name)
	h.fails(err, leger.ErrNotFound)
	h.fails(h.deleteSecret(user, "key", 0), leger.ErrNotFound)
	h.fails(h.deleteSecret(user, "key", 2), leger.ErrNotFound)
	states, err := h.Secrets.SecretStates(h.Context(), user, []leger.SecretName{name})
	h.must(err)
	h.same("state", states, []leger.SecretState{{Version: 2, Deleted: true}})

	e := h.conflict(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{h.write(user, "key", 0, "again")}))
	h.same("the tombstone's version", e.Version, leger.Version(2))
	third := h.put(user, "key", 2, "three")
	if third.ID == first.ID {
		h.Fatal("the test made the same id twice")
	}
	got, err := h.Secrets.SealedSecret(h.Context(), user, name)
	h.must(err)
	h.same("the secret that came back", got, third)
	versions, err := h.Secrets.SecretVersions(h.Context(), user, name)
	h.must(err)
	h.same("its versions", versions, []leger.SecretVersion{{Version: 3, CreatedAt: third.UpdatedAt, Current: true}})
}

func testDeleteExpect(h *harness) {
	user := h.account(1)
	h.put(user, "key", 0, "one")
	h.put(user, "key", 1, "two")
	if e := h.conflict(h.deleteSecret(user, "key", 1)); e.Version != 2 {
		h.Errorf("the conflict names version %d, want 2", e.Version)
	}
	if _, err := h.Secrets.SealedSecret(h.Context(), user, h.secretName("key")); err != nil {
		h.Errorf("after a refused deletion: %v", err)
	}
	h.must(h.deleteSecret(user, "key", 2))
	h.same("audit", h.actions(user), []leger.Action{
		leger.ActionSignIn, leger.ActionSecretUpdate, leger.ActionSecretUpdate, leger.ActionSecretDelete,
	})
}

func testKeptVersions(h *harness) {
	user, name := h.account(1), h.secretName("key")
	const made = leger.KeptSecretVersions + 5
	for v := range leger.Version(made) {
		h.put(user, "key", v, fmt.Sprintf("value %d", v+1))
	}
	h.put(user, "other", 0, "untouched")
	versions, err := h.Secrets.SecretVersions(h.Context(), user, name)
	h.must(err)
	if len(versions) != leger.KeptSecretVersions || versions[0].Version != made || versions[len(versions)-1].Version != made-leger.KeptSecretVersions+1 {
		h.Errorf("kept %+v", versions)
	}
	oldest, err := h.Secrets.SealedSecretVersion(h.Context(), user, name, made-leger.KeptSecretVersions+1)
	h.must(err)
	h.same("oldest value", string(oldest.Ciphertext), fmt.Sprintf("value %d", made-leger.KeptSecretVersions+1))
	_, err = h.Secrets.SealedSecretVersion(h.Context(), user, name, made-leger.KeptSecretVersions)
	h.fails(err, leger.ErrNotFound)
}

func testPrefixes(h *harness) {
	user := h.account(1)
	names := []string{"A", "a", "a-b", "a_", "a_b", "a_b_c", "ab"} // in order of bytes
	for i, name := range names {
		h.put(user, name, 0, fmt.Sprint("value of ", name))
		if i%2 == 1 {
			h.put(user, name, 1, fmt.Sprint("second value of ", name))
		}
	}
	h.must(h.deleteSecret(user, "a", 0))
	all, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	var got []string
	for _, s := range all {
		got = append(got, fmt.Sprint(s.Name, " ", s.Version, " ", string(s.Ciphertext)))
	}
	h.same("what is left when a is deleted", got, []string{
		"A 1 value of A", "a-b 1 value of a-b", "a_ 2 second value of a_", "a_b 1 value of a_b",
		"a_b_c 2 second value of a_b_c", "ab 1 value of ab",
	})
}

func testLiteralValues(h *harness) {
	user := h.account(1)
	for i, value := range []string{"<null>", "null", "undefined", "\x00", "'; DROP TABLE secrets; --", "%_\\", big()} {
		name := fmt.Sprintf("value%d", i)
		want := h.put(user, name, 0, value)
		got, err := h.Secrets.SealedSecret(h.Context(), user, want.Name)
		h.must(err)
		h.same(name, got, want)
	}
	all, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	h.same("number of secrets", len(all), 7)
}

func testOtherAccount(h *harness) {
	owner, other, name := h.account(1), h.account(2), h.secretName("key")
	want := h.put(owner, "key", 0, "mine")
	states, err := h.Secrets.SecretStates(h.Context(), other, []leger.SecretName{name})
	h.must(err)
	h.same("state", states, []leger.SecretState{{}})
	_, err = h.Secrets.SealedSecret(h.Context(), other, name)
	h.fails(err, leger.ErrNotFound)
	h.fails(h.deleteSecret(other, "key", 0), leger.ErrNotFound)
	h.put(other, "key", 0, "theirs")
	h.must(h.Secrets.RecordAccess(h.Context(), other, nil, event(other, leger.ActionSecretRead, "*", 0, 3)))
	h.must(h.deleteSecret(other, "key", 1))

	all, err := h.Secrets.SealedSecrets(h.Context(), owner, nil)
	h.must(err)
	h.same("the owner's secrets", all, []leger.SealedSecret{want})
	h.same("the owner's audit log", h.actions(owner), []leger.Action{leger.ActionSignIn, leger.ActionSecretUpdate})
}

func testAllOrNothing(h *harness) {
	user := h.account(1)
	h.put(user, "b", 0, "old b")
	before := h.actions(user)
	err := h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{
		h.write(user, "a", 0, "new a"), h.write(user, "b", 0, "stale b"), h.write(user, "c", 0, "new c"),
	})
	h.same("current version", h.conflict(err).Version, leger.Version(1))
	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	if len(infos) != 1 || infos[0].Name.String() != "b" || infos[0].Version != 1 {
		h.Errorf("after a refused batch: %+v", infos)
	}
	h.same("audit after a refused batch", h.actions(user), before)

	h.must(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{
		h.write(user, "a", 0, "new a"), h.write(user, "b", 1, "new b"), h.write(user, "c", 0, "new c"),
	}))
	all, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	var got []string
	for _, s := range all {
		got = append(got, fmt.Sprint(string(s.Ciphertext), " ", s.Version))
	}
	h.same("after the batch", got, []string{"new a 1", "new b 2", "new c 1"})
	h.same("audit events of the batch", len(h.actions(user)), len(before)+3)
}

func testSecretLimit(h *harness) {
	user := h.account(1)
	writes := make([]leger.SecretWrite, leger.MaxSecretsPerUser)
	for i := range writes {
		writes[i] = h.write(user, fmt.Sprintf("s%04d", i), 0, "x")
	}
	extra := h.write(user, "extra", 0, "x")
	h.same("version of a conflict over the limit",
		h.conflict(h.Secrets.PutSecrets(h.Context(), append(slices.Clip(writes), extra))).Version, leger.Version(0))
	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	h.same("secrets after one too many", len(infos), 0)

	h.must(h.Secrets.PutSecrets(h.Context(), writes))
	h.fails(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{extra}), leger.ErrConflict)
	h.put(user, "s0007", 1, "an update is no new secret")
	h.must(h.deleteSecret(user, "s0008", 0))
	h.must(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{extra}))
	h.fails(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{h.write(user, "s0008", 1, "back")}), leger.ErrConflict)
	h.put(h.account(2), "s0008", 0, "another account has its own limit")

	names := make([]leger.SecretName, len(writes))
	for i := range writes {
		names[len(names)-1-i] = writes[i].Sealed.Name
	}
	states, err := h.Secrets.SecretStates(h.Context(), user, names)
	h.must(err)
	h.same("states of all", len(states), len(names))
	h.same("the deleted one", states[len(names)-1-8].Deleted, true)
	h.same("the updated one", states[len(names)-1-7].Version, leger.Version(2))
}

func testStates(h *harness) {
	user := h.account(1)
	live, gone := h.put(user, "live", 0, "x"), h.put(user, "gone", 0, "y")
	h.must(h.deleteSecret(user, "gone", 0))
	never := h.secretName("never")
	states, err := h.Secrets.SecretStates(h.Context(), user, []leger.SecretName{never, gone.Name, live.Name})
	h.must(err)
	h.same("states", states, []leger.SecretState{{}, {Version: 1, Deleted: true}, {Version: 1, Current: &live}})
	states, err = h.Secrets.SecretStates(h.Context(), user, nil)
	h.must(err)
	h.same("states of no names", states, []leger.SecretState{})
}

func testRecordAccess(h *harness) {
	user := h.account(1)
	a, b := h.put(user, "a", 0, "x").Name, h.put(user, "b", 0, "y").Name
	accessed := func() (list []time.Time) {
		infos, err := h.Secrets.Secrets(h.Context(), user)
		h.must(err)
		for _, i := range infos {
			list = append(list, i.LastAccessed)
		}
		return list
	}
	minute := func(n int) time.Time { return at(n).Truncate(time.Minute) }
	read := func(n int, names ...leger.SecretName) {
		h.must(h.Secrets.RecordAccess(h.Context(), user, names, event(user, leger.ActionSecretRead, "*", 0, n)))
	}
	h.same("before", accessed(), []time.Time{{}, {}})
	read(3, b)
	h.same("b was read", accessed(), []time.Time{{}, minute(3)})
	read(4)
	h.same("all were read", accessed(), []time.Time{minute(4), minute(4)})
	read(2, a, h.secretName("never"))
	h.same("a late record does not turn time back", accessed(), []time.Time{minute(4), minute(4)})
	h.put(user, "a", 1, "z")
	h.same("an update keeps it", accessed(), []time.Time{minute(4), minute(4)})
	h.must(h.deleteSecret(user, "a", 0))
	h.put(user, "a", 2, "again")
	h.same("a deletion does not", accessed(), []time.Time{{}, minute(4)})
	reads := 0
	for _, action := range h.actions(user) {
		if action == leger.ActionSecretRead {
			reads++
		}
	}
	h.same("reads in the audit log", reads, 3)
}

func testNoAccount(h *harness) {
	nobody := identity(99).UserID()
	h.fails(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{h.write(nobody, "key", 0, "x")}), leger.ErrNotFound)
	h.same("audit", h.actions(nobody), []leger.Action{})
}

func testGivenUp(h *harness) {
	user := h.account(1)
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	err := h.Secrets.PutSecrets(ctx, []leger.SecretWrite{h.write(user, "key", 0, "x")})
	if !errors.Is(err, context.Canceled) {
		h.Errorf("put = %v, want the context's error in it", err)
	}
	if _, err := h.Secrets.Secrets(ctx, user); !errors.Is(err, context.Canceled) {
		h.Errorf("list = %v, want the context's error in it", err)
	}
	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	h.same("secrets", infos, []leger.SecretInfo{})
}
