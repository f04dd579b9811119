package localvault_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
)

// The test binary runs itself as another process where a test needs one: to be
// killed, to hold a lock, to be another user.
func TestMain(m *testing.M) {
	switch os.Getenv("LOCALVAULT_TEST_ROLE") {
	case "serve":
		os.Exit(serveRole())
	case "rekey":
		os.Exit(rekeyRole())
	case "call":
		os.Exit(callRole())
	case "impostor":
		os.Exit(impostorRole())
	}
	os.Exit(m.Run())
}

// serveRole serves the store in $DIR on the socket there until it is killed.
func serveRole() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	dir := os.Getenv("DIR")
	store, err := localvault.Open(roleConfig(filepath.Join(dir, "data")))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ln, err := localvault.ListenUnix(ctx, filepath.Join(dir, "s"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	server := localvault.NewServer(localvault.NewHandler(localvault.HandlerConfig{Store: store, Keeper: &keeper{}}), os.Geteuid(), slog.New(slog.DiscardHandler))
	fmt.Println("serving")
	_ = server.Serve(ln)
	return 0
}

// roleConfig has a key of the test's, or with $OWN_KEY the one in the data directory.
func roleConfig(data string) localvault.Config {
	if os.Getenv("OWN_KEY") == "" {
		return localvault.Config{Dir: data, Key: testKey(7)}
	}
	cfg, err := ownKey(data)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	return cfg
}

// ownKey opens the store with the key in its directory, as legerd does.
func ownKey(data string) (localvault.Config, error) {
	key, from, err := localvault.LoadKey(localvault.KeySource{Lookup: env(), Dir: data, Random: rand.Reader})
	return localvault.Config{Dir: data, Key: key, Own: true, From: from}, err
}

// rekeyRole changes the key of the store in $DIR, and kills itself at the step $STEP.
func rekeyRole() int {
	cfg, err := ownKey(os.Getenv("DIR"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	store, err := localvault.Open(cfg.AtStep(func(step string) {
		if step == os.Getenv("STEP") {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := store.Rekey(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// callRole asks the daemon on $SOCKET, or at the address $ADDR, and prints the status
// that it got.
func callRole() int {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if socket := os.Getenv("SOCKET"); socket != "" {
			network, addr = "unix", socket
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}}
	addr := cmp.Or(os.Getenv("ADDR"), "legerd")
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+addr+"/api/list", http.NoBody)
	if err != nil {
		return 1
	}
	req.Header.Set("Sec-X-Tailscale-No-Browsers", "setec")
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_ = resp.Body.Close()
	fmt.Print(resp.StatusCode)
	return 0
}

// impostorRole listens on $SOCKET, and prints what a caller sends once it is gone.
func impostorRole() int {
	ln, err := net.Listen("unix", os.Getenv("SOCKET"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := os.Chmod(os.Getenv("SOCKET"), 0o666); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("listening")
	conn, err := ln.Accept()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	sent, err := io.ReadAll(conn)
	fmt.Printf("got %q (%v)\n", sent, err)
	return 0
}

// testKey is a key that is as good as another, and different for each n.
func testKey(n byte) localvault.Key {
	return localvault.NewKey([localvault.KeySize]byte{n, 1, 2, 3})
}

func randomKey(t testing.TB) localvault.Key {
	t.Helper()
	var b [localvault.KeySize]byte
	if _, err := io.ReadFull(rand.Reader, b[:]); err != nil {
		t.Fatal(err)
	}
	return localvault.NewKey(b)
}

// shortDir is a temporary directory whose path leaves room for a socket's name:
// the kernel takes 107 bytes.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func openStore(t testing.TB, cfg localvault.Config) *localvault.Store {
	t.Helper()
	s, err := localvault.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func user(t testing.TB, n int) leger.UserID {
	t.Helper()
	u, err := leger.ParseUserID(fmt.Sprintf("00000000-0000-5000-8000-%012d", n))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func name(t testing.TB, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func text(s string) leger.Plaintext { return leger.NewPlaintext([]byte(s)) }

func wantCode(t testing.TB, err error, want *leger.Error) {
	t.Helper()
	_ = codeOf(t, err, want)
}

// codeOf checks the code of an error and gives the error.
func codeOf(t testing.TB, err error, want *leger.Error) *leger.Error {
	t.Helper()
	var e *leger.Error
	if !errors.Is(err, want) || !errors.As(err, &e) {
		t.Fatalf("got error %v, want code %s", err, want.Code)
	}
	return e
}

// fixture is a store served on a socket.
type fixture struct {
	store  *localvault.Store
	socket string
	client *localvault.Client
}

func serve(t testing.TB, cfg localvault.HandlerConfig) fixture {
	t.Helper()
	dir := shortDir(t)
	if cfg.Store == nil {
		cfg.Store = openStore(t, localvault.Config{Dir: filepath.Join(dir, "data"), Key: testKey(1)})
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := fixture{store: cfg.Store, socket: localvault.SocketPath(dir)}
	ln, err := localvault.ListenUnix(t.Context(), f.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := localvault.NewServer(localvault.NewHandler(cfg), os.Geteuid(), cfg.Logger)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(ln) }()
	f.client = localvault.NewClient(localvault.ClientConfig{Socket: f.socket})
	t.Cleanup(func() {
		f.client.Close()
		_ = server.Close()
		<-ended
	})
	return f
}
