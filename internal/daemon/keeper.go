package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/podman"
)

// Podman is what a keeper needs of it. *podman.Client is one; its documentation
// says which errors come when.
type Podman interface {
	Version(ctx context.Context) (podman.Version, error)
	Secrets(ctx context.Context) ([]podman.Secret, error)
	CreateSecret(ctx context.Context, name leger.SecretName, value leger.Plaintext, labels map[string]string, replace bool) error
	RemoveSecret(ctx context.Context, id string) error
}

// Store is what a keeper needs of the machine's store. *localvault.Store is one.
type Store interface {
	Secrets(user leger.UserID) ([]localvault.Secret, error)
	Value(user leger.UserID, name leger.SecretName) (leger.Plaintext, leger.Version, error)
	Digest(user leger.UserID, name leger.SecretName, value leger.Plaintext) string
	Changed() <-chan struct{}
}

// Defaults of KeeperConfig.
const (
	// DefaultCheck is how often Podman is looked at for secrets removed by hand.
	// Each look wakes Podman for some 5 s.
	DefaultCheck = 5 * time.Minute
	// DefaultSettle is how long a write waits for the next before Podman follows: a
	// sync writes many in a row.
	DefaultSettle = 100 * time.Millisecond
	// DefaultRetryMin and DefaultRetryMax bound the wait after a failure, which
	// doubles each time.
	DefaultRetryMin = time.Second
	DefaultRetryMax = DefaultCheck
)

// KeeperConfig says what a keeper keeps.
type KeeperConfig struct {
	Store  Store
	Podman Podman
	// Dir is where it remembers the user, in state.json.
	Dir string
	// Version is legerd's, for Status.
	Version string
	// Now tells the time. nil: time.Now.
	Now func() time.Time
	// Check, Settle, RetryMin and RetryMax: 0 is the default of that name.
	Check, Settle, RetryMin, RetryMax time.Duration
	// Logger gets what was done, never a value.
	Logger *slog.Logger
}

// Keeper makes Podman's secrets follow the store, one reconciliation at a time.
// It is the localvault.Keeper behind the API.
type Keeper struct {
	cfg     KeeperConfig
	file    stateFile
	started time.Time
	turn    chan struct{} // holds one value while nobody reconciles
	retry   chan struct{} // a request that failed asks the loop to try again

	mu     sync.Mutex
	user   leger.UserID
	podman localvault.PodmanStatus
	last   *localvault.Report
}

// NewKeeper makes a Keeper that remembers the user of the last run. Run does the
// work. ErrUnavailable when what it remembers cannot be read.
func NewKeeper(cfg KeeperConfig) (*Keeper, error) {
	setDefault(&cfg.Check, DefaultCheck)
	setDefault(&cfg.Settle, DefaultSettle)
	setDefault(&cfg.RetryMin, DefaultRetryMin)
	setDefault(&cfg.RetryMax, DefaultRetryMax)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	k := &Keeper{
		cfg: cfg, file: stateFile{filepath.Join(cfg.Dir, "state.json")}, started: cfg.Now().UTC(),
		turn: make(chan struct{}, 1), retry: make(chan struct{}, 1),
	}
	k.turn <- struct{}{}
	remembered, err := k.file.load()
	switch {
	case errors.Is(err, leger.ErrInternal):
		// Nothing is lost: the next sync names the user again.
		cfg.Logger.Warn("forgot whose secrets are in Podman", slog.Any("error", err))
	case err != nil:
		return nil, err
	}
	k.user = remembered.User
	return k, nil
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// Status says how the daemon is, without asking Podman.
func (k *Keeper) Status(context.Context) localvault.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := localvault.Status{
		Version: k.cfg.Version, PID: os.Getpid(), StartedAt: k.started, Podman: k.podman, Last: k.last,
	}
	if !k.user.IsZero() {
		user := k.user
		s.User = &user
		if held, err := k.cfg.Store.Secrets(user); err == nil {
			s.Secrets = len(held)
		}
	}
	return s
}

// Reconcile makes Podman follow the store for this user from now on (zero: the
// one it knows, ErrNotFound when there is none) and gives the verdict on each
// secret. ErrMissingPart without Podman; ErrUnavailable when it fails.
func (k *Keeper) Reconcile(ctx context.Context, order localvault.Order) (localvault.Report, error) {
	if err := k.takeTurn(ctx); err != nil {
		return localvault.Report{}, err
	}
	defer k.giveTurn()
	var user leger.UserID
	if order.User != nil {
		user = *order.User
	}
	if order.DryRun {
		return k.preview(ctx, user)
	}
	if err := k.become(user); err != nil {
		return localvault.Report{}, err
	}
	report, err := k.reconcile(ctx, May{Remove: order.Remove})
	if err != nil || failed(report) {
		k.askRetry()
	}
	return report, err
}

// Adopt takes over the Podman secret of this name: the store's value replaces it.
// ErrNotFound if nobody has synced or the store has no such secret.
func (k *Keeper) Adopt(ctx context.Context, name leger.SecretName) (localvault.Outcome, error) {
	if err := k.takeTurn(ctx); err != nil {
		return localvault.Outcome{}, err
	}
	defer k.giveTurn()
	if err := k.become(leger.UserID{}); err != nil {
		return localvault.Outcome{}, err
	}
	report, err := k.reconcile(ctx, May{Adopt: []leger.SecretName{name}})
	if err != nil {
		return localvault.Outcome{}, err
	}
	for _, o := range report.Secrets {
		// One that is kept was Leger's before: not what was asked for.
		if o.Name == name && o.Action != localvault.ActionKept {
			return o, o.Error.Err()
		}
	}
	return localvault.Outcome{}, leger.Errorf(leger.CodeNotFound, "Leger has no secret %s on this machine", name).
		WithHint("store it on the server (leger secrets set %s), then run: leger secrets sync", name)
}

func (k *Keeper) takeTurn(ctx context.Context) error {
	select {
	case <-k.turn:
		return nil
	case <-ctx.Done():
		return leger.Wrap(leger.CodeInterrupted, context.Cause(ctx), "the request was given up before its turn")
	}
}

func (k *Keeper) giveTurn() { k.turn <- struct{}{} }

// become remembers the user, on the disk first: after a restart Podman must not
// go back to the secrets of another.
func (k *Keeper) become(user leger.UserID) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case user.IsZero() && k.user.IsZero():
		return leger.Errorf(leger.CodeNotFound, "nobody has synced secrets to this machine yet").
			WithHint("run: leger secrets sync")
	case user.IsZero() || user == k.user:
		return nil
	}
	if err := k.file.save(state{user}); err != nil {
		return err
	}
	k.user = user
	return nil
}

func (k *Keeper) askRetry() {
	select {
	case k.retry <- struct{}{}:
	default:
	}
}

// failed reports whether trying again may help. A conflict waits for its owner.
func failed(r localvault.Report) bool {
	for _, o := range r.Secrets {
		if o.Action == localvault.ActionFailed {
			return true
		}
	}
	return false
}
