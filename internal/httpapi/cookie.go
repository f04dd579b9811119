package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

// cookie knows what the session cookie is called and how it is set.
type cookie struct {
	name   string
	secure bool
	origin string // the server's own origin
}

// newCookie: over https the name has the __Host- prefix, which browsers accept
// only with Secure, without a Domain and for the whole host (RFC 6265bis, 4.1.3).
// Over plain http, where only a browser on the server's own machine is signed in,
// neither would work.
func newCookie(publicURL string) (cookie, error) {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil || (u.Path != "" && u.Path != "/") {
		if strings.Contains(publicURL, "@") { // perhaps a password, which no error repeats
			return cookie{}, leger.Invalid("public_url",
				"the public URL holds a user name or a password, or at least an '@', which it may not")
		}
		return cookie{}, leger.Invalid("public_url", "the public URL %q is not of the form https://host", publicURL)
	}
	c := cookie{name: "leger_session", origin: u.Scheme + "://" + u.Host}
	if u.Scheme == "https" {
		c.name, c.secure = "__Host-leger_session", true
	}
	return c, nil
}

// CheckPublicURL is the check of Config.PublicURL. ErrInvalid, field "public_url".
func CheckPublicURL(publicURL string) error {
	_, err := newCookie(publicURL)
	return err
}

// mayHold reports whether the browser that sends a request may hold a session. Over
// plain http it would show the cookie to whatever listens on another port of the same
// host (RFC 6265, 8.5), and anybody on the way could read it; on a loopback address
// only programs of the same machine can. A proxy may say "localhost" for another name,
// which it then tells beside.
func (c cookie) mayHold(r *http.Request) bool {
	if c.secure {
		return true
	}
	for _, host := range r.Header.Values("X-Forwarded-Host") {
		if token.LoopbackOrigin(host) == "" {
			return false
		}
	}
	return token.LoopbackOrigin(r.Host) != ""
}

// errPlainHTTP is the answer to a browser that may not hold a session.
func errPlainHTTP() *leger.Error {
	return leger.Errorf(leger.CodeForbidden, "browsers are signed in over https only: over plain http the session could be read on the way, and by other ports of this host").
		WithHint("serve Leger over https, for example with tailscale serve, and tell it its name: leger-server --public-url https://…")
}

func (c cookie) set(w http.ResponseWriter, id string, expires time.Time) {
	http.SetCookie(w, c.with(id, expires))
}

func (c cookie) clear(w http.ResponseWriter) {
	gone := c.with("", time.Unix(1, 0)) //nolint:gosec // with sets HttpOnly and SameSite, and Secure where it can
	gone.MaxAge = -1
	http.SetCookie(w, gone)
}

func (c cookie) with(value string, expires time.Time) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure is off only where browsers would drop the cookie: plain http
		Name: c.name, Value: value, Path: "/", Expires: expires,
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteStrictMode,
	}
}

// of gives the session id a request carries, "" for none.
func (c cookie) of(r *http.Request) string {
	got, err := r.Cookie(c.name)
	if err != nil {
		return ""
	}
	return got.Value
}
