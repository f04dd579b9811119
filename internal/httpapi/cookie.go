package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"leger.run/leger"
)

// cookie knows what the session cookie is called and how it is set.
type cookie struct {
	name   string
	secure bool
	origin string // the server's own origin
}

// newCookie: over https the name has the __Host- prefix, which browsers accept
// only with Secure, without a Domain and for the whole host (RFC 6265bis, 4.1.3).
// Over plain http, which is meant for loopback and a tailnet, neither would work.
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
