package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/wire"
)

// touchEvery is how stale a session's LastSeen may get before a request writes
// it anew; against 12 h of idle time a minute is nothing.
const touchEvery = time.Minute

// caller is who is asking, proved by a token or a session.
type caller struct {
	user    leger.User
	session *leger.Session // nil with a token
	claims  token.Claims   // zero with a session
}

func (c caller) credential() leger.Credential {
	if c.session != nil {
		return leger.CredentialSession
	}
	return leger.CredentialToken
}

// userHandler answers the request of somebody known.
type userHandler func(w http.ResponseWriter, r *http.Request, c caller) error

// signedIn finds out who asks, holds them to their rate, then runs h.
func (a *API) signedIn(h userHandler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := a.identify(r)
		if err != nil {
			return a.refused(r, err)
		}
		noteUser(r.Context(), c.user.ID)
		if err := allow(r.Context(), a.Requests, "user "+c.user.ID.String()); err != nil {
			return err
		}
		return h(w, r, c)
	}
}

// identify takes the bearer token if there is one, else the session cookie.
func (a *API) identify(r *http.Request) (caller, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		return a.byToken(r, header)
	}
	if id := a.cookie.of(r); id != "" {
		return a.bySession(r, id)
	}
	return caller{}, token.Refuse(errors.New("no credential"))
}

func (a *API) byToken(r *http.Request, header string) (caller, error) {
	claims, err := a.claims(header)
	if err != nil {
		return caller{}, err
	}
	if claims.Link() {
		return caller{}, token.Refuse(errors.New("a link token opens nothing but a browser session"))
	}
	// A token without an id, made to the letter of the specification, can only be
	// revoked with all others.
	u, spent, err := a.Stores.TokenUser(r.Context(), claims.Identity.UserID(), claims.ID)
	switch {
	case errors.Is(err, leger.ErrNotFound):
		return caller{}, token.Refuse(errors.New("the token's user has no account"))
	case err != nil:
		return caller{}, err
	case spent:
		return caller{}, token.Refuse(errors.New("the token was revoked"))
	}
	if claims.IssuedAt.Before(u.TokensValidAfter) {
		return caller{}, token.Refuse(errors.New("issued before sign out everywhere"))
	}
	return caller{user: u, claims: claims}, nil
}

func (a *API) claims(header string) (token.Claims, error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return token.Claims{}, token.Refuse(errors.New("the Authorization header holds no bearer token"))
	}
	return token.Verify(a.SharedSecret, a.Now(), strings.TrimSpace(text))
}

// checkUnspent refuses a token that was revoked.
func (a *API) checkUnspent(r *http.Request, c token.Claims) error {
	if c.ID == "" {
		return nil
	}
	spent, err := a.Stores.TokenSpent(r.Context(), c.ID)
	if err != nil {
		return err
	}
	if spent {
		return token.Refuse(errors.New("the token was revoked"))
	}
	return nil
}

func (a *API) bySession(r *http.Request, id string) (caller, error) {
	s, err := a.Stores.Session(r.Context(), leger.HashSession(id))
	if errors.Is(err, leger.ErrNotFound) {
		return caller{}, token.Refuse(errors.New("no such session"))
	} else if err != nil {
		return caller{}, err
	}
	now := a.Now()
	if !s.Live(now) {
		return caller{}, token.Refuse(errors.New("the session has expired"))
	}
	u, err := a.Stores.User(r.Context(), s.User)
	if errors.Is(err, leger.ErrNotFound) {
		return caller{}, token.Refuse(errors.New("the session's user has no account"))
	} else if err != nil {
		return caller{}, err
	}
	if now.Sub(s.LastSeen) >= touchEvery {
		if err := a.Stores.TouchSession(r.Context(), s.Hash, now); err != nil {
			return caller{}, err
		}
	}
	return caller{user: u, session: &s}, nil
}

// refused slows down and records who comes with a wrong credential.
func (a *API) refused(r *http.Request, err error) error {
	if !errors.Is(err, leger.ErrInvalidToken) {
		return err
	}
	if limited := allow(r.Context(), a.Refusals, "address "+network(clientAddr(r))); limited != nil {
		return limited
	}
	if r.Header.Get("Authorization") != "" {
		a.auditRefusal(r, leger.AuditEvent{Action: leger.ActionSignInRefused, Detail: causeOf(err)})
	}
	return err
}

// forbid records what a known caller was not allowed to do, and gives the error.
func (a *API) forbid(r *http.Request, c caller, err *leger.Error) error {
	e := a.event(r, c)
	e.Action, e.Detail = leger.ActionAccessDenied, cut(r.Method+" "+r.URL.Path, 200)
	a.auditRefusal(r, e)
	return err
}

// auditRefusal writes the event of a refusal. The refusal stands even when the
// log cannot be written; then the server's own log has it.
func (a *API) auditRefusal(r *http.Request, e leger.AuditEvent) {
	if e.At.IsZero() {
		e = a.stranger(r, e)
	}
	if err := a.Stores.AppendAudit(r.Context(), e); err != nil {
		a.Log.ErrorContext(r.Context(), "audit a refusal", slog.Any("error", err))
	}
}

func (a *API) stranger(r *http.Request, e leger.AuditEvent) leger.AuditEvent {
	e.At, e.Credential = a.Now(), leger.CredentialNone
	e.RemoteAddr, e.RequestID = clientAddr(r), requestID(r.Context())
	return e
}

// event starts the audit event of something c does.
func (a *API) event(r *http.Request, c caller) leger.AuditEvent {
	return leger.AuditEvent{
		At: a.Now(), User: c.user.ID, Credential: c.credential(), DeviceID: c.claims.Identity.DeviceID,
		RemoteAddr: clientAddr(r), RequestID: requestID(r.Context()),
	}
}

func causeOf(err error) string {
	var e *leger.Error
	if errors.As(err, &e) && e.Err != nil {
		return cut(e.Err.Error(), 200)
	}
	return ""
}

// allow takes one event of a limiter, or fails with CodeRateLimited.
func allow(ctx context.Context, l Limiter, key string) error {
	ok, wait := l.Allow(ctx, key)
	if ok {
		return nil
	}
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	return &leger.Error{
		Code: leger.CodeRateLimited, RetryAfter: seconds,
		Message: "too many requests", Hint: "wait, then try again",
	}
}

// authMethodsFor is how long clients may keep the ways to sign in: they change with a
// restart of the server only.
const authMethodsFor = 5 * time.Minute

// authMethods says how one signs in here: the server decides that, so that neither
// the page nor the CLI has to be told. It needs no storage and no credential.
func (a *API) authMethods(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(authMethodsFor.Seconds())))
	return ok(w, wire.AuthMethods{Methods: []wire.AuthMethod{{Name: leger.SignInSharedSecret}}})
}

// validate checks a token, makes or refreshes its account and, unless told not
// to, signs the browser in. A link token works once.
func (a *API) validate(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), a.Requests, "address "+network(clientAddr(r))); err != nil {
		return err
	}
	claims, err := a.claims(r.Header.Get("Authorization"))
	if err != nil {
		return a.refused(r, err)
	}
	body, err := decodeOptional[wire.ValidateRequest](w, r)
	if err != nil {
		return err
	}
	if err := a.checkValidAfter(r, claims); err != nil {
		return a.refused(r, err)
	}
	if err := a.spend(r, claims); err != nil {
		return a.refused(r, err)
	}
	var session *leger.Session
	var id string
	if body.Session == nil || *body.Session {
		if session, id, err = a.newSession(r, claims.Identity.UserID()); err != nil {
			return err
		}
	}
	u, err := a.signIn(r, claims, session)
	if err != nil {
		return err
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

// checkValidAfter refuses what "sign out everywhere" ended, even where the account
// was deleted since: such a token must not make it anew.
func (a *API) checkValidAfter(r *http.Request, c token.Claims) error {
	after, err := a.Stores.TokensValidAfter(r.Context(), c.Identity.UserID())
	if err == nil && c.IssuedAt.Before(after) {
		err = token.Refuse(errors.New("issued before sign out everywhere"))
	}
	return err
}

// spend uses a link token up; an access token must merely not be revoked.
func (a *API) spend(r *http.Request, c token.Claims) error {
	if !c.Link() {
		return a.checkUnspent(r, c)
	}
	err := a.Stores.SpendToken(r.Context(), c.ID, c.ExpiresAt.Add(token.Skew))
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

func (a *API) signIn(r *http.Request, c token.Claims, s *leger.Session) (leger.User, error) {
	e := a.event(r, caller{user: leger.User{ID: c.Identity.UserID()}, claims: c})
	e.Action = leger.ActionSignIn
	if s != nil {
		e.Subject = s.ID
	}
	u, created, err := a.Stores.SignIn(r.Context(), leger.SignIn{
		Identity: c.Identity, CLIVersion: c.CLIVersion, At: e.At, Audit: e,
	}, s)
	if err != nil {
		return leger.User{}, err
	}
	noteUser(r.Context(), u.ID)
	if created {
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
