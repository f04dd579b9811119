package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

// touchEvery is how stale a session's LastSeen may get before a request writes
// it anew; against 12 h of idle time a minute is nothing.
const touchEvery = time.Minute

// caller is who is asking, proved by a browser's session, by a machine's own key, or
// by the shared secret.
type caller struct {
	user    leger.User
	session *leger.Session // of a browser; else nil
	machine *leger.Machine // that signed its token itself; else nil
	claims  token.Claims   // of a token made with the shared secret; else zero
}

func (c caller) credential() leger.Credential {
	switch {
	case c.session != nil:
		return leger.CredentialSession
	case c.machine != nil:
		return leger.CredentialMachine
	}
	return leger.CredentialToken
}

// userHandler answers the request of somebody known.
type userHandler func(w http.ResponseWriter, r *http.Request, c caller) error

// signedIn finds out who asks, holds them to their rate and, if it is a machine, to
// its role, then runs h. delivers: h is for machines that only deliver, too.
func (a *API) signedIn(h userHandler, delivers bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := a.identify(r)
		if err != nil {
			return a.refused(r, err)
		}
		noteUser(r.Context(), c.user.ID)
		if err := allow(r.Context(), a.Requests, "user "+c.user.ID.String()); err != nil {
			return err
		}
		if c.delivers() && !delivers {
			return a.forbid(r, c, onlyDelivers())
		}
		return h(w, r, c)
	}
}

// onlyDelivers is the error of a machine that asks for more than its role allows.
func onlyDelivers() *leger.Error {
	return leger.Errorf(leger.CodeForbidden, "this machine only delivers: it reads secrets and releases, and reports").
		WithHint("do this where you are signed in yourself, or give the machine the role full: leger machines set NAME --role full")
}

// identify takes the bearer token if there is one, else the session cookie.
func (a *API) identify(r *http.Request) (caller, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		text, err := bearer(header)
		if err != nil {
			return caller{}, err
		}
		if id := token.MachineOf(text); id != "" {
			return a.byMachine(r, id, text)
		}
		return a.byToken(r, text)
	}
	if id := a.cookie.of(r); id != "" {
		if !a.cookie.mayHold(r) {
			return caller{}, token.Refuse(errors.New("a session over plain http"))
		}
		return a.bySession(r, id)
	}
	return caller{}, token.Refuse(errors.New("no credential"))
}

func (a *API) byToken(r *http.Request, text string) (caller, error) {
	claims, err := a.claims(r, text)
	if err != nil {
		return caller{}, err
	}
	if claims.Link {
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
	if err := a.noteToken(r, u.ID, claims.IssuedAt); err != nil {
		return caller{}, err
	}
	return caller{user: u, claims: claims}, nil
}

// bearer takes the token out of an Authorization header.
func bearer(header string) (string, error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return "", token.Refuse(errors.New("the Authorization header holds no bearer token"))
	}
	return strings.TrimSpace(text), nil
}

// claims verifies a token that was made with the shared secret.
func (a *API) claims(r *http.Request, text string) (token.Claims, error) {
	if !a.accepts(leger.SignInSharedSecret) {
		return token.Claims{}, token.Refuse(errors.New("tokens made with the shared secret are not accepted here"))
	}
	return token.Verify(a.SharedSecret(), a.audiences(r), a.Now(), text)
}

func (a *API) accepts(m leger.SignInMethod) bool { return slices.Contains(a.Auth, m) }

// byMachine takes a token that a machine signed with its own key. A machine that was
// revoked is not there any more.
func (a *API) byMachine(r *http.Request, id, text string) (caller, error) {
	m, u, claims, err := a.verifyMachine(r, id, text)
	if err != nil {
		return caller{}, err
	}
	if claims.Link {
		return caller{}, token.Refuse(errors.New("a link token opens nothing but a browser session"))
	}
	if now := a.Now(); now.Sub(m.LastSeen) >= touchEvery {
		seen := m
		seen.LastSeen, seen.LastAddr, seen.CLIVersion = now, clientAddr(r), claims.CLIVersion
		if err := a.Stores.TouchMachine(r.Context(), seen); err != nil {
			return caller{}, err
		}
	}
	return caller{user: u, machine: &m}, nil
}

func (a *API) verifyMachine(r *http.Request, id, text string) (leger.Machine, leger.User, token.MachineClaims, error) {
	m, u, err := a.Stores.MachineUser(r.Context(), id)
	if errors.Is(err, leger.ErrNotFound) {
		return m, u, token.MachineClaims{}, token.Refuse(errors.New("there is no such machine"))
	} else if err != nil {
		return m, u, token.MachineClaims{}, err
	}
	claims, err := token.VerifyMachine(m, a.audiences(r), a.Now(), text)
	return m, u, claims, err
}

// audiences are what tokens may call this server: its public URL and, for a request
// that came to a loopback address, that address.
func (a *API) audiences(r *http.Request) []string {
	own := []string{a.origin}
	if loopback := token.LoopbackOrigin(r.Host); loopback != "" {
		own = append(own, loopback)
	}
	return own
}

// checkUnspent refuses a token that was revoked.
func (a *API) checkUnspent(r *http.Request, id string) error {
	if id == "" {
		return nil
	}
	spent, err := a.Stores.TokenSpent(r.Context(), id)
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
	if limited := allow(r.Context(), a.Refusals, "address "+Network(clientAddr(r))); limited != nil {
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
	device := c.claims.Identity.DeviceID
	if c.machine != nil {
		device = c.machine.ID
	}
	return leger.AuditEvent{
		At: a.Now(), User: c.user.ID, Credential: c.credential(), DeviceID: device,
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
