// Package httpapi is Leger's HTTP API: routes, authentication, envelopes, limits
// and the mapping of errors to status codes. The contract is api/openapi.yaml.
//
// A handler returns an error and never writes one; one place writes and logs it.
// The package knows no storage technology, starts no goroutine and holds no lock
// across a call to a store, so that the same handlers run natively and on
// Cloudflare Workers.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
	"leger.run/leger/internal/wire"
)

// Stores are the parts of storage the API works on besides the secrets, which
// only the vault touches.
type Stores interface {
	leger.UserStore
	leger.SessionStore
	leger.ReleaseStore
	leger.HostStore
	leger.MachineStore
	leger.EnrolmentStore
	leger.LinkStore
	leger.OperatorStore
	leger.AuditLog
	leger.InstallationStore
	// Ping says whether the storage answers, within ctx.
	Ping(ctx context.Context) error
}

// Config is what the API needs. Every field is required unless it says otherwise.
type Config struct {
	Vault  *vault.Vault
	Stores Stores
	// Auth are the ways to sign in that are accepted, the preferred one first. Nil:
	// the machine's own key and the shared secret.
	Auth         []leger.SignInMethod
	SharedSecret func() token.Secret // at this moment; unless Auth has no SignInSharedSecret
	PublicURL    string              // as browsers see the server, e.g. https://leger.example.ts.net; decides the cookie
	// WhoIs, needed for SignInTailnet, asks Tailscale who sent a request. ErrNotFound:
	// Tailscale vouches for nobody there.
	WhoIs func(*http.Request) (leger.Peer, error)
	// NeedsGrant: only devices that the tailnet's policy grants leger.GrantAccess or
	// leger.GrantMachine are taken at Tailscale's word.
	NeedsGrant bool
	Version    string       // of Leger
	OpenAPI    []byte       // the contract, served as it is
	Web        http.Handler // everything that is not the API
	Requests   Limiter      // per user, or per address when nobody is proved
	Refusals   Limiter      // wrong credentials, per address
	Now        func() time.Time
	Random     io.Reader // cryptographically secure
	Log        *slog.Logger
	// Ready, when not nil, must give nil before a route that needs storage is
	// served; its error is the answer otherwise, and that of /ready.
	Ready func(context.Context) error
	// Backup, when not nil, says what was saved of the data; nil where the platform
	// keeps it.
	Backup func() (leger.BackupState, error)
}

// Limiter says whether one more event of key is allowed, and if not, how long to
// wait. Implementations are safe for concurrent use.
type Limiter interface {
	Allow(ctx context.Context, key string) (ok bool, wait time.Duration)
}

// API serves everything under one origin.
type API struct {
	Config
	mux    *http.ServeMux
	routed []string
	sites  *http.CrossOriginProtection
	origin string // the server's own, as tokens name it
	cookie cookie
	secure map[string]string // the headers of every answer
}

// New wires the routes. CodeInvalid when PublicURL is not a URL.
func New(c Config) (*API, error) {
	a := &API{Config: c, mux: http.NewServeMux(), sites: http.NewCrossOriginProtection()}
	var err error
	if a.cookie, err = newCookie(c.PublicURL); err != nil {
		return nil, err
	}
	a.secure = SecurityHeaders(a.cookie.secure)
	if a.origin, err = token.Origin(c.PublicURL); err != nil {
		return nil, err
	}
	if a.Auth == nil {
		a.Auth = []leger.SignInMethod{leger.SignInMachine, leger.SignInSharedSecret}
	}
	if err := a.sites.AddTrustedOrigin(a.cookie.origin); err != nil {
		return nil, leger.Invalid("public_url", "the public URL %q is not one a browser would send", c.PublicURL)
	}
	a.routes()
	return a, nil
}

func (a *API) routes() {
	open := func(pattern string, h handler) {
		a.mux.Handle(pattern, a.handle(h))
		a.routed = append(a.routed, pattern)
	}
	user := func(pattern string, h userHandler) { open(pattern, a.whenReady(a.signedIn(h, false))) }
	// These are for machines that only deliver, too.
	machine := func(pattern string, h userHandler) { open(pattern, a.whenReady(a.signedIn(h, true))) }

	open("GET /health", a.health)
	open("GET /ready", a.ready)
	open("GET /api/openapi.yaml", a.openapi)
	open("GET /api/auth/methods", a.authMethods)
	open("POST /api/auth/validate", a.whenReady(a.validate))
	open("POST /api/auth/tailnet", a.whenReady(a.validateTailnet))
	user("DELETE /api/auth/token", a.revokeToken)

	machine("GET /api/user", a.user)
	user("PATCH /api/user", a.patchUser)
	user("DELETE /api/user", a.deleteUser)
	user("GET /api/sessions", a.sessions)
	user("DELETE /api/sessions", a.signOutEverywhere)
	user("DELETE /api/sessions/{id}", a.deleteSession)
	user("POST /api/sessions:link", a.makeLink)
	user("GET /api/audit", a.audit)

	machine("GET /api/secrets", a.secrets)
	user("POST /api/secrets:batch", a.batchSecrets)
	machine("GET /api/secrets/{name}", a.secret)
	user("POST /api/secrets/{name}", a.putSecret)
	user("DELETE /api/secrets/{name}", a.deleteSecret)
	user("PUT /api/secrets/{name}/scope", a.setScope)
	user("GET /api/secrets/{name}/versions", a.secretVersions)
	user("POST /api/secrets/{name}/restore", a.restoreSecret)

	machine("GET /api/releases", a.releases)
	user("POST /api/releases", a.createRelease)
	machine("GET /api/releases/{id}", a.release)
	user("PUT /api/releases/{id}", a.updateRelease)
	user("DELETE /api/releases/{id}", a.deleteRelease)
	user("GET /api/releases/{id}/versions", a.releaseVersions)

	user("GET /api/machines", a.machines)
	user("POST /api/machines", a.enrolMachine)
	user("PATCH /api/machines/{id}", a.changeMachine)
	machine("DELETE /api/machines/{id}", a.revokeMachine)

	open("POST /api/enrolments", a.whenReady(a.askToEnrol))
	open("POST /api/enrolments:poll", a.whenReady(a.pollEnrolment))
	user("GET /api/enrolments/{code}", a.enrolment)
	user("POST /api/enrolments/{code}", a.approveEnrolment)
	user("DELETE /api/enrolments/{code}", a.denyEnrolment)
	user("GET /api/invitations", a.invitations)
	user("POST /api/invitations", a.invite)
	user("DELETE /api/invitations/{id}", a.withdrawInvitation)

	open("POST /api/operator/invitations", a.whenReady(a.operator(a.inviteOwner)))
	open("POST /api/operator/rekey", a.whenReady(a.operator(a.rekey)))

	user("GET /api/hosts", a.hosts)
	machine("GET /api/hosts/{device_id}", a.host)
	machine("PUT /api/hosts/{device_id}", a.reportHost)
	user("DELETE /api/hosts/{device_id}", a.forgetHost)

	unknown := a.handle(a.unknownRoute)
	for _, rest := range []string{"/api", "/api/", "/health", "/ready"} {
		a.mux.Handle(rest, unknown)
	}
	a.mux.Handle("/", a.Web)
}

// Routes lists the routes of the contract as "METHOD /path/{parameter}".
func (a *API) Routes() []string { return slices.Clone(a.routed) }

// ServeHTTP gives every request an id, a log line and a net under panics.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if uncleanAPI(r.URL.EscapedPath()) {
		a.observe(w, r, a.handle(a.unknownRoute))
		return
	}
	a.observe(w, r, a.mux)
}

// uncleanAPI finds paths such as /api//secrets, which http.ServeMux would answer
// with a redirect in HTML.
func uncleanAPI(p string) bool {
	clean := path.Clean(p)
	if clean != "/api" && !strings.HasPrefix(clean, "/api/") {
		return false
	}
	return clean != p && clean+"/" != p
}

func (a *API) health(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, wire.Health{
		Status: "healthy", Service: "leger-app", Version: a.Version, Timestamp: wire.At(a.Now()),
	})
}

func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	err := a.checkReady(r.Context())
	if err == nil {
		err = a.Stores.Ping(r.Context())
	}
	if err != nil {
		a.Log.ErrorContext(r.Context(), "storage is not ready", slog.Any("error", err))
		return writeJSON(w, http.StatusServiceUnavailable, wire.Ready{
			Status: "unavailable", Checks: map[string]string{"storage": notReady(err)},
		})
	}
	return writeJSON(w, http.StatusOK, wire.Ready{Status: "ready", Checks: map[string]string{"storage": "ok"}})
}

// notReady is what anybody may know: the message and the hint, as with any error
// of the API, and not its cause.
func notReady(err error) string {
	var e *leger.Error
	switch {
	case !errors.As(err, &e):
		return "does not answer; the server's log says why"
	case e.Hint == "":
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

func (a *API) checkReady(ctx context.Context) error {
	if a.Ready == nil {
		return nil
	}
	return a.Ready(ctx)
}

// whenReady runs h once the server can serve.
func (a *API) whenReady(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := a.checkReady(r.Context()); err != nil {
			return err
		}
		return h(w, r)
	}
}

func (a *API) openapi(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	if _, err := w.Write(a.OpenAPI); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// unknownRoute answers what no pattern took: 405 with Allow where another method
// would have been right, else 404; never the web app.
func (a *API) unknownRoute(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	if uncleanAPI(r.URL.EscapedPath()) {
		return noSuchRoute()
	}
	for _, method := range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); len(pattern) > 0 && pattern[0] != '/' {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return leger.Errorf(leger.CodeMethodNotAllowed, "this route does not take %s", r.Method)
	}
	return noSuchRoute()
}

func noSuchRoute() error {
	return leger.Errorf(leger.CodeNotFound, "there is no such route").
		WithHint("the routes are described at /api/openapi.yaml")
}
