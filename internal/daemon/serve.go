package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
)

// shutdownGrace is how long requests that run may take to end when the daemon is
// told to: less than the 90 s after which systemd kills.
const shutdownGrace = 10 * time.Second

// Config says how the daemon runs.
type Config struct {
	// Socket is where it listens, unless Listeners has sockets.
	Socket string
	// Listeners are unix sockets that somebody else listens on for us.
	Listeners []net.Listener
	// Listen is a loopback address for setec's own tools. Empty: none.
	Listen string
	// Store says which store is served, and with which key. What else is remembered is
	// kept in its directory.
	Store localvault.Config
	// Podman holds the secrets for containers.
	Podman Podman
	// Notify tells the service manager (sd_notify(3)), as go-systemd's SdNotify does.
	Notify func(unsetEnvironment bool, state string) (sent bool, err error)
	// Version is legerd's.
	Version string
	// Logger gets what happens, never a value.
	Logger *slog.Logger
}

// Run serves until ctx is done, and then ends what runs in an orderly way. It
// fails if it cannot start: with the errors of localvault.Open, ListenUnix and
// ListenLoopback.
func Run(ctx context.Context, cfg Config) (err error) {
	store, err := localvault.Open(cfg.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	keeper, err := NewKeeper(KeeperConfig{
		Store: store, Podman: cfg.Podman, Dir: cfg.Store.Dir, Version: cfg.Version, Logger: cfg.Logger,
	})
	if err != nil {
		return err
	}
	sites, err := listen(ctx, cfg, store, keeper)
	if err != nil {
		return err
	}

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	running.Go(func() { keeper.Run(ctx) })
	for _, s := range sites {
		running.Go(func() {
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				stop(leger.Wrap(leger.CodeUnavailable, err, "serve on %s", s.listener.Addr()))
			}
		})
		cfg.Logger.InfoContext(ctx, "serving", slog.String("address", s.listener.Addr().String()))
	}
	tell(ctx, cfg, "READY=1", "STATUS=holding the machine's secrets")

	<-ctx.Done()
	cfg.Logger.Info("stopping")
	after := context.WithoutCancel(ctx)
	tell(after, cfg, "STOPPING=1")
	for _, s := range sites {
		err = errors.Join(err, s.shutdown(after))
	}
	running.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// site is one place where something is served.
type site struct {
	listener net.Listener
	server   *http.Server
}

func (s site) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownGrace)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		return errors.Join(leger.Wrap(leger.CodeUnavailable, err, "end the requests on %s", s.listener.Addr()), s.server.Close())
	}
	return nil
}

// listen opens every place before anything is served: a daemon that could not
// have them all does not start.
func listen(ctx context.Context, cfg Config, store *localvault.Store, keeper *Keeper) (sites []site, err error) {
	listeners := cfg.Listeners
	defer func() {
		if err != nil {
			for _, s := range sites {
				_ = s.listener.Close()
			}
			sites = nil
		}
	}()
	if len(listeners) == 0 {
		ln, err := localvault.ListenUnix(ctx, cfg.Socket)
		if err != nil {
			return nil, err
		}
		listeners = []net.Listener{ln}
	}
	uid := os.Geteuid()
	whole := localvault.NewHandler(localvault.HandlerConfig{Store: store, Keeper: keeper, Logger: cfg.Logger})
	for _, ln := range listeners {
		sites = append(sites, site{ln, localvault.NewServer(whole, uid, cfg.Logger)})
	}
	if cfg.Listen == "" {
		return sites, nil
	}
	ln, err := localvault.ListenLoopback(ctx, cfg.Listen)
	if err != nil {
		return sites, err
	}
	setecs := localvault.NewHandler(localvault.HandlerConfig{Store: store, Logger: cfg.Logger})
	return append(sites, site{ln, localvault.NewServer(setecs, uid, cfg.Logger)}), nil
}

func tell(ctx context.Context, cfg Config, lines ...string) {
	if _, err := cfg.Notify(false, strings.Join(lines, "\n")); err != nil {
		cfg.Logger.WarnContext(ctx, "the service manager was not told", slog.Any("error", err))
	}
}
