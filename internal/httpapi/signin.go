package httpapi

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/wire"
)

// authMethodsFor is how long clients may keep the ways to sign in: they change with a
// restart of the server only.
const authMethodsFor = 5 * time.Minute

// authMethods says how one signs in here: the server decides that, so that neither
// the page nor the CLI has to be told. It needs no storage and no credential.
func (a *API) authMethods(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(authMethodsFor.Seconds())))
	methods := make([]wire.AuthMethod, len(a.Auth))
	for i, m := range a.Auth {
		methods[i] = wire.AuthMethod{Name: m}
	}
	return ok(w, wire.AuthMethods{Server: a.origin, Methods: methods})
}

// validate checks a token, makes or refreshes its account and, unless told not
// to, signs the browser in. A link token works once.
func (a *API) validate(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), a.Requests, "address "+Network(clientAddr(r))); err != nil {
		return err
	}
	if ticket, ok := linkTicket(r); ok {
		return a.acceptLink(w, r, ticket)
	}
	p, err := a.proof(r)
	if err != nil {
		return a.refused(r, err)
	}
	body, err := decodeOptional[wire.ValidateRequest](w, r)
	if err != nil {
		return err
	}
	browser := body.Session == nil || *body.Session
	if browser && !a.cookie.mayHold(r) {
		return errPlainHTTP()
	}
	if m := p.machine; browser && m != nil && m.Role != leger.RoleFull {
		return a.forbid(r, caller{user: p.user, machine: m}, onlyDelivers())
	}
	if err := a.spend(r, p); err != nil {
		return a.refused(r, err)
	}
	var session *leger.Session
	var id string
	if browser {
		if session, id, err = a.newSession(r, p.identity.UserID()); err != nil {
			return err
		}
	}
	u, err := a.signIn(r, p, session)
	if err != nil {
		return err
	}
	if p.machine == nil && !p.link {
		if err := a.noteToken(r, u.ID, p.issued); err != nil {
			return err
		}
	}
	in, err := a.Stores.Installation(r.Context())
	if err != nil {
		return err
	}
	if session != nil {
		a.cookie.set(w, id, session.ExpiresAt)
	}
	return ok(w, wire.Validated{User: wire.UserOf(u), Installation: wire.InstallationOf(in)})
}

// proof is who a token says is signing in, once it was verified.
type proof struct {
	identity   leger.Identity
	machine    *leger.Machine // nil with the shared secret
	user       leger.User     // of the machine; else zero: the account may not be there yet
	id         string         // of the token; may be empty
	link       bool
	issued     time.Time
	expires    time.Time
	cliVersion string
	peer       *leger.Peer // that Tailscale vouches for; nil for a token
}

// proof verifies the token of a sign-in, of either kind.
func (a *API) proof(r *http.Request) (proof, error) {
	text, err := bearer(r.Header.Get("Authorization"))
	if err != nil {
		return proof{}, err
	}
	if id := token.MachineOf(text); id != "" {
		m, u, c, err := a.verifyMachine(r, id, text)
		if err != nil {
			return proof{}, err
		}
		if c.Link && c.IssuedAt.Before(u.TokensValidAfter) {
			return proof{}, token.Refuse(errors.New("issued before sign out everywhere"))
		}
		return proof{
			identity: leger.Identity{TailscaleUserID: u.TailscaleUserID, Email: u.Email, Tailnet: u.Tailnet, DeviceID: m.DeviceID},
			machine:  &m, user: u, id: c.ID, link: c.Link, expires: c.ExpiresAt, cliVersion: c.CLIVersion,
		}, nil
	}
	c, err := a.claims(r, text)
	if err != nil {
		return proof{}, err
	}
	return proof{identity: c.Identity, id: c.ID, link: c.Link, issued: c.IssuedAt, expires: c.ExpiresAt, cliVersion: c.CLIVersion}, a.checkValidAfter(r, c)
}

// noteToken remembers a token that a computer with a fast clock made: "sign out
// everywhere" and the deletion of the account would take it for a later one.
func (a *API) noteToken(r *http.Request, user leger.UserID, issued time.Time) error {
	if !issued.After(a.Now()) {
		return nil
	}
	return a.Stores.NoteToken(r.Context(), user, issued)
}

// checkValidAfter refuses what "sign out everywhere" or the deletion of the account
// ended: such a token must not make the account anew.
func (a *API) checkValidAfter(r *http.Request, c token.Claims) error {
	after, err := a.Stores.TokensValidAfter(r.Context(), c.Identity.UserID())
	if err == nil && c.IssuedAt.Before(after) {
		err = token.Refuse(errors.New("issued before sign out everywhere"))
	}
	return err
}

// spend uses a link token up; an access token must merely not be revoked.
func (a *API) spend(r *http.Request, p proof) error {
	if !p.link {
		return a.checkUnspent(r, p.id)
	}
	err := a.Stores.SpendToken(r.Context(), p.id, p.expires.Add(token.Skew))
	if errors.Is(err, leger.ErrConflict) {
		return leger.Wrap(leger.CodeInvalidToken, errors.New("the link token was used before"),
			"this sign-in link was used already").WithHint("run leger auth login again for a new one")
	}
	return err
}

func (a *API) newSession(r *http.Request, user leger.UserID) (*leger.Session, string, error) {
	id, err := leger.NewSessionID(a.Random)
	if err != nil {
		return nil, "", err
	}
	public, err := leger.NewID(a.Random)
	if err != nil {
		return nil, "", err
	}
	now := a.Now()
	return &leger.Session{
		Hash: leger.HashSession(id), ID: public, User: user, CreatedAt: now, LastSeen: now,
		ExpiresAt: now.Add(leger.SessionAbsolute), UserAgent: cut(r.UserAgent(), 200), RemoteAddr: clientAddr(r),
	}, id, nil
}

func (a *API) signIn(r *http.Request, p proof, s *leger.Session) (leger.User, error) {
	e := a.event(r, caller{user: leger.User{ID: p.identity.UserID()}, machine: p.machine, claims: token.Claims{Identity: p.identity}})
	e.Action = leger.ActionSignIn
	if p.peer != nil {
		e.Credential, e.Detail = leger.CredentialTailnet, cut("tailnet "+p.peer.Name, 200)
	}
	if s != nil {
		e.Subject = s.ID
	}
	u, created, err := a.Stores.SignIn(r.Context(), leger.SignIn{
		Identity: p.identity, CLIVersion: p.cliVersion, At: e.At, Audit: e,
	}, s)
	if err != nil {
		return leger.User{}, err
	}
	noteUser(r.Context(), u.ID)
	if created && a.accepts(leger.SignInSharedSecret) {
		a.warnOfSecondUser(r)
	}
	return u, nil
}

// warnOfSecondUser: whoever holds the shared secret can sign in as anybody, so
// it suits one owner's own installation.
func (a *API) warnOfSecondUser(r *http.Request) {
	n, err := a.Stores.CountUsers(r.Context())
	switch {
	case err != nil: // the sign-in stands all the same: its link is used up
		a.Log.ErrorContext(r.Context(), "count the users", slog.Any("error", err))
	case n > 1:
		a.Log.WarnContext(r.Context(), "more than one user signs in with the shared secret: each of them could sign in as any other",
			slog.Int("users", n))
	}
}

// revokeToken makes the caller's own token unusable.
func (a *API) revokeToken(w http.ResponseWriter, r *http.Request, c caller) error {
	if c.session != nil {
		return leger.Errorf(leger.CodeInvalid, "this request is signed in by a browser session, not a token").
			WithHint("end a session with DELETE /api/sessions/{id}")
	}
	if c.machine != nil {
		return leger.Errorf(leger.CodeInvalid, "a machine signs a new token for each of its requests, so one alone is not revoked").
			WithHint("revoke the machine with DELETE /api/machines/{id}")
	}
	if c.claims.ID == "" {
		return leger.Errorf(leger.CodeInvalid, "this token has no id, so it cannot be revoked alone").
			WithHint("sign out everywhere with DELETE /api/sessions")
	}
	err := a.Stores.SpendToken(r.Context(), c.claims.ID, c.claims.ExpiresAt.Add(token.Skew))
	if err != nil && !errors.Is(err, leger.ErrConflict) {
		return err
	}
	e := a.event(r, c)
	e.Action = leger.ActionTokenRevoke
	if err := a.Stores.AppendAudit(r.Context(), e); err != nil {
		return err
	}
	return ok(w, wire.Deleted{Deleted: true})
}
