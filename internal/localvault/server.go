package localvault

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"leger.run/leger"
)

// SocketPath is where the daemon of a user listens: leger/legerd.sock below
// $XDG_RUNTIME_DIR.
func SocketPath(runtimeDir string) string {
	return filepath.Join(runtimeDir, "leger", "legerd.sock")
}

// maxSocketPath is the longest path of a socket in bytes: sun_path of unix(7) has
// 108, the last of them NUL. Some systems take less.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// checkSocketPath refuses a path that is too long for a socket. The kernel only says
// "invalid argument".
func checkSocketPath(path string) error {
	if len(path) <= maxSocketPath {
		return nil
	}
	return leger.Errorf(leger.CodeInvalid, "the path of legerd's socket has %d bytes, and a socket's has at most %d: %s", len(path), maxSocketPath, path).
		WithHint("choose a shorter one for legerd and leger alike: export LEGERD_SOCKET=/run/user/$(id -u)/legerd.sock")
}

// ListenUnix listens on a socket that only its owner may open (0600, in a
// directory made 0700). What an ended process left there is removed; a socket
// that answers is ErrConflict. ErrInvalid for a path that is too long;
// ErrUnavailable when the directory or the socket cannot be made.
func ListenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := checkSocketPath(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "make the directory of the socket")
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if errors.Is(err, unix.EADDRINUSE) {
		conn, dialErr := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if dialErr == nil {
			_ = conn.Close()
			return nil, leger.Errorf(leger.CodeConflict, "another process answers on %s", path).
				WithHint("stop it (systemctl --user stop legerd.socket legerd), or choose another socket with --socket")
		}
		// A file that is no socket refuses connections too, and is not ours to remove.
		if info, statErr := os.Lstat(path); errors.Is(dialErr, unix.ECONNREFUSED) && statErr == nil && info.Mode().Type() == os.ModeSocket {
			err = os.Remove(path)
		}
		if err == nil {
			ln, err = lc.Listen(ctx, "unix", path)
		}
	}
	if err != nil {
		return nil, leger.Wrap(leger.CodeUnavailable, err, "listen on %s", path)
	}
	// Until here the directory and the check of who calls have kept others out.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(leger.Wrap(leger.CodeUnavailable, err, "guard the socket %s", path), ln.Close())
	}
	return ln, nil
}

// ListenLoopback listens for setec's own tools, which know no unix sockets, on an
// address such as 127.0.0.1:8788. ErrInvalid for an address that other machines
// could reach; ErrUnavailable when the port is taken.
func ListenLoopback(ctx context.Context, addr string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, leger.Invalid("listen", "%.80q is not an address and a port", addr).WithHint("for example 127.0.0.1:8788")
	}
	if !at.Addr().Unmap().IsLoopback() {
		return nil, leger.Invalid("listen", "%s is not a loopback address: other machines could reach it", at.Addr()).
			WithHint("use 127.0.0.1 or [::1]")
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", at.String())
	if err != nil {
		return nil, leger.Wrap(leger.CodeUnavailable, err, "listen on %s", at)
	}
	return ln, nil
}

// peerKey finds what is known of the other side of a connection.
type peerKey struct{}

type peer struct {
	uid int
	err error
}

// NewServer serves h to processes of the user uid alone: 403 for all others,
// root too unless uid is root's. On a unix socket the kernel tells whose process
// connected; on a loopback port, which anybody on the machine may connect to, it
// is looked up in the kernel's table of connections, and who is not found there
// is refused.
func NewServer(h http.Handler, uid int, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, ok := r.Context().Value(peerKey{}).(peer)
			if !ok || p.err != nil || p.uid != uid {
				log.WarnContext(r.Context(), "refused a caller", slog.Int("uid", p.uid), slog.String("path", r.URL.Path), slog.Any("error", p.err))
				http.Error(w, "access denied: this is another user's legerd", http.StatusForbidden)
				return
			}
			h.ServeHTTP(w, r)
		}),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			id, err := peerUID(conn)
			return context.WithValue(ctx, peerKey{}, peer{id, err})
		},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
