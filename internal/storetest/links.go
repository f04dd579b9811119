package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"leger.run/leger"
)

func linkTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"a link signs one browser in":               testSignInLink,
		"of 50 that use a link, one is signed in":   testLinkConcurrently,
		"a link ends with the session of its maker": testLinkOfEndedSession,
		"a link is open for as long as it says":     testLinkExpires,
		"no more links than the limit":              testTooManyLinks,
		"a link of no session is not kept":          testLinkOfNobody,
	}
}

// signInLink is a link that the session makes in that minute.
func (h *harness) signInLink(by leger.Session, minute int) leger.SignInLink {
	h.Helper()
	return leger.SignInLink{
		Ticket: h.ticket(leger.LinkPrefix), User: by.User, MadeBy: by.Hash,
		CreatedAt: at(minute), ExpiresAt: at(minute).Add(leger.LinkLifetime), EndsAt: by.ExpiresAt,
	}
}

func (h *harness) makeLink(l leger.SignInLink) error {
	h.Helper()
	return h.Links.MakeLink(h.Context(), l, event(l.User, leger.ActionSessionLink, "session", 0, 1))
}

// accept uses a link up with a browser's cookie.
func (h *harness) accept(l leger.SignInLink, cookie string, minute int) (leger.User, error) {
	h.Helper()
	s := leger.Session{
		Hash: leger.HashSession(cookie), ID: h.id(), User: l.User, CreatedAt: at(minute), LastSeen: at(minute),
		ExpiresAt: l.EndsAt, UserAgent: "Phone", RemoteAddr: "100.64.0.8",
	}
	return h.Links.AcceptLink(h.Context(), l, s, event(l.User, leger.ActionSignIn, s.ID, 0, minute))
}

func testSignInLink(h *harness) {
	maker := h.signInBrowser(1, "laptop")
	h.signInBrowser(2, "another's")
	before := h.actions(maker.User)
	want := h.signInLink(maker, 1)
	h.must(h.makeLink(want))
	got, err := h.Links.Link(h.Context(), want.Ticket, at(2))
	h.must(err)
	h.same("link", got, want)
	u, err := h.accept(got, "phone", 2)
	h.must(err)
	h.same("user", u.ID, maker.User)
	h.same("sign-ins", u.TotalAuthentications, int64(2))
	h.same("last seen", u.LastSeen, at(2))
	s, err := h.Sessions.Session(h.Context(), leger.HashSession("phone"))
	h.must(err)
	h.same("the new session ends with the maker's", s.ExpiresAt, maker.ExpiresAt)
	_, err = h.accept(want, "again", 2)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Sessions.Session(h.Context(), leger.HashSession("again"))
	h.fails(err, leger.ErrNotFound)
	_, err = h.Links.Link(h.Context(), want.Ticket, at(2))
	h.fails(err, leger.ErrNotFound)
	h.same("audit", h.actions(maker.User), append(before, leger.ActionSessionLink, leger.ActionSignIn))
}

func testLinkConcurrently(h *harness) {
	maker := h.signInBrowser(1, "laptop")
	l := h.signInLink(maker, 1)
	h.must(h.makeLink(l))
	var succeeded atomic.Int64
	h.together(func(n int) error {
		_, err := h.accept(l, fmt.Sprintf("phone %d", n), 2)
		if err == nil {
			succeeded.Add(1)
		}
		if errors.Is(err, leger.ErrNotFound) {
			return nil
		}
		return err
	})
	h.same("browsers that were signed in", succeeded.Load(), int64(1))
	list, err := h.Sessions.Sessions(h.Context(), maker.User, at(3))
	h.must(err)
	h.same("sessions", len(list), 2)
}

func testLinkOfEndedSession(h *harness) {
	ended, other := h.signInBrowser(1, "laptop"), h.signInBrowser(1, "desktop")
	one, two := h.signInLink(ended, 1), h.signInLink(other, 1)
	h.must(h.makeLink(one))
	h.must(h.makeLink(two))
	h.must(h.Sessions.DeleteSession(h.Context(), ended.User, ended.ID, event(ended.User, leger.ActionSessionEnd, ended.ID, 0, 2)))
	_, err := h.accept(one, "phone", 2)
	h.fails(err, leger.ErrNotFound)
	// "Sign out everywhere else" ends those of the session that stays, too.
	_, err = h.Users.SignOutEverywhere(h.Context(), other.User, other.Hash, at(2),
		event(other.User, leger.ActionSignOutEverywhere, "", 0, 2))
	h.must(err)
	_, err = h.accept(two, "phone", 2)
	h.fails(err, leger.ErrNotFound)
}

func testLinkExpires(h *harness) {
	maker := h.signInBrowser(1, "laptop")
	l := h.signInLink(maker, 1)
	h.must(h.makeLink(l))
	_, err := h.Links.Link(h.Context(), l.Ticket, at(3))
	h.fails(err, leger.ErrNotFound)
	_, err = h.accept(l, "phone", 3)
	h.fails(err, leger.ErrNotFound)
	_, err = h.accept(l, "phone", 2)
	h.must(err)
}

func testTooManyLinks(h *harness) {
	maker, other := h.signInBrowser(1, "laptop"), h.signInBrowser(2, "another's")
	for range leger.MaxLinks {
		h.must(h.makeLink(h.signInLink(maker, 1)))
	}
	h.fails(h.makeLink(h.signInLink(maker, 2)), leger.ErrConflict)
	h.must(h.makeLink(h.signInLink(other, 2)))
	h.must(h.makeLink(h.signInLink(maker, 4))) // the others' time is over
}

func testLinkOfNobody(h *harness) {
	maker, other := h.signInBrowser(1, "laptop"), h.signInBrowser(2, "another's")
	l := h.signInLink(maker, 1)
	l.MadeBy = leger.HashSession("never there")
	h.fails(h.makeLink(l), leger.ErrNotFound)
	l.MadeBy = other.Hash // the session of somebody else makes no link of this user
	if err := h.makeLink(l); err == nil {
		h.Error("a link by another's session is kept")
	}
	_, err := h.Links.Link(h.Context(), l.Ticket, at(1))
	h.fails(err, leger.ErrNotFound)
}
