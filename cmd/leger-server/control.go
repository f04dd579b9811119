package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/peercred"
)

// controlSocket is where a running server takes what its own commands ask of it, in the
// data directory. Keys never pass through it.
const controlSocket = "control.sock"

// controlAnswer is one line of an answer: progress, then a result or an error.
type controlAnswer struct {
	Passed  int            `json:"passed,omitempty"`
	Total   int            `json:"total,omitempty"`
	Rekeyed *rekeyed       `json:"rekeyed,omitempty"`
	Former  []string       `json:"former,omitempty"` // of forget
	Secret  *secretChanged `json:"secret,omitempty"` // of shared-secret; not the secret itself
	Done    bool           `json:"done,omitempty"`
	Error   *controlFailed `json:"error,omitempty"`
}

// controlFailed is a leger.Error on its way.
type controlFailed struct {
	Code    leger.Code `json:"code"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
}

func failedAnswer(err error) controlAnswer {
	f := &controlFailed{Code: leger.CodeOf(err), Message: err.Error()}
	if e, ok := errors.AsType[*leger.Error](err); ok {
		f.Hint = e.Hint
	}
	return controlAnswer{Error: f}
}

// inDirectory gives a path to a socket of the directory that is short enough for one: a
// socket's path has at most 107 bytes (unix(7)), a data directory's may have more.
func inDirectory(dir, name string) (path string, done func() error, err error) {
	path = filepath.Join(dir, name)
	if len(path) < len(syscall.RawSockaddrUnix{}.Path) {
		return path, func() error { return nil }, nil
	}
	f, err := os.Open(dir) //nolint:gosec // G304: the operator's own directory
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), name), f.Close, nil
}

// serveControl answers commands until ctx ends, when it interrupts what they asked for.
// The caller holds the data directory's lock, so a socket that is there is a dead
// server's.
func serveControl(ctx context.Context, r *rotation, log *slog.Logger) (stop func() error, err error) {
	path, done, err := inDirectory(r.data, controlSocket)
	if err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "open the data directory")
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(leger.WrapFile(leger.CodeUnavailable, err, "remove a former %s", controlSocket), done())
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, errors.Join(leger.Wrap(leger.CodeUnavailable, err, "listen on %s", filepath.Join(r.data, controlSocket)), done())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rekey", r.answerRekey)
	mux.HandleFunc("POST /forget", r.answerForget)
	mux.HandleFunc("POST /shared-secret", r.answerSecret)
	srv := &http.Server{
		Handler: ownProcesses(mux, log), ConnContext: withPeer, ReadHeaderTimeout: defaultLimits().header,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() { _ = srv.Serve(ln) }()
	return func() error { return errors.Join(srv.Close(), done()) }, nil
}

type peerKey struct{}

// withPeer notes whose process connected; -1 when the kernel does not say.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	uid := -1
	if c, ok := conn.(*net.UnixConn); ok {
		if id, err := peercred.UID(c); err == nil {
			uid = id
		}
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// ownProcesses lets in those of the server's own user, and of root.
func ownProcesses(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, ok := r.Context().Value(peerKey{}).(int)
		if !ok || (uid != os.Getuid() && uid != 0) {
			log.WarnContext(r.Context(), "refused a command of another user", slog.Int("uid", uid))
			http.Error(w, "only the server's own user may do this", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// answerRekey tells its progress a few times a second.
func (r *rotation) answerRekey(w http.ResponseWriter, req *http.Request) {
	enc := json.NewEncoder(w)
	var told time.Time
	out, err := r.rekey(req.Context(), func(passed, total int) {
		if now := r.now(); now.Sub(told) > 200*time.Millisecond {
			told = now
			_ = enc.Encode(controlAnswer{Passed: passed, Total: total})
			_ = http.NewResponseController(w).Flush()
		}
	})
	if err != nil {
		_ = enc.Encode(failedAnswer(err))
		return
	}
	_ = enc.Encode(controlAnswer{Done: true, Rekeyed: &out})
}

func (r *rotation) answerForget(w http.ResponseWriter, req *http.Request) {
	ids, err := r.forget(req.Context())
	if err != nil {
		_ = json.NewEncoder(w).Encode(failedAnswer(err))
		return
	}
	_ = json.NewEncoder(w).Encode(controlAnswer{Done: true, Former: ids})
}

func (r *rotation) answerSecret(w http.ResponseWriter, req *http.Request) {
	out, err := r.changeSecret(req.Context())
	if err != nil {
		_ = json.NewEncoder(w).Encode(failedAnswer(err))
		return
	}
	_ = json.NewEncoder(w).Encode(controlAnswer{Done: true, Secret: &out})
}

// errNoServer says that no server listens in the data directory.
var errNoServer = errors.New("no server is running")

// askServer asks the server that runs on the data directory, and calls progress for every
// line but the last. errNoServer when there is none.
func askServer(ctx context.Context, data, command string, progress func(controlAnswer)) (last controlAnswer, err error) {
	path, done, err := inDirectory(data, controlSocket)
	if err != nil {
		return last, errNoServer
	}
	defer func() { err = errors.Join(err, done()) }()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialOwn(ctx, data, path) },
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://leger-server/"+command, http.NoBody)
	if err != nil {
		return last, leger.Wrap(leger.CodeInternal, err, "ask the server")
	}
	res, err := client.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return last, errNoServer
	case err != nil:
		return last, leger.Wrap(leger.CodeUnavailable, err, "ask the running server")
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusNotFound {
		return last, leger.Errorf(leger.CodeMissingPart, "the running server is of another version, and does not know this command").
			WithHint("restart the server, and run the command again")
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return last, leger.Errorf(leger.CodeForbidden, "the running server refused: %s", bytes.TrimSpace(text)).
			WithHint("run the command as the user that the server runs as")
	}
	return readAnswers(json.NewDecoder(res.Body), progress)
}

func readAnswers(dec *json.Decoder, progress func(controlAnswer)) (controlAnswer, error) {
	for {
		var a controlAnswer
		switch err := dec.Decode(&a); {
		case err != nil:
			return a, leger.Wrap(leger.CodePartial, err, "the server ended before it was done").
				WithHint("run the command again: it goes on where it stopped")
		case a.Error != nil:
			return a, &leger.Error{Code: a.Error.Code, Message: a.Error.Message, Hint: a.Error.Hint}
		case a.Done:
			return a, nil
		}
		progress(a)
	}
}

// dialOwn connects where the data directory's owner, or root, listens: another could
// claim to have done what was asked.
func dialOwn(ctx context.Context, data, path string) (net.Conn, error) {
	info, err := os.Stat(data)
	if err != nil {
		return nil, err
	}
	uids := []int{0}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		uids = append(uids, int(st.Uid))
	}
	conn, err := peercred.Dial(ctx, path, uids...)
	if _, ok := errors.AsType[*peercred.StrangerError](err); ok {
		return nil, leger.Errorf(leger.CodeForbidden,
			"the process that listens on %s is not of the data directory's owner", path)
	}
	return conn, err
}
