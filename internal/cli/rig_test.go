package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/daemon"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/podman/podmantest"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
)

// sharedSecret is what the test's server and machine share.
const sharedSecret = "a-shared-secret-of-a-test-0123456789abcdef"

// rig is a machine and its server: the real server on a real database, the real
// legerd in this process, a stand-in for Podman's socket and for tailscaled's.
type rig struct {
	t       testing.TB
	runtime string // XDG_RUNTIME_DIR; its path is short, for sockets
	state   string
	path    string // PATH

	api      *httptest.Server
	handler  atomic.Pointer[http.Handler]
	down     atomic.Bool  // the server hangs up on everybody
	ahead    atomic.Int64 // of the server's clock, in ns
	requests atomic.Int64 // that reached the server
	store    *sqlite.Store
	database string // its file
	keys     *vault.KeyRing
	restores int64 // how often a backup was put back
	kept     backup

	saved   func() (leger.BackupState, error) // what the server says of its backups; nil: nothing
	methods atomic.Pointer[string]            // what GET /api/auth/methods answers; nil: the server's own word

	onTailnet atomic.Bool                // the server asks Tailscale
	peer      atomic.Pointer[leger.Peer] // who it is told is calling; nil: nobody

	podman *podmantest.Fake
	legerd func()       // stops it; nil: it does not run
	dead   atomic.Bool  // legerd hangs up on everybody
	calls  atomic.Int64 // that legerd answered
	onCall atomic.Value // func(int64): told the number of each, once it is answered

	tailscale atomic.Pointer[[]byte] // what tailscaled answers
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, runtime: shortDir(t), state: t.TempDir(), path: "/nonexistent"}
	r.startServer()
	dir := filepath.Join(r.runtime, "podman")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.podman, err = podmantest.Start(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.podman.Stop)
	t.Cleanup(r.stopLegerd)
	r.startTailscaled()
	return r
}

// shortDir is not t.TempDir: a socket's path holds 107 bytes at most.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (r *rig) startServer() {
	r.t.Helper()
	r.listen()
	r.t.Cleanup(func() {
		r.api.Close()
		_ = r.store.Close()
	})
	r.restoreServer()
}

// move serves the data at another address, in a new epoch. At the former one nobody
// answers.
func (r *rig) move() {
	r.t.Helper()
	was := r.backUp()
	r.api.Close()
	r.listen()
	r.putBack(was)
}

func (r *rig) listen() {
	r.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.down.Load() {
			panic(http.ErrAbortHandler)
		}
		r.requests.Add(1)
		if answer := r.methods.Load(); answer != nil && req.URL.Path == "/api/auth/methods" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, *answer)
			return
		}
		(*r.handler.Load()).ServeHTTP(w, req)
	}))
}

// restoreServer makes the server one on an empty database, at the same address.
func (r *rig) restoreServer() {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.state, "server")
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := vault.NewKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	ring, err := vault.ParseKeyRing(key, "")
	if err != nil {
		r.t.Fatal(err)
	}
	r.serveDatabase(filepath.Join(dir, "leger.db"), ring)
}

// backup is a server's database and keys at one moment.
type backup struct {
	database []byte
	keys     *vault.KeyRing
}

// backUp copies the server's database.
func (r *rig) backUp() backup {
	r.t.Helper()
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	b, err := os.ReadFile(r.database)
	if err != nil {
		r.t.Fatal(err)
	}
	r.serveDatabase(r.database, r.keys)
	return backup{b, r.keys}
}

// putBack makes the server one on a database that was backed up, and raises its
// epoch, as whoever puts a backup back does.
func (r *rig) putBack(was backup) {
	r.t.Helper()
	dir, err := os.MkdirTemp(r.state, "server")
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(dir, "leger.db")
	if err := os.WriteFile(path, was.database, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.restores++
	r.exec(path, "UPDATE installation SET epoch = epoch + ?", r.restores)
	r.serveDatabase(path, was.keys)
}

// damage takes the value of a secret's versions away.
func (r *rig) damage(name string) {
	r.t.Helper()
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.exec(r.database, "DELETE FROM secret_versions WHERE name = ?", name)
	r.serveDatabase(r.database, r.keys)
}

func (r *rig) exec(path, statement string, args ...any) {
	r.t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = db.ExecContext(context.Background(), statement, args...)
	if err := errors.Join(err, db.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// serveDatabase makes the server one on this database, which is made if need be.
func (r *rig) serveDatabase(path string, keys *vault.KeyRing) {
	r.t.Helper()
	now := func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }
	store, err := sqlite.Open(context.Background(), sqlite.Config{Path: path, Now: now})
	if err != nil {
		r.t.Fatal(err)
	}
	if r.store != nil {
		_ = r.store.Close() // it may be closed already
	}
	shared, err := token.ParseSecret([]byte(sharedSecret))
	if err != nil {
		r.t.Fatal(err)
	}
	api, err := httpapi.New(httpapi.Config{
		Vault:  vault.New(vault.Config{Keys: keys, Secrets: store, Now: now, Random: rand.Reader}),
		Stores: store, SharedSecret: func() token.Secret { return shared }, PublicURL: r.api.URL, Version: "0.0.0-test",
		Web: http.NotFoundHandler(), Requests: httpapi.Unlimited{}, Refusals: httpapi.Unlimited{},
		Now: now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler), Backup: r.saved, Auth: r.auth(), WhoIs: r.whoIs,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.store, r.database, r.keys = store, path, keys
	var h http.Handler = api
	r.handler.Store(&h)
}

func (r *rig) auth() []leger.SignInMethod {
	auth := []leger.SignInMethod{leger.SignInMachine, leger.SignInSharedSecret}
	if r.onTailnet.Load() {
		auth = slices.Insert(auth, 0, leger.SignInTailnet)
	}
	return auth
}

func (r *rig) whoIs(*http.Request) (leger.Peer, error) {
	if p := r.peer.Load(); p != nil {
		return *p, nil
	}
	return leger.Peer{}, leger.Errorf(leger.CodeNotFound, "no match for IP:port")
}

// says makes the server tell of its backups, on the same database.
func (r *rig) says(state leger.BackupState) {
	r.saved = func() (leger.BackupState, error) { return state, nil }
	r.backUp()
}

func (r *rig) socket() string { return localvault.SocketPath(r.runtime) }

func (r *rig) startLegerd() {
	r.t.Helper()
	dir := filepath.Join(r.state, "legerd")
	key, err := localvault.ParseKey([]byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, localvault.KeySize))))
	if err != nil {
		r.t.Fatal(err)
	}
	store, err := localvault.Open(localvault.Config{Dir: dir, Key: key})
	if err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	keeper, err := daemon.NewKeeper(daemon.KeeperConfig{
		Store: store, Podman: podman.New(podman.Config{Socket: r.podman.Socket}), Dir: dir, Version: "0.0.0-test", Logger: log,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ln, err := localvault.ListenUnix(context.Background(), r.socket())
	if err != nil {
		r.t.Fatal(err)
	}
	srv := localvault.NewServer(r.counted(localvault.NewHandler(localvault.HandlerConfig{Store: store, Keeper: keeper, Logger: log})), os.Geteuid(), log)
	ctx, cancel := context.WithCancel(context.Background())
	loop := make(chan struct{})
	go func() { defer close(loop); keeper.Run(ctx) }()
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(ln) }()
	r.legerd = func() {
		cancel()
		if err := srv.Close(); err != nil {
			r.t.Error(err)
		}
		<-served
		<-loop
		if err := store.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.dead.Load() {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, req)
		n := r.calls.Add(1)
		if told, ok := r.onCall.Load().(func(int64)); ok {
			told(n)
		}
	})
}

func (r *rig) stopLegerd() {
	if r.legerd != nil {
		r.legerd()
		r.legerd = nil
	}
}

func (r *rig) tailscaleSocket() string { return filepath.Join(r.runtime, "ts.sock") }

// startTailscaled answers as alice's node until setTailscale says otherwise.
func (r *rig) startTailscaled() {
	r.t.Helper()
	ln, err := new(net.ListenConfig).Listen(context.Background(), "unix", r.tailscaleSocket())
	if err != nil {
		r.t.Fatal(err)
	}
	r.setTailscale("running")
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Host != "local-tailscaled.sock" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write(*r.tailscale.Load())
	})}
	go func() { _ = srv.Serve(ln) }()
	r.t.Cleanup(func() { _ = srv.Close() })
}

// setTailscale takes a state's name, as in tailnet's recordings, or one that cannot be
// recorded: it is made of a running node.
func (r *rig) setTailscale(state string) {
	r.t.Helper()
	edits := map[string][2]string{
		"starting":  {`"BackendState": "Running"`, `"BackendState": "Starting"`},
		"user-zero": {`"UserID": 123456789`, `"UserID": 0`},
	}
	name, edit := state, edits[state]
	if edit[0] != "" {
		name = "running"
	}
	b, err := os.ReadFile(filepath.Join("..", "tailnet", "testdata", "1.102.5", name+".json"))
	if err != nil {
		r.t.Fatal(err)
	}
	text := string(b)
	if edit[0] != "" {
		text = strings.ReplaceAll(text, edit[0], edit[1])
	}
	// The recorded key is valid until 2027, the expired one until 2026; these tests run on
	// the real clock.
	b = []byte(strings.NewReplacer(`"KeyExpiry": "2027-`, `"KeyExpiry": "2127-`, `"KeyExpiry": "2026-`, `"KeyExpiry": "2020-`).Replace(text))
	r.tailscale.Store(&b)
}

// env is the environment in which leger finds the rig.
func (r *rig) env(home string) map[string]string {
	r.t.Helper()
	secret := filepath.Join(home, "shared-secret")
	if err := errors.Join(os.MkdirAll(home, 0o700), os.WriteFile(secret, []byte(sharedSecret+"\n"), 0o600)); err != nil {
		r.t.Fatal(err)
	}
	return map[string]string{
		"PATH": r.path, "HOME": home, "XDG_RUNTIME_DIR": r.runtime, "LEGER_SERVER": r.api.URL,
		"LEGER_SHARED_SECRET_FILE": secret, "LEGER_TAILSCALE_SOCKET": r.tailscaleSocket(),
	}
}
