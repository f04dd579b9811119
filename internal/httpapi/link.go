package httpapi

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/wire"
)

// makeLink gives a link by which another browser signs in as the caller. Only a browser
// hands itself on: a machine signs links of its own, and one that only delivers none.
func (a *API) makeLink(w http.ResponseWriter, r *http.Request, c caller) error {
	if c.session == nil {
		return a.forbid(r, c, leger.Errorf(leger.CodeForbidden, "only a browser that is signed in makes such a link").
			WithHint("leger auth login prints a link"))
	}
	ticket, err := leger.NewTicket(a.Random, leger.LinkPrefix)
	if err != nil {
		return err
	}
	now := a.Now()
	l := leger.SignInLink{
		Ticket: ticket.Hash(), User: c.user.ID, MadeBy: c.session.Hash,
		CreatedAt: now, ExpiresAt: now.Add(leger.LinkLifetime), EndsAt: c.session.ExpiresAt,
	}
	e := a.event(r, c)
	e.Action, e.Subject = leger.ActionSessionLink, c.session.ID
	if err := a.Stores.MakeLink(r.Context(), l, e); err != nil {
		return err
	}
	query := url.Values{"token": {ticket.Reveal()}}
	return ok(w, wire.SignInLink{URL: a.origin + "/auth?" + query.Encode(), ExpiresAt: wire.At(l.ExpiresAt)})
}

// linkTicket gives the ticket of a link that a browser shows, without looking whether it
// is a good one.
func linkTicket(r *http.Request) (text string, ok bool) {
	text, err := bearer(r.Header.Get("Authorization"))
	return text, err == nil && strings.HasPrefix(text, leger.LinkPrefix)
}

// acceptLink signs a browser in by a link that another one made.
func (a *API) acceptLink(w http.ResponseWriter, r *http.Request, text string) error {
	ticket, err := leger.ParseTicket("token", leger.LinkPrefix, text)
	if err != nil {
		return a.refused(r, token.Refuse(errors.New("the link's ticket has not the form of one")))
	}
	body, err := decodeOptional[wire.ValidateRequest](w, r)
	if err != nil {
		return err
	}
	if body.Session != nil && !*body.Session {
		return leger.Invalid("session", "this link opens nothing but a browser session")
	}
	if !a.cookie.mayHold(r) {
		return errPlainHTTP()
	}
	l, err := a.Stores.Link(r.Context(), ticket.Hash(), a.Now())
	if err != nil {
		return a.refusedLink(r, err)
	}
	session, id, err := a.newSession(r, l.User)
	if err != nil {
		return err
	}
	if l.EndsAt.Before(session.ExpiresAt) {
		session.ExpiresAt = l.EndsAt
	}
	e := a.event(r, caller{user: leger.User{ID: l.User}, session: session})
	e.Action, e.Subject, e.Detail = leger.ActionSignIn, session.ID, "by a link of another browser"
	u, err := a.Stores.AcceptLink(r.Context(), l, *session, e)
	if err != nil {
		return a.refusedLink(r, err)
	}
	noteUser(r.Context(), u.ID)
	in, err := a.Stores.Installation(r.Context())
	if err != nil {
		return err
	}
	a.cookie.set(w, id, session.ExpiresAt)
	return ok(w, wire.Validated{User: wire.UserOf(u), Installation: wire.InstallationOf(in)})
}

// refusedLink makes a link that is not open count as a wrong credential.
func (a *API) refusedLink(r *http.Request, err error) error {
	e, known := errors.AsType[*leger.Error](err)
	if !known || e.Code != leger.CodeNotFound {
		return err
	}
	refusal := leger.Wrap(leger.CodeInvalidToken, errors.New("the link is not open"), "%s", e.Message)
	return a.refused(r, refusal.WithHint("%s", e.Hint))
}
