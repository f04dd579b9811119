package httpapi

import (
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

func (a *API) user(w http.ResponseWriter, r *http.Request, c caller) error {
	return a.profile(w, r, c, c.user)
}

func (a *API) profile(w http.ResponseWriter, r *http.Request, c caller, u leger.User) error {
	in, err := a.Stores.Installation(r.Context())
	if err != nil {
		return err
	}
	out := wire.Profile{User: wire.UserOf(u), Installation: wire.InstallationOf(in)}
	if c.machine != nil {
		m := wireMachine(*c.machine, c)
		out.Machine = &m
	}
	if a.Backup != nil {
		state, err := a.Backup()
		if err != nil {
			return err
		}
		out.Backup = wire.BackupOf(state)
	}
	return ok(w, out)
}

func (a *API) patchUser(w http.ResponseWriter, r *http.Request, c caller) error {
	body, err := decode[wire.UserPatch](w, r)
	if err != nil {
		return err
	}
	name, err := leger.ParseDisplayName(body.DisplayName)
	if err != nil {
		return err
	}
	e := a.event(r, c)
	e.Action = leger.ActionUserUpdate
	u, err := a.Stores.SetDisplayName(r.Context(), c.user.ID, name, e)
	if err != nil {
		return err
	}
	return a.profile(w, r, c, u)
}

// deleteUser removes the account and all it owns. The e-mail must be typed, so
// that no single click or stray request does it.
func (a *API) deleteUser(w http.ResponseWriter, r *http.Request, c caller) error {
	body, err := decode[wire.UserDelete](w, r)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(strings.ToLower(body.Email)), []byte(strings.ToLower(c.user.Email))) != 1 {
		return leger.Invalid("email", "the e-mail is not the account's: nothing was deleted")
	}
	e := a.event(r, c)
	e.Action = leger.ActionUserDelete
	if err := a.Stores.DeleteUser(r.Context(), c.user.ID, e); err != nil {
		return err
	}
	a.cookie.clear(w)
	return ok(w, wire.Deleted{Deleted: true})
}

func (a *API) sessions(w http.ResponseWriter, r *http.Request, c caller) error {
	list, err := a.Stores.Sessions(r.Context(), c.user.ID, a.Now())
	if err != nil {
		return err
	}
	out := wire.Sessions{Sessions: make([]wire.Session, len(list))}
	for i, s := range list {
		out.Sessions[i] = wire.Session{
			ID: s.ID, Current: c.session != nil && c.session.Hash == s.Hash,
			CreatedAt: wire.At(s.CreatedAt), LastSeen: wire.At(s.LastSeen), ExpiresAt: wire.At(s.ExpiresAt),
			UserAgent: s.UserAgent, RemoteAddr: s.RemoteAddr,
		}
	}
	return ok(w, out)
}

func (a *API) deleteSession(w http.ResponseWriter, r *http.Request, c caller) error {
	id := r.PathValue("id")
	if !leger.ValidID(id) {
		return leger.Invalid("id", "the session id is not a UUID")
	}
	e := a.event(r, c)
	e.Action, e.Subject = leger.ActionSessionEnd, id
	if err := a.Stores.DeleteSession(r.Context(), c.user.ID, id, e); err != nil {
		return err
	}
	if c.session != nil && c.session.ID == id {
		a.cookie.clear(w)
	}
	return ok(w, wire.Deleted{Deleted: true})
}

// signOutEverywhere ends every session but the one that asks, and every token
// issued so far, the asking one too: tokens issued in this very second fall as
// well, because their times have no finer grain.
func (a *API) signOutEverywhere(w http.ResponseWriter, r *http.Request, c caller) error {
	var keep leger.SessionHash
	if c.session != nil {
		keep = c.session.Hash
	}
	e := a.event(r, c)
	e.Action = leger.ActionSignOutEverywhere
	n, err := a.Stores.SignOutEverywhere(r.Context(), c.user.ID, keep, e.At, e)
	if err != nil {
		return err
	}
	return ok(w, wire.SignedOut{Deleted: true, Sessions: n})
}

func (a *API) audit(w http.ResponseWriter, r *http.Request, c caller) error {
	limit, cursor, err := page(r)
	if err != nil {
		return err
	}
	var before int64
	if cursor != "" {
		if before, err = strconv.ParseInt(cursor, 10, 64); err != nil || before < 1 {
			return badCursor()
		}
	}
	filter, err := auditFilter(r)
	if err != nil {
		return err
	}
	events, next, err := a.Stores.AuditEvents(r.Context(), c.user.ID,
		leger.AuditPage{Limit: limit, Before: before, AuditFilter: filter})
	if err != nil {
		return err
	}
	out := wire.AuditEvents{Events: make([]wire.AuditEvent, len(events))}
	for i, e := range events {
		out.Events[i] = wire.AuditEventOf(e)
	}
	if next != 0 {
		out.NextCursor = cursorOf(strconv.FormatInt(next, 10))
	}
	return ok(w, out)
}
