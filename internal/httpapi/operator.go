package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/wire"
)

// operator runs h for whoever shows the ticket of an operator. Anything else is a wrong
// credential, as at any route.
func (a *API) operator(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := allow(r.Context(), a.Requests, "address "+Network(clientAddr(r))); err != nil {
			return err
		}
		if err := a.checkOperator(r); err != nil {
			return a.refused(r, err)
		}
		return h(w, r)
	}
}

func (a *API) checkOperator(r *http.Request) error {
	header := r.Header.Get("Authorization")
	if header == "" {
		return token.Refuse(errors.New("no credential"))
	}
	text, err := bearer(header)
	if err != nil {
		return err
	}
	ticket, err := leger.ParseTicket("token", leger.OperatorPrefix, text)
	if err != nil {
		return token.Refuse(errors.New("not the ticket of an operator"))
	}
	err = a.Stores.OperatorTicket(r.Context(), ticket.Hash(), a.Now())
	if errors.Is(err, leger.ErrNotFound) {
		return token.Refuse(errors.New("the operator's ticket is not open"))
	}
	return err
}

// byOperator starts the audit event of something the operator does.
func (a *API) byOperator(r *http.Request) leger.AuditEvent {
	e := a.stranger(r, leger.AuditEvent{})
	e.Credential = leger.CredentialOperator
	return e
}

// inviteOwner makes an invitation by which a machine of a person's own is enrolled: the
// first one of an installation, or the next one of who lost all of theirs.
func (a *API) inviteOwner(w http.ResponseWriter, r *http.Request) error {
	body, err := decode[wire.OwnerInvite](w, r)
	if err != nil {
		return err
	}
	if body.Name != "" {
		if err := leger.ParseMachineName(body.Name); err != nil {
			return err
		}
	}
	owner, err := a.owner(r, body)
	if err != nil {
		return err
	}
	in, ticket, err := a.newInvitation(owner.UserID())
	if err != nil {
		return err
	}
	in.Name, in.Role = body.Name, leger.RoleFull
	_, err = a.Stores.User(r.Context(), in.User)
	created := errors.Is(err, leger.ErrNotFound)
	if err != nil && !created {
		return err
	}
	e := a.byOperator(r)
	e.User, e.Action, e.Subject, e.Detail = in.User, leger.ActionMachineInvite, in.ID, inviteDetail(in)
	u, err := a.Stores.InviteOwner(r.Context(), owner, in, e)
	if err != nil {
		return err
	}
	noteUser(r.Context(), u.ID)
	return ok(w, wire.OwnerInvited{
		InvitationMade: wire.InvitationMade{Invitation: wire.InvitationOf(in), Text: ticket.Reveal()},
		User:           wire.UserOf(u), Created: created,
	})
}

// owner is who is invited. Without Tailscale's number it is the account with that e-mail
// or, if there is none, the identity that leger-server login-link gives it, too.
func (a *API) owner(r *http.Request, body wire.OwnerInvite) (leger.Identity, error) {
	id := leger.LocalIdentity(body.Email)
	if body.TailscaleUserID != "" {
		var err error
		if id.TailscaleUserID, err = leger.ParseTailscaleUserID(body.TailscaleUserID); err != nil {
			return leger.Identity{}, err
		}
		id.Tailnet = ""
	}
	if body.Tailnet != "" {
		id.Tailnet = body.Tailnet
	}
	if err := id.Validate(); err != nil || body.TailscaleUserID != "" {
		return id, err
	}
	u, err := a.Stores.UserByEmail(r.Context(), body.Email)
	switch {
	case errors.Is(err, leger.ErrNotFound):
		return id, nil
	case err != nil:
		return leger.Identity{}, err
	}
	return leger.Identity{TailscaleUserID: u.TailscaleUserID, Email: u.Email, Tailnet: u.Tailnet}, nil
}

// rekey seals the next records with the current encryption key, a few in each request, so
// that no request takes long. Whoever asks comes back with the cursor; without one it
// begins anew, and passes over what is done.
func (a *API) rekey(w http.ResponseWriter, r *http.Request) error {
	body, err := decodeOptional[wire.Rekey](w, r)
	if err != nil {
		return err
	}
	at, err := a.rekeyAt(r, body.Cursor)
	if err != nil {
		return err
	}
	out := wire.Rekeyed{KeyID: at.KeyID}
	if at.Telling {
		out.Passed, out.Total = at.Passed, at.Total
		return a.tellRekey(w, r, at, out)
	}
	after := leger.RecordPlace{User: at.User, Name: at.Name, Version: at.Version}
	part, err := a.Vault.ResealPart(r.Context(), a.Stores, at.KeyID, after)
	if err != nil {
		return lacksKey(err)
	}
	at.User, at.Name, at.Version = part.Last.User, part.Last.Name, part.Last.Version
	at.Passed += part.Passed
	out.Resealed, out.Passed, out.Total = part.Resealed, at.Passed, at.Total
	if part.End {
		if at.Telling, err = a.allResealed(r, at.KeyID); err != nil {
			return err
		}
		if at.Telling {
			return a.tellRekey(w, r, at, out)
		}
		at = rekeyPlace{KeyID: at.KeyID, Total: at.Total}
	}
	return a.goOn(w, at, out)
}

func (a *API) goOn(w http.ResponseWriter, at rekeyPlace, out wire.Rekeyed) (err error) {
	if out.Next, err = at.cursor(); err != nil {
		return err
	}
	return ok(w, out)
}

// lacksKey: the request was right, and the server is not.
func lacksKey(err error) error {
	e, known := errors.AsType[*leger.Error](err)
	if !known || e.Code != leger.CodeInvalid {
		return err
	}
	return leger.Wrap(leger.CodeConflict, err, "%s", e.Message).
		WithHint("put the key it needs into ENCRYPTION_KEY_PREVIOUS, then go on")
}

// allResealed seals the key of the audit log anew, which is the last one, and tells
// whether the key seals everything now. It does not when an instance that had the former
// key wrote something meanwhile.
func (a *API) allResealed(r *http.Request, keyID string) (bool, error) {
	if err := a.Stores.OpenAuditKey(r.Context(), a.Vault.AuditKeys(), a.Random); err != nil {
		return false, lacksKey(err)
	}
	ids, err := a.Stores.KeyIDs(r.Context())
	return !slices.ContainsFunc(ids, func(id string) bool { return id != keyID }), err
}

// tellRekey has the change recorded in the audit logs of the next owners, and answers.
func (a *API) tellRekey(w http.ResponseWriter, r *http.Request, at rekeyPlace, out wire.Rekeyed) error {
	e := a.byOperator(r)
	e.Action, e.Detail = leger.ActionKeyRotate, "key "+at.KeyID
	more, err := a.Stores.TellRekey(r.Context(), at.KeyID, e)
	if err != nil {
		return err
	}
	if more {
		return a.goOn(w, at, out)
	}
	out.Former = a.Vault.FormerKeyIDs()
	return ok(w, out)
}

// rekeyPlace is how far a rekey is: what a cursor holds.
type rekeyPlace struct {
	KeyID   string        `json:"key"`
	User    string        `json:"user"`
	Name    string        `json:"name"`
	Version leger.Version `json:"version"`
	Passed  int           `json:"passed"`
	Total   int           `json:"total"`
	Telling bool          `json:"telling"` // every record is sealed, and owners are told
}

// maxRekeyCursor is longer than any that is given.
const maxRekeyCursor = 1024

// rekeyAt reads a cursor, or begins.
func (a *API) rekeyAt(r *http.Request, cursor string) (at rekeyPlace, err error) {
	if cursor == "" {
		at.KeyID = a.Vault.KeyID()
		at.Total, err = a.Stores.CountVersions(r.Context())
		return at, err
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if len(cursor) > maxRekeyCursor || err != nil || json.Unmarshal(b, &at) != nil || at.KeyID == "" {
		return at, leger.Invalid("cursor", "cursor must be the next of the answer before")
	}
	if current := a.Vault.KeyID(); at.KeyID != current {
		return at, leger.Errorf(leger.CodeConflict,
			"this rekey began with the key %s, and ENCRYPTION_KEY is the key %s", at.KeyID, current).
			WithHint("wait a minute, until the server has its new settings everywhere, and begin again")
	}
	return at, nil
}

func (p rekeyPlace) cursor() (string, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "encode a cursor")
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
