package localvault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/tailscale/setec/types/api"

	"leger.run/leger"
	"leger.run/leger/internal/peercred"
)

// maxResponse bounds an answer, in bytes: a listing of 1,000 secrets is far less.
const maxResponse = 16 << 20

// ClientConfig says where the daemon is.
type ClientConfig struct {
	// Socket is the path of the daemon's socket (SocketPath).
	Socket string
}

// Client reaches the daemon of this user. It is safe for concurrent use.
//
// Every method fails with ErrMissingPart when no legerd answers, ErrForbidden
// when it is another user's, ErrInvalid when the socket's path is too long,
// ErrUnavailable when the store cannot be read or written, ErrInterrupted when ctx
// is done.
type Client struct {
	http   *http.Client
	socket string
}

// NewClient makes a Client. It connects at the first call.
func NewClient(cfg ClientConfig) *Client {
	return &Client{socket: cfg.Socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialOwn(ctx, cfg.Socket)
		},
		DisableCompression: true,
		IdleConnTimeout:    10 * time.Second,
	}}}
}

// dialOwn connects where a process of this user listens: where others may write to the
// directory, one of them can put a socket there. Root is nobody else, but legerd does not
// run as root for a user, and would refuse.
func dialOwn(ctx context.Context, socket string) (net.Conn, error) {
	conn, err := peercred.Dial(ctx, socket, os.Geteuid())
	if other, ok := errors.AsType[*peercred.StrangerError](err); ok {
		return nil, leger.Errorf(leger.CodeForbidden,
			"it is not your legerd that listens on %s, but a process of another user (uid %d)", socket, other.UID).
			WithHint("run leger as the user whose legerd it is; LEGERD_SOCKET must lie where only you may write")
	}
	return conn, err
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Stored is one secret as the store lists it.
type Stored struct {
	Name     leger.SecretName
	Active   leger.Version
	Versions []leger.Version // those that are kept, rising
}

// List lists the user's secrets in order of name.
func (c *Client) List(ctx context.Context, user leger.UserID) ([]Stored, error) {
	var infos []*api.SecretInfo
	if err := c.setec(ctx, "/api/list", api.ListRequest{}, &infos, "list the machine's secrets"); err != nil {
		return nil, err
	}
	var out []Stored
	for _, info := range infos {
		owner, name, ok := ParseStoredName(info.Name)
		if !ok || owner != user {
			continue
		}
		s := Stored{Name: name, Active: leger.Version(info.ActiveVersion)}
		for _, v := range info.Versions {
			s.Versions = append(s.Versions, leger.Version(v))
		}
		out = append(out, s)
	}
	return out, nil
}

// CreateVersion stores a value under the server's version number and makes it
// the active one. ErrConflict if that version ever had a value and was not
// forgotten with Delete.
func (c *Client) CreateVersion(ctx context.Context, user leger.UserID, name leger.SecretName, v leger.Version, value leger.Plaintext) error {
	n, err := setecVersion(v)
	if err != nil {
		return err
	}
	return c.setec(ctx, "/api/create-version",
		api.CreateVersionRequest{Name: StoredName(user, name), Version: n, Value: value.Reveal()},
		nil, "store "+name.String())
}

// Replace stores a value under a version number that may have had another value,
// and makes it the active one. Cut anywhere, the secret has its old or its new
// value. Its former versions are forgotten.
func (c *Client) Replace(ctx context.Context, user leger.UserID, name leger.SecretName, v leger.Version, value leger.Plaintext) error {
	return c.leger(ctx, http.MethodPost, pathReplace, replaceRequest{user, name, v, value.Reveal()}, nil)
}

// Activate makes a kept version the active one. ErrNotFound.
func (c *Client) Activate(ctx context.Context, user leger.UserID, name leger.SecretName, v leger.Version) error {
	n, err := setecVersion(v)
	if err != nil {
		return err
	}
	return c.setec(ctx, "/api/activate", api.ActivateRequest{Name: StoredName(user, name), Version: n}, nil, "activate "+name.String())
}

// DeleteVersion forgets one version, which is not to be the active one
// (ErrUnavailable then, as setec has it). ErrNotFound.
func (c *Client) DeleteVersion(ctx context.Context, user leger.UserID, name leger.SecretName, v leger.Version) error {
	n, err := setecVersion(v)
	if err != nil {
		return err
	}
	return c.setec(ctx, "/api/delete-version", api.DeleteVersionRequest{Name: StoredName(user, name), Version: n}, nil, "delete a version of "+name.String())
}

// Delete forgets a secret and its version numbers. Deleting what is not there is
// no error.
func (c *Client) Delete(ctx context.Context, user leger.UserID, name leger.SecretName) error {
	return c.setec(ctx, "/api/delete", api.DeleteRequest{Name: StoredName(user, name)}, nil, "delete "+name.String())
}

// Get gives the value of a version and its number; version 0 is the active one.
// ErrNotFound.
func (c *Client) Get(ctx context.Context, user leger.UserID, name leger.SecretName, version leger.Version) (leger.Plaintext, leger.Version, error) {
	get := api.GetRequest{Name: StoredName(user, name)}
	if version != 0 {
		n, err := setecVersion(version)
		if err != nil {
			return leger.Plaintext{}, 0, err
		}
		get.Version = n
	}
	var v api.SecretValue
	if err := c.setec(ctx, "/api/get", get, &v, "read "+name.String()); err != nil {
		return leger.Plaintext{}, 0, err
	}
	return leger.NewPlaintext(v.Value), leger.Version(v.Version), nil
}

// Status says how the daemon is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.leger(ctx, http.MethodGet, pathStatus, nil, &s)
}

// Reconcile makes Podman's secrets follow the store for this user, from now on
// too, and waits for the verdict on each secret. Those in remove are removed if the
// store does not have them. An error means that nothing could be said about any:
// ErrMissingPart without Podman, ErrUnavailable when Podman fails.
func (c *Client) Reconcile(ctx context.Context, user leger.UserID, remove ...leger.SecretName) (Report, error) {
	var r Report
	return r, c.leger(ctx, http.MethodPost, pathReconcile, Order{User: &user, Remove: remove}, &r)
}

// Preview tells what Reconcile would do now, and changes nothing; errors as there.
func (c *Client) Preview(ctx context.Context, user leger.UserID) (Report, error) {
	var r Report
	return r, c.leger(ctx, http.MethodPost, pathReconcile, Order{User: &user, DryRun: true}, &r)
}

// Adopt takes over the Podman secret of this name, which Leger did not make: its
// value becomes the store's. ErrNotFound if the store has no secret of that name.
func (c *Client) Adopt(ctx context.Context, name leger.SecretName) (Outcome, error) {
	var o Outcome
	return o, c.leger(ctx, http.MethodPost, pathAdopt, adoptRequest{name}, &o)
}

// Rekey changes the key of the daemon's store (Store.Rekey). dir, if not empty, is the data
// directory that is meant: ErrConflict when the daemon has another one, or was given its key.
func (c *Client) Rekey(ctx context.Context, dir string) (Rekeyed, error) {
	var out Rekeyed
	return out, c.leger(ctx, http.MethodPost, pathRekey, rekeyRequest{dir}, &out)
}

func setecVersion(v leger.Version) (api.SecretVersion, error) {
	if v <= 0 || v > math.MaxUint32 {
		return 0, leger.Invalid("version", "%d is not a version that the machine's store can hold: it takes 1 to %d", v, uint32(math.MaxUint32))
	}
	return api.SecretVersion(v), nil
}

// setec calls a method of setec's API, whose errors are told apart by status.
func (c *Client) setec(ctx context.Context, path string, request, into any, what string) error {
	code, body, err := c.do(ctx, http.MethodPost, path, request)
	if err != nil {
		return err
	}
	switch code {
	case http.StatusOK:
		return parse(body, into)
	case http.StatusNotFound:
		return leger.Errorf(leger.CodeNotFound, "legerd could not %s: there is no such secret or version", what)
	case http.StatusForbidden:
		return forbidden()
	case http.StatusPreconditionFailed:
		return leger.Errorf(leger.CodeConflict, "legerd could not %s: the version has been used before", what)
	case http.StatusBadRequest:
		return leger.Errorf(leger.CodeInvalid, "legerd could not %s: it did not take the request", what)
	case http.StatusRequestEntityTooLarge:
		return leger.Errorf(leger.CodeTooLarge, "legerd could not %s: the value is too long", what)
	case http.StatusInsufficientStorage:
		return leger.Errorf(leger.CodeDisk, "legerd could not %s: its disk is full, read-only or failing", what).
			WithHint("free some space (df -h); its log says more: journalctl --user -u legerd")
	default:
		const most = 300
		said := strings.TrimSpace(string(body))
		return leger.Errorf(leger.CodeUnavailable, "legerd could not %s (HTTP %d): %.*s", what, code, most, said).
			WithHint("look at: journalctl --user -u legerd")
	}
}

// leger calls a method of Leger's own part.
func (c *Client) leger(ctx context.Context, method, path string, request, into any) error {
	code, body, err := c.do(ctx, method, path, request)
	if err != nil {
		return err
	}
	if code == http.StatusOK {
		return parse(body, into)
	}
	var p problemBody
	if json.Unmarshal(body, &p) == nil && p.Error.Code != "" {
		return p.Error.Err()
	}
	switch code {
	case http.StatusForbidden:
		return forbidden()
	case http.StatusNotFound:
		return leger.Errorf(leger.CodeMissingPart, "what answers on legerd's socket does not know %s", path).
			WithHint("install a legerd of the same version as leger, then: systemctl --user restart legerd")
	default:
		return leger.Errorf(leger.CodeUnavailable, "legerd failed (HTTP %d)", code).WithHint("look at: journalctl --user -u legerd")
	}
}

func forbidden() error {
	return leger.Errorf(leger.CodeForbidden, "legerd refused: it belongs to another user").
		WithHint("run leger as the user whose legerd it is, without sudo")
}

func parse(body []byte, into any) error {
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return leger.Wrap(leger.CodeUnavailable, err, "legerd's answer was not understood").
			WithHint("leger and legerd are to be of the same version")
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, request any) (code int, body []byte, err error) {
	if err := checkSocketPath(c.socket); err != nil {
		return 0, nil, err
	}
	var sent io.Reader = http.NoBody
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return 0, nil, leger.Wrap(leger.CodeInternal, err, "encode a request to legerd")
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://legerd"+path, sent)
	if err != nil {
		return 0, nil, leger.Wrap(leger.CodeInternal, err, "make a request to legerd")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(noBrowsers, noBrowsersValue)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, unreached(ctx, err)
	}
	defer resp.Body.Close() // read to its end or given up
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return 0, nil, unreached(ctx, err)
	}
	return resp.StatusCode, body, nil
}

// unreached explains why there was no answer.
func unreached(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if e, ok := errors.AsType[*leger.Error](err); ok {
		return e
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return leger.Wrap(leger.CodeUnavailable, err, "legerd did not answer in time").WithHint("look at: journalctl --user -u legerd")
	case ctx.Err() != nil:
		return leger.Wrap(leger.CodeInterrupted, err, "the call to legerd was interrupted")
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return leger.Wrap(leger.CodeMissingPart, err, "legerd is not running").
			WithHint("start it: systemctl --user enable --now legerd.socket; without systemd: legerd")
	case errors.Is(err, fs.ErrPermission):
		return leger.Wrap(leger.CodeForbidden, err, "legerd's socket may not be opened").
			WithHint("run leger as the user whose legerd it is, without sudo")
	default:
		return leger.Wrap(leger.CodeUnavailable, err, "the connection to legerd broke").WithHint("try again")
	}
}
