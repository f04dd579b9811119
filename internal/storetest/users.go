package storetest

import (
	"fmt"
	"strings"
	"time"

	"leger.run/leger"
)

func userTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"the first sign-in makes the account":       testFirstSignIn,
		"a later sign-in refreshes it":              testLaterSignIn,
		"a sign-in without device or client":        testSignInWithoutDevice,
		"50 first sign-ins make one account":        testConcurrentSignIn,
		"an account nobody made":                    testNoUser,
		"a display name":                            testDisplayName,
		"an account by its e-mail":                  testUserByEmail,
		"sign out everywhere":                       testSignOutEverywhere,
		"a deleted account takes all it owns along": testDeleteUser,
		"a deletion ends the tokens from before":    testDeletionEndsTokens,
		"a sign-out outlives the account":           testSignOutOutlivesAccount,
	}
}

func testFirstSignIn(h *harness) {
	u, created, err := h.Users.SignIn(h.Context(), signIn(1, 7), nil)
	h.must(err)
	h.same("created", created, true)
	id := identity(1)
	want := leger.User{
		ID: id.UserID(), TailscaleUserID: id.TailscaleUserID, Email: id.Email, Tailnet: id.Tailnet,
		CreatedAt: at(7), LastSeen: at(7), LastDeviceID: id.DeviceID, CLIVersion: "0.1.0", TotalAuthentications: 1,
	}
	h.same("account", u, want)
	u, err = h.Users.User(h.Context(), want.ID)
	h.must(err)
	h.same("account, read again", u, want)
	n, err := h.Users.CountUsers(h.Context())
	h.must(err)
	h.same("accounts", n, 1)
	h.same("audit", h.actions(want.ID), []leger.Action{leger.ActionSignIn})
}

func testLaterSignIn(h *harness) {
	h.account(1)
	in := signIn(1, 9)
	in.Identity.Email, in.Identity.Tailnet, in.Identity.DeviceID, in.CLIVersion = "new@github", "new.ts.net", "node9", "0.2.0"
	u, created, err := h.Users.SignIn(h.Context(), in, nil)
	h.must(err)
	h.same("created", created, false)
	h.same("account", u, leger.User{
		ID: in.Identity.UserID(), TailscaleUserID: in.Identity.TailscaleUserID, Email: "new@github", Tailnet: "new.ts.net",
		CreatedAt: at(0), LastSeen: at(9), LastDeviceID: "node9", CLIVersion: "0.2.0", TotalAuthentications: 2,
	})
}

func testSignInWithoutDevice(h *harness) {
	h.account(1)
	in := signIn(1, 9)
	in.Identity.DeviceID, in.CLIVersion = "", ""
	u, _, err := h.Users.SignIn(h.Context(), in, nil)
	h.must(err)
	h.same("the device and client last heard of", []string{u.LastDeviceID, u.CLIVersion}, []string{"node1", "0.1.0"})
}

func testConcurrentSignIn(h *harness) {
	created := make([]bool, writers)
	h.together(func(i int) (err error) {
		_, created[i], err = h.Users.SignIn(h.Context(), signIn(1, i), nil)
		return err
	})
	n := 0
	for _, c := range created {
		if c {
			n++
		}
	}
	h.same("sign-ins that made the account", n, 1)
	u, err := h.Users.User(h.Context(), identity(1).UserID())
	h.must(err)
	h.same("sign-ins", u.TotalAuthentications, int64(writers))
	h.same("last seen", u.LastSeen, at(writers-1))
}

func testNoUser(h *harness) {
	nobody := identity(99).UserID()
	_, err := h.Users.User(h.Context(), nobody)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Users.SetDisplayName(h.Context(), nobody, "Nobody", event(nobody, leger.ActionUserUpdate, "", 0, 0))
	h.fails(err, leger.ErrNotFound)
	_, err = h.Users.SignOutEverywhere(h.Context(), nobody, "", at(0), event(nobody, leger.ActionSignOutEverywhere, "", 0, 0))
	h.fails(err, leger.ErrNotFound)
	h.fails(h.Users.DeleteUser(h.Context(), nobody, event(nobody, leger.ActionUserDelete, "", 0, 0)), leger.ErrNotFound)
	n, err := h.Users.CountUsers(h.Context())
	h.must(err)
	h.same("accounts", n, 0)
	h.same("audit", h.actions(nobody), []leger.Action{})
}

// A tailnet policy names people by their e-mail, which two tailnets may both have.
func testUserByEmail(h *harness) {
	h.account(1)
	h.account(2)
	email := identity(1).Email
	for _, spelled := range []string{email, strings.ToUpper(email)} {
		u, err := h.Users.UserByEmail(h.Context(), spelled)
		h.must(err)
		h.same("account", u.ID, identity(1).UserID())
	}
	for _, nobody := range []string{"", "%", email + " ", "nobody@example.com"} {
		_, err := h.Users.UserByEmail(h.Context(), nobody)
		h.fails(err, leger.ErrNotFound)
	}
	in := signIn(3, 9)
	in.Identity.Email, in.Identity.Tailnet = email, "other.ts.net"
	_, _, err := h.Users.SignIn(h.Context(), in, nil)
	h.must(err)
	_, err = h.Users.UserByEmail(h.Context(), email)
	h.fails(err, leger.ErrNotFound)
}

func testDisplayName(h *harness) {
	user, other := h.account(1), h.account(2)
	u, err := h.Users.SetDisplayName(h.Context(), user, "Zoë 🦊", event(user, leger.ActionUserUpdate, "", 0, 1))
	h.must(err)
	h.same("name", u.DisplayName, "Zoë 🦊")
	u, _, err = h.Users.SignIn(h.Context(), signIn(1, 2), nil)
	h.must(err)
	h.same("name after a sign-in", u.DisplayName, "Zoë 🦊")
	u, err = h.Users.User(h.Context(), other)
	h.must(err)
	h.same("another's name", u.DisplayName, "")
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionUserUpdate, leger.ActionSignIn})
}

func testSignOutEverywhere(h *harness) {
	user, other := h.account(1), h.account(2)
	kept, lost, theirs := h.signInBrowser(1, "kept"), h.signInBrowser(1, "lost"), h.signInBrowser(2, "theirs")
	n, err := h.Users.SignOutEverywhere(h.Context(), user, kept.Hash, at(5), event(user, leger.ActionSignOutEverywhere, "", 0, 5))
	h.must(err)
	h.same("sessions ended", n, 1)
	_, err = h.Sessions.Session(h.Context(), lost.Hash)
	h.fails(err, leger.ErrNotFound)
	for _, s := range []leger.Session{kept, theirs} {
		_, err = h.Sessions.Session(h.Context(), s.Hash)
		h.must(err)
	}
	n, err = h.Users.SignOutEverywhere(h.Context(), user, "", at(4), event(user, leger.ActionSignOutEverywhere, "", 0, 5))
	h.must(err)
	h.same("sessions ended when none is kept", n, 1)
	u, err := h.Users.User(h.Context(), user)
	h.must(err)
	h.same("tokens are valid after; never earlier than was said", u.TokensValidAfter, at(5))
	after, err := h.Users.TokensValidAfter(h.Context(), u.ID)
	h.must(err)
	h.same("tokens are valid after, asked alone", after, at(5))
	u, err = h.Users.User(h.Context(), other)
	h.must(err)
	h.same("another's tokens", u.TokensValidAfter.IsZero(), true)
}

// A token that "sign out everywhere" had ended made an empty account anew, once the
// account was deleted.
func testSignOutOutlivesAccount(h *harness) {
	user := h.account(1)
	after, err := h.Users.TokensValidAfter(h.Context(), user)
	h.must(err)
	h.same("before any sign-out", after.IsZero(), true)
	_, err = h.Users.SignOutEverywhere(h.Context(), user, "", at(5), event(user, leger.ActionSignOutEverywhere, "", 0, 5))
	h.must(err)
	h.must(h.Users.DeleteUser(h.Context(), user, event(user, leger.ActionUserDelete, "", 0, 9)))
	after, err = h.Users.TokensValidAfter(h.Context(), user)
	h.must(err)
	h.same("after the deletion", after, nextSecond(at(9)))
	u, _, err := h.Users.SignIn(h.Context(), signIn(1, 20), nil)
	h.must(err)
	h.same("the account that comes back", u.TokensValidAfter, nextSecond(at(9)))
	h.pruneUntil(at(0).AddDate(0, 0, 40))
	after, err = h.Users.TokensValidAfter(h.Context(), identity(2).UserID())
	h.must(err)
	h.same("another account", after.IsZero(), true)
}

// The account was deleted and signed in anew, and every token from before read, wrote
// and deleted the new account's things. One from a clock 50 s ahead outlived "sign out
// everywhere", too.
func testDeletionEndsTokens(h *harness) {
	user, other := h.account(1), h.account(2)
	validAfter := func(what string, id leger.UserID, want time.Time) {
		h.Helper()
		got, err := h.Users.TokensValidAfter(h.Context(), id)
		h.must(err)
		h.same(what, got, want)
	}
	h.must(h.Users.NoteToken(h.Context(), user, at(50)))
	h.must(h.Users.NoteToken(h.Context(), user, at(40))) // the newest counts
	validAfter("a token ahead of the clock ends nothing", user, time.Time{})
	_, err := h.Users.SignOutEverywhere(h.Context(), user, "", at(5), event(user, leger.ActionSignOutEverywhere, "", 0, 5))
	h.must(err)
	validAfter("sign out everywhere ends it", user, at(50).Add(time.Second))
	h.must(h.Users.NoteToken(h.Context(), user, at(60)))
	h.must(h.Users.DeleteUser(h.Context(), user, event(user, leger.ActionUserDelete, "", 0, 9)))
	validAfter("so does the deletion", user, at(60).Add(time.Second))
	h.must(h.Users.NoteToken(h.Context(), user, at(70)))
	h.must(h.Users.DeleteUser(h.Context(), other, event(other, leger.ActionUserDelete, "", 0, 9)))
	validAfter("a deletion ends the tokens of its own second", other, nextSecond(at(9)))
	h.fails(h.Users.DeleteUser(h.Context(), user, event(user, leger.ActionUserDelete, "", 0, 80)), leger.ErrNotFound)
	validAfter("to delete nobody ends nothing", user, at(60).Add(time.Second))
}

// nextSecond is the first whole second after t: tokens tell no smaller time.
func nextSecond(t time.Time) time.Time { return t.Truncate(time.Second).Add(time.Second) }

func testDeleteUser(h *harness) {
	user, other := h.account(1), h.account(2)
	for _, u := range []leger.UserID{user, other} {
		h.put(u, "key", 0, "x")
		h.put(u, "key", 1, "y")
		h.createRelease(u, "web")
	}
	gone, stays := h.signInBrowser(1, "gone"), h.signInBrowser(2, "stays")
	h.must(h.Users.DeleteUser(h.Context(), user, event(user, leger.ActionUserDelete, "", 0, 9)))

	_, err := h.Users.User(h.Context(), user)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Sessions.Session(h.Context(), gone.Hash)
	h.fails(err, leger.ErrNotFound)
	states, err := h.Secrets.SecretStates(h.Context(), user, []leger.SecretName{h.secretName("key")})
	h.must(err)
	h.same("secret", states, []leger.SecretState{{}})
	releases, _, err := h.Releases.Releases(h.Context(), user, leger.ReleasePage{Limit: 10})
	h.must(err)
	h.same("releases", releases, []leger.Release{})
	actions := h.actions(user)
	h.same("the last audit event", actions[len(actions)-1], leger.ActionUserDelete)
	h.same("earlier events stay", actions[0], leger.ActionSignIn)

	_, err = h.Sessions.Session(h.Context(), stays.Hash)
	h.must(err)
	secrets, err := h.Secrets.SealedSecrets(h.Context(), other, nil)
	h.must(err)
	h.same("another's secrets", len(secrets), 1)
	releases, _, err = h.Releases.Releases(h.Context(), other, leger.ReleasePage{Limit: 10})
	h.must(err)
	h.same("another's releases", len(releases), 1)

	_, created, err := h.Users.SignIn(h.Context(), signIn(1, 20), nil)
	h.must(err)
	h.same("who comes back is new", created, true)
	secrets, err = h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	h.same("and owns nothing", fmt.Sprint(len(secrets)), "0")
}
