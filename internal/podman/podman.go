package podman

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// MaxSecretValue is the longest value Podman takes, in bytes (seen on 5.8.6:
// "larger than 0 and less than 512000 bytes").
const MaxSecretValue = 511_999

// Defaults of Config.
const (
	DefaultTimeout      = 30 * time.Second
	DefaultStartTimeout = 10 * time.Second
)

// Config says where Podman is and what may be done to reach it.
type Config struct {
	// Socket is the path of Podman's REST socket. When it is set, nothing else is
	// tried.
	Socket string
	// RuntimeDir is $XDG_RUNTIME_DIR. Empty: no socket is looked for.
	RuntimeDir string
	// Runner executes systemctl and podman. nil: only sockets that answer by
	// themselves are used.
	Runner *run.Runner
	// Env is the environment of those programs (run.MinimalEnv).
	Env []string
	// Timeout bounds one call. 0: DefaultTimeout.
	Timeout time.Duration
	// StartTimeout bounds the wait for a service of our own to answer. 0:
	// DefaultStartTimeout.
	StartTimeout time.Duration
	// Logger gets a line when the way to Podman changes. nil: none.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Client reaches the Podman of one user. It is safe for concurrent use.
type Client struct {
	cfg Config

	mu      sync.Mutex
	way     backend      // nil: not connected yet
	since   time.Time    // when the way was found
	service *run.Process // our own "podman system service", nil when there is none
	closed  bool
}

// Secret is a secret of Podman's, without its value.
type Secret struct {
	ID        string // 25 hexadecimal digits; a replaced secret has a new one
	Name      string
	Labels    map[string]string
	Driver    string // "file" unless configured otherwise
	CreatedAt time.Time
	UpdatedAt time.Time
}

// backend is one way to talk to Podman. A way that turns out to be gone (the
// request was not delivered) answers with errGone.
type backend interface {
	version(ctx context.Context) (Version, error)
	secrets(ctx context.Context) ([]Secret, error)
	secret(ctx context.Context, name string) (Secret, error)
	create(ctx context.Context, name leger.SecretName, value leger.Plaintext, labels map[string]string, replace bool) error
	remove(ctx context.Context, id string) error
	containers(ctx context.Context) ([]leger.Container, error)
	healthOutput(ctx context.Context, container string) (string, error)
	hasImage(ctx context.Context, name string) (bool, error)
	volumes(ctx context.Context) ([]string, error)
}

// errGone says that nobody took the request: it may be sent again.
var errGone = errors.New("nobody listens any more")

// New makes a Client. It connects at the first call.
func New(cfg Config) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.StartTimeout <= 0 {
		cfg.StartTimeout = DefaultStartTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg}
}

// Close ends the service that the client started, if it started one. The client
// cannot be used afterwards.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed, c.way = true, nil
	if c.service != nil {
		c.service.Stop()
		c.service = nil
	}
	return nil
}

// Version tells which Podman answers. Every method fails with ErrMissingPart
// when there is no Podman, or one older than MinVersion; with ErrUnavailable
// when Podman answers with an error of its own or too late.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return call(ctx, c, backend.version)
}

// Secrets lists all secrets, whoever made them, in Podman's order.
func (c *Client) Secrets(ctx context.Context) ([]Secret, error) {
	return call(ctx, c, backend.secrets)
}

// SecretInfo gives the secret of exactly this name. ErrNotFound if there is none.
func (c *Client) SecretInfo(ctx context.Context, name leger.SecretName) (Secret, error) {
	return call(ctx, c, func(b backend, ctx context.Context) (Secret, error) {
		return exactly(ctx, b, name.String())
	})
}

// CreateSecret makes a secret. If one of that name exists it is replaced with
// replace, and ErrConflict without. Containers that exist keep the old value
// until they are created anew. ErrInvalid or ErrTooLarge for a value that Podman
// would not take.
func (c *Client) CreateSecret(ctx context.Context, name leger.SecretName, value leger.Plaintext, labels map[string]string, replace bool) error {
	switch {
	case value.Len() == 0:
		return leger.Invalid("value", "the value of %s is empty: Podman takes no empty secret", name)
	case value.Len() > MaxSecretValue:
		return leger.Errorf(leger.CodeTooLarge, "the value of %s has %d bytes: Podman takes at most %d", name, value.Len(), MaxSecretValue)
	}
	_, err := call(ctx, c, func(b backend, ctx context.Context) (struct{}, error) {
		return struct{}{}, create(ctx, b, name, value, labels, replace)
	})
	return err
}

// RemoveSecret removes the secret with this id, which is to be whole. ErrNotFound
// if there is none (any more).
func (c *Client) RemoveSecret(ctx context.Context, id string) error {
	if !wholeID(id) {
		return leger.Invalid("id", "%q is not the whole id of a Podman secret", id)
	}
	_, err := call(ctx, c, func(b backend, ctx context.Context) (struct{}, error) {
		return struct{}{}, b.remove(ctx, id)
	})
	return err
}

// create looks before it leaps: Podman before 5.8 answers a replace of a name
// that is not there by looking up the empty name, which fails, or, when there is
// exactly one other secret, deletes that one (github.com/containers/podman,
// issues 21952 and 27130). And a name in use is a 500 like any other failure.
func create(ctx context.Context, b backend, name leger.SecretName, value leger.Plaintext, labels map[string]string, replace bool) error {
	_, err := exactly(ctx, b, name.String())
	switch {
	case err == nil && !replace:
		return leger.Errorf(leger.CodeConflict, "Podman has a secret called %s already", name)
	case errors.Is(err, leger.ErrNotFound):
		replace = false
	case err != nil:
		return err
	}
	err = b.create(ctx, name, value, labels, replace)
	if err == nil || replace || ctx.Err() != nil || errors.Is(err, errGone) {
		return err
	}
	if _, again := exactly(ctx, b, name.String()); again == nil {
		return leger.Wrap(leger.CodeConflict, err, "Podman got a secret called %s meanwhile", name)
	}
	return err
}

// exactly drops the answer to a name that Podman took for the beginning of an id.
func exactly(ctx context.Context, b backend, name string) (Secret, error) {
	s, err := b.secret(ctx, name)
	if err == nil && s.Name != name {
		return Secret{}, notFound(name)
	}
	return s, err
}

func notFound(name string) error {
	return leger.Errorf(leger.CodeNotFound, "Podman has no secret %s", name)
}

// wholeID reports whether id is as long as Podman makes them, so that it cannot
// be taken for a name or for the beginning of another id.
func wholeID(id string) bool {
	if len(id) != 25 {
		return false
	}
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}

// call does one thing over the way to Podman, and once more over a new way when
// the known one is gone: a service of our own ends when it has nothing to do.
func call[T any](ctx context.Context, c *Client, do func(backend, context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var zero T
	for try := 0; ; try++ {
		b, err := c.connect(ctx)
		if err != nil {
			return zero, err
		}
		out, err := do(b, ctx)
		switch {
		case err == nil:
			return out, nil
		case !errors.Is(err, errGone):
			if _, slow := b.(*program); slow { // it may fail where another way would not
				c.forget(b)
			}
			return zero, explain(ctx, err)
		}
		c.forget(b)
		if try > 0 {
			return zero, leger.Wrap(leger.CodeUnavailable, err, "Podman's socket does not answer").
				WithHint("look at: systemctl --user status podman.socket")
		}
	}
}

// explain gives an error that is not Leger's yet a code.
func explain(ctx context.Context, err error) error {
	var known *leger.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return leger.Wrap(leger.CodeUnavailable, err, "Podman did not answer in time").WithHint("try again; if it stays so: systemctl --user status podman.service")
	case ctx.Err() != nil:
		return leger.Wrap(leger.CodeInterrupted, err, "the call to Podman was interrupted")
	default:
		return leger.Wrap(leger.CodeUnavailable, err, "Podman's answer was cut off or not understood").WithHint("try again; if it stays so: systemctl --user status podman.service")
	}
}
