package podman

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/peercred"
)

// maxAnswer bounds what is read of one answer, in bytes: a listing of 1,000
// secrets with labels is half a megabyte.
const maxAnswer = 16 << 20

// rest talks to Podman's REST API on a unix socket.
type rest struct {
	http   *http.Client
	prefix string // "/v5.0.0": the API of the Podman that answers
}

func newREST(socket string) *rest {
	return &rest{prefix: "/v4.0.0", http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dial(ctx, socket)
			if err != nil && !known(err) {
				return nil, errors.Join(errGone, err)
			}
			return conn, err
		},
		DisableCompression: true,
		// Podman stops when nobody has been connected for 5 s: let go of it early.
		IdleConnTimeout: time.Second,
	}}}
}

// dial connects where Podman of this user, or root's, listens: values are sent there.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	if runtime.GOOS != "linux" { // a machine's Podman, whose user nobody tells
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	conn, err := peercred.Dial(ctx, socket, os.Geteuid(), 0)
	if other, ok := errors.AsType[*peercred.StrangerError](err); ok {
		return nil, leger.Errorf(leger.CodeForbidden,
			"it is not your Podman that listens on %s, but a process of another user (uid %d)", socket, other.UID).
			WithHint("remove that socket, or correct --podman-socket (LEGERD_PODMAN_SOCKET); " +
				"it must lie where only you may write")
	}
	return conn, err
}

// wireSecret is a secret as Podman's API and "podman secret inspect" show it.
type wireSecret struct {
	ID        string
	CreatedAt time.Time
	UpdatedAt time.Time
	Spec      struct {
		Name   string
		Driver struct{ Name string }
		Labels map[string]string
	}
}

func (w wireSecret) secret() Secret {
	return Secret{
		ID: w.ID, Name: w.Spec.Name, Labels: w.Spec.Labels, Driver: w.Spec.Driver.Name,
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
	}
}

func parseSecrets(body []byte) ([]Secret, error) {
	var wire []wireSecret
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, leger.Wrap(leger.CodeUnavailable, err, "Podman's list of secrets was not understood")
	}
	secrets := make([]Secret, len(wire))
	for i, w := range wire {
		secrets[i] = w.secret()
	}
	return secrets, nil
}

func (r *rest) version(ctx context.Context) (Version, error) {
	a, err := r.do(ctx, http.MethodGet, "/_ping", nil)
	if err != nil {
		return Version{}, err
	}
	text := a.header.Get("Libpod-Api-Version")
	if text == "" {
		return Version{}, leger.Errorf(leger.CodeMissingPart, "the service on Podman's socket is not Podman").
			WithHint("Docker cannot hold Leger's secrets; set --podman-socket to Podman's own socket")
	}
	return ParseVersion(text)
}

func (r *rest) secrets(ctx context.Context) ([]Secret, error) {
	a, err := r.do(ctx, http.MethodGet, r.prefix+"/libpod/secrets/json", nil)
	if err != nil {
		return nil, err
	}
	if a.code != http.StatusOK {
		return nil, a.failure("list its secrets")
	}
	return parseSecrets(a.body)
}

func (r *rest) secret(ctx context.Context, name string) (Secret, error) {
	a, err := r.do(ctx, http.MethodGet, r.prefix+"/libpod/secrets/"+url.PathEscape(name)+"/json", nil)
	switch {
	case err != nil:
		return Secret{}, err
	case a.code == http.StatusNotFound:
		return Secret{}, notFound(name)
	case a.code != http.StatusOK:
		return Secret{}, a.failure("show its secret " + name)
	}
	var w wireSecret
	if err := json.Unmarshal(a.body, &w); err != nil {
		return Secret{}, leger.Wrap(leger.CodeUnavailable, err, "Podman's secret %s was not understood", name)
	}
	return w.secret(), nil
}

func (r *rest) create(ctx context.Context, name leger.SecretName, value leger.Plaintext, labels map[string]string, replace bool) error {
	marked, err := json.Marshal(labels)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "encode labels")
	}
	query := url.Values{"name": {name.String()}}
	if len(labels) > 0 {
		query.Set("labels", string(marked))
	}
	if replace {
		query.Set("replace", "true")
	}
	a, err := r.do(ctx, http.MethodPost, r.prefix+"/libpod/secrets/create?"+query.Encode(), value.Reveal())
	if err != nil {
		return err
	}
	if a.code != http.StatusOK && a.code != http.StatusCreated {
		return a.failure("make the secret " + name.String())
	}
	return nil
}

func (r *rest) remove(ctx context.Context, id string) error {
	a, err := r.do(ctx, http.MethodDelete, r.prefix+"/libpod/secrets/"+id, nil)
	switch {
	case err != nil:
		return err
	case a.code == http.StatusNotFound:
		return notFound(id)
	case a.code != http.StatusOK && a.code != http.StatusNoContent:
		return a.failure("remove the secret " + id)
	}
	return nil
}

// answer is what Podman said.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// failure turns an error of Podman's into one of ours. Podman's text names the
// secret and what was wrong; it never repeats a value.
func (a answer) failure(what string) error {
	var said struct {
		Message string `json:"message"`
	}
	text := strings.TrimSpace(string(a.body))
	if json.Unmarshal(a.body, &said) == nil && said.Message != "" {
		text = said.Message
	}
	const most = 300
	if len(text) > most {
		text = text[:most] + "…"
	}
	return leger.Errorf(leger.CodeUnavailable, "Podman could not %s (HTTP %d): %s", what, a.code, text).
		WithHint("see what it logged: journalctl --user -u podman.service")
}

func (r *rest) do(ctx context.Context, method, target string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://podman"+target, bytes.NewReader(body))
	if err != nil {
		return answer{}, leger.Wrap(leger.CodeInternal, err, "make a request to Podman")
	}
	if body != nil {
		// Podman parses a form, which is what some clients call a body without a
		// type, and then finds the value empty.
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	resp, err := r.http.Do(req)
	if err != nil {
		// url.Error would show the whole target; only its cause says anything new.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return answer{}, undelivered(err)
	}
	defer resp.Body.Close() // read to its end or given up
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, err
	}
	if len(text) > maxAnswer {
		return answer{}, leger.Errorf(leger.CodeTooLarge, "Podman answered with more than %d bytes", maxAnswer)
	}
	return answer{resp.StatusCode, resp.Header, text}, nil
}

// undelivered marks the errors after which the request may be sent again.
func undelivered(err error) error {
	if errors.Is(err, errGone) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return errors.Join(errGone, err)
	}
	return err
}
