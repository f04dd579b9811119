package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// AuthMethods asks how one signs in, the way that the server prefers first, and by
// which origin tokens must name the server ("" when it does not say). A server from
// before the route has the specification's way.
func (c *Client) AuthMethods(ctx context.Context) (methods []leger.SignInMethod, origin string, err error) {
	var out wire.AuthMethods
	_, err = c.do(ctx, request{method: http.MethodGet, path: "/api/auth/methods", out: &out})
	if errors.Is(err, leger.ErrNotFound) {
		return []leger.SignInMethod{leger.SignInSharedSecret}, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	methods = make([]leger.SignInMethod, 0, len(out.Methods))
	for _, m := range out.Methods {
		methods = append(methods, m.Name)
	}
	return methods, out.Server, nil
}

// Validate checks the client's token and makes or refreshes its account, without
// signing a browser in.
func (c *Client) Validate(ctx context.Context) (wire.User, error) {
	var out wire.Validated
	no := false
	_, err := c.do(ctx, request{
		method: http.MethodPost, path: "/api/auth/validate",
		body: wire.ValidateRequest{Session: &no}, out: &out,
	})
	return out.User, err
}

// RevokeToken makes the client's own token unusable.
func (c *Client) RevokeToken(ctx context.Context) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/api/auth/token"})
	return err
}

// User gives the signed-in account.
func (c *Client) User(ctx context.Context) (wire.User, error) {
	out, err := c.Profile(ctx)
	return out.User, err
}

// Profile gives the signed-in account, the installation, and the machine that asks.
func (c *Client) Profile(ctx context.Context) (wire.Profile, error) {
	var out wire.Profile
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/api/user", out: &out})
	return out, err
}

// Secrets lists the secrets without their values.
func (c *Client) Secrets(ctx context.Context) ([]wire.Secret, error) {
	list, err := c.secrets(ctx, request{method: http.MethodGet, path: "/api/secrets"})
	return list.Secrets, err
}

// SecretList is the answer with values. The values are the caller's to wipe.
type SecretList struct {
	Secrets []wire.Secret
	// Withheld are those that this machine is not given, as far as it may know of them.
	Withheld []leger.SecretName
	// Installation and Epoch say whose data it is and how often that was put back to an
	// earlier state; empty and 0 from a server that does not tell.
	Installation string
	Epoch        int64
	ETag         string
	NotModified  bool // nothing changed since the tag that was sent; nothing else is set
}

// SecretValues lists the secrets with their values. etag is what an earlier call
// gave, or empty.
func (c *Client) SecretValues(ctx context.Context, etag string) (SecretList, error) {
	return c.secrets(ctx, request{
		method: http.MethodGet, path: "/api/secrets", query: url.Values{"include_values": {"true"}}, ifNoneMatch: etag,
	})
}

// secrets asks for a list. One that is not there is no empty list: a machine would
// take every secret for deleted.
func (c *Client) secrets(ctx context.Context, r request) (SecretList, error) {
	var out struct {
		Secrets      *[]wire.Secret     `json:"secrets"`
		Withheld     []leger.SecretName `json:"withheld"`
		Installation string             `json:"installation"`
		Epoch        int64              `json:"epoch"`
	}
	r.out = &out
	a, err := c.do(ctx, r)
	switch {
	case err != nil:
		return SecretList{}, err
	case a.notModified:
		return SecretList{ETag: a.etag, NotModified: true}, nil
	case out.Secrets == nil:
		return SecretList{}, leger.Errorf(leger.CodeUnreachable, "%s answered without a list of secrets", c.base).
			WithHint("is something between this machine and the server? leger doctor")
	}
	return SecretList{
		Secrets: *out.Secrets, Withheld: out.Withheld, Installation: out.Installation, Epoch: out.Epoch, ETag: a.etag,
	}, nil
}

// Secret gives one secret with its value.
func (c *Client) Secret(ctx context.Context, name leger.SecretName) (wire.Secret, error) {
	var out wire.Secret
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/api/secrets/" + name.String(), out: &out})
	return out, err
}

// SetSecret creates or replaces a secret. expect 0 writes whatever is there;
// otherwise the secret must be at that version (CodeConflict). Its scope stays, and a
// new one is given to all machines.
func (c *Client) SetSecret(
	ctx context.Context, name leger.SecretName, value leger.Plaintext, expect leger.Version,
) (wire.SecretWritten, error) {
	return c.SetScopedSecret(ctx, name, value, expect, nil)
}

// SetScopedSecret is SetSecret with the machines that the secret is given to from then
// on; nil: as SetSecret.
func (c *Client) SetScopedSecret(
	ctx context.Context, name leger.SecretName, value leger.Plaintext, expect leger.Version, scope *wire.Scope,
) (wire.SecretWritten, error) {
	var out wire.SecretWritten
	_, err := c.do(ctx, request{
		method: http.MethodPost, path: "/api/secrets/" + name.String(),
		body: wire.SecretPut{Value: string(value.Reveal()), Scope: scope}, ifMatch: expect, out: &out,
	})
	return out, err
}

// SetScope says which machines a secret is given to. CodeNotFound.
func (c *Client) SetScope(ctx context.Context, name leger.SecretName, scope wire.Scope) (wire.Scope, error) {
	var out wire.Scope
	path := "/api/secrets/" + name.String() + "/scope"
	_, err := c.do(ctx, request{method: http.MethodPut, path: path, body: scope, out: &out})
	return out, err
}

// DeleteSecret deletes a secret; expect as in SetSecret.
func (c *Client) DeleteSecret(ctx context.Context, name leger.SecretName, expect leger.Version) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/api/secrets/" + name.String(), ifMatch: expect})
	return err
}

// Releases lists all releases.
func (c *Client) Releases(ctx context.Context) ([]wire.Release, error) {
	var all []wire.Release
	err := c.pages(func(q url.Values) (next string, err error) {
		var out wire.Releases
		_, err = c.do(ctx, request{method: http.MethodGet, path: "/api/releases", query: q, out: &out})
		all = append(all, out.Releases...)
		return out.NextCursor, err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// maxPages is far more than any list of a user has: the longest is of 1,000 things.
const maxPages = 1000

// pages asks for one page after the other, until one names no next. CodeUnreachable
// when the list has no end: a server that names a page again, or ever new ones, would
// be asked for ever.
func (c *Client) pages(page func(q url.Values) (next string, err error)) error {
	seen := map[string]bool{}
	q := url.Values{"limit": {strconv.Itoa(leger.MaxPageSize)}}
	for range maxPages {
		next, err := page(q)
		if err != nil || next == "" {
			return err
		}
		if seen[next] {
			break
		}
		seen[next] = true
		q.Set("cursor", next)
	}
	return leger.Errorf(leger.CodeUnreachable,
		"%s answered with a list that has no end: its pages lead back to each other", c.base).
		WithHint("is something between this machine and the server? leger doctor")
}

// ReleaseByName gives the release of a name, CodeNotFound if there is none.
func (c *Client) ReleaseByName(ctx context.Context, name leger.ReleaseName) (wire.Release, error) {
	var out wire.Releases
	if _, err := c.do(ctx, request{
		method: http.MethodGet, path: "/api/releases",
		query: url.Values{"name": {name.String()}}, out: &out,
	}); err != nil {
		return wire.Release{}, err
	}
	if len(out.Releases) == 0 {
		return wire.Release{}, leger.Errorf(leger.CodeNotFound, "there is no release called %s", name).
			WithHint("leger releases list")
	}
	return out.Releases[0], nil
}

// CreateRelease makes a release.
func (c *Client) CreateRelease(ctx context.Context, in wire.ReleaseCreate) (wire.Release, error) {
	var out wire.Release
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/api/releases", body: in, out: &out})
	return out, err
}

// DeleteRelease removes a release by its id; expect as in SetSecret.
func (c *Client) DeleteRelease(ctx context.Context, id string, expect leger.Version) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/api/releases/" + url.PathEscape(id), ifMatch: expect})
	return err
}

// Hosts lists the machines, as they last reported themselves, without what is long.
func (c *Client) Hosts(ctx context.Context) ([]wire.HostSummary, error) {
	var all []wire.HostSummary
	err := c.pages(func(q url.Values) (next string, err error) {
		var out wire.Hosts
		_, err = c.do(ctx, request{method: http.MethodGet, path: "/api/hosts", query: q, out: &out})
		all = append(all, out.Hosts...)
		return out.NextCursor, err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Host gives one machine with all that it reported. CodeNotFound if it is not on the
// list.
func (c *Client) Host(ctx context.Context, deviceID string) (wire.Host, error) {
	var out wire.Host
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/api/hosts/" + url.PathEscape(deviceID), out: &out})
	return out, err
}

// ReportHost says what a machine holds and runs. A list that is nil stays as it
// was reported before. CodeForbidden when the token is another machine's.
func (c *Client) ReportHost(ctx context.Context, deviceID string, report wire.HostReport) (wire.HostReported, error) {
	var out wire.HostReported
	_, err := c.do(ctx, request{method: http.MethodPut, path: "/api/hosts/" + url.PathEscape(deviceID), body: report, out: &out})
	return out, err
}

// ForgetHost removes a machine from the list. CodeNotFound if it is not on it.
func (c *Client) ForgetHost(ctx context.Context, deviceID string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/api/hosts/" + url.PathEscape(deviceID)})
	return err
}

// Health asks whether a Leger server answers at the address, and which.
func (c *Client) Health(ctx context.Context) (wire.Health, error) {
	req, err := c.newRequest(ctx, request{method: http.MethodGet, path: "/health"})
	if err != nil {
		return wire.Health{}, err
	}
	req.Header.Del("Authorization")
	res, err := c.http.Do(req)
	if err != nil {
		return wire.Health{}, c.unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	var h wire.Health
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&h); err != nil || h.Service == "" {
		return wire.Health{}, leger.Errorf(leger.CodeUnreachable, "%s answered %s, which is not an answer of Leger's", c.base, res.Status).
			WithHint("check the address with: leger config get server")
	}
	return h, nil
}
