package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// aTailscaled answers as tailscaled does, on a socket of its own. It knows two nodes.
func aTailscaled(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(openDir(t), "tailscaled.sock")
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node := map[string]string{
			"100.64.0.7": `{"Node":{"StableID":"nAlice","Name":"phone.example.ts.net.","User":123},"UserProfile":{"ID":123,"LoginName":"alice@github"}}`,
			"100.64.0.8": `{"Node":{"StableID":"nBob","Name":"bobs.example.ts.net.","User":456},"UserProfile":{"ID":456,"LoginName":"bob@github"}}`,
		}[r.FormValue("addr")]
		switch {
		case r.URL.Path == "/localapi/v0/status":
			_, _ = io.WriteString(w, `{"BackendState":"Running","Self":{"ID":"nServer","UserID":123,"DNSName":"Leger.example.ts.net.","TailscaleIPs":["100.64.0.1"]}}`)
		case r.URL.Path == "/localapi/v0/whois" && node != "":
			_, _ = io.WriteString(w, node)
		default:
			http.Error(w, "no match for IP:port", http.StatusNotFound)
		}
	})}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return socket
}

// signInAt asks a server to sign a browser in, and gives who it took it for, or the
// refusal.
func signInAt(t *testing.T, network, addr string, header ...string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://leger.example.ts.net/api/auth/tailnet", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if network == "unix" { // as tailscale serve does it
		r.Host = "localhost"
		r.Header.Set("X-Forwarded-Host", "leger.example.ts.net")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "X-Forwarded-Host" {
			r.Header.Del(header[i])
		}
		r.Header.Add(header[i], header[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var body struct {
		Data  struct{ User struct{ Email string } }
		Error struct{ Message string }
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK && len(res.Cookies()) == 1 {
		return body.Data.User.Email
	}
	return fmt.Sprintf("%d %s", res.StatusCode, body.Error.Message)
}

// Behind tailscale serve on a unix socket the caller is whom tailscaled names, and only
// root's processes and tailscaled's are believed.
func TestUnixSocketForTailscaleServe(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	socket := filepath.Join(dir, "server.sock")
	env := []string{"LEGER_AUTH=tailnet", "LEGER_TAILSCALE_SOCKET=" + aTailscaled(t), "LEGER_LISTEN=unix:" + socket}
	s := startWith(t, filepath.Join(dir, "data"), env, "--rate-limit", "0")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if !strings.Contains(s.output(), `"public_url":"https://leger.example.ts.net"`) {
		t.Errorf("the server does not know its name:\n%s", s.output())
	}
	for _, c := range []struct {
		what, want string
		header     []string
	}{
		{"alice", "alice@github", []string{"X-Forwarded-For", "100.64.0.7"}},
		{"bob", "bob@github", []string{"X-Forwarded-For", "100.64.0.8"}},
		{"a list is the nearest proxy's last word", "bob@github", []string{"X-Forwarded-For", "100.64.0.7, 100.64.0.8"}},
		{"two lines", "bob@github", []string{"X-Forwarded-For", "100.64.0.7", "X-Forwarded-For", "100.64.0.8"}},
		{"a mapped address", "alice@github", []string{"X-Forwarded-For", "::ffff:100.64.0.7"}},
		{"no address", "403 Tailscale does not say who you are", nil},
		{"headers alone", "403 Tailscale does not say who you are", []string{"Tailscale-User-Login", "alice@github"}},
		{"an unknown address", "403 Tailscale does not say who you are", []string{"X-Forwarded-For", "192.0.2.9"}},
		{"a zone", "403 Tailscale does not say who you are", []string{"X-Forwarded-For", "fe80::1%eth0"}},
		{"loopback", "403 Tailscale does not say who you are", []string{"X-Forwarded-For", "127.0.0.1"}},
		{"another name", "403 Tailscale's word counts under this server's own name only", []string{"X-Forwarded-For", "100.64.0.7", "X-Forwarded-Host", "evil.example"}},
		{"from the internet", "403 Tailscale does not say who you are", []string{"X-Forwarded-For", "100.64.0.7", "Tailscale-Funnel-Request", "?1"}},
	} {
		if got := signInAt(t, "unix", socket, c.header...); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	curl := exec.CommandContext(t.Context(), "curl", "-sS", "-X", "POST", "--unix-socket", socket, "-H", "X-Forwarded-For: 100.64.0.7",
		"http://leger.example.ts.net/api/auth/tailnet")
	curl.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := curl.CombinedOutput(); err != nil || !strings.Contains(string(out), "Tailscale does not say who you are") {
		t.Errorf("another user's process: %v %s; this test needs root", err, out)
	}
	if log := s.output(); !strings.Contains(log, `"remote":"100.64.0.7"`) {
		t.Errorf("the log does not tell where requests come from:\n%s", log)
	}
	// A killed server leaves its socket; the next one takes its place, but never that of
	// one that lives, and never a file.
	s.kill()
	s = startWith(t, filepath.Join(dir, "data"), env)
	fails(t, 2, env, []string{"--data", filepath.Join(dir, "other")}, "something listens on", "hint: ")
	s.kill()
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, 2, env, []string{"--data", filepath.Join(dir, "third")}, "is not a socket")
	fails(t, 2, env, []string{"--data", filepath.Join(dir, "fourth"), "--listen", "unix:" + filepath.Join(dir, "none", "s")},
		"no such file or directory", "hint: the directory of the socket must be there")
}

// Over a loopback port any program of the machine can forge the header: that is refused,
// unless somebody insists, who is warned at every start.
func TestLoopbackIsNotTheTailnet(t *testing.T) {
	t.Parallel()
	tailscaled := aTailscaled(t)
	env := []string{"LEGER_AUTH=tailnet,shared-secret", "LEGER_TAILSCALE_SOCKET=" + tailscaled, "LEGER_PUBLIC_URL=https://leger.example.ts.net"}
	fails(t, 2, env, []string{"--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0"},
		"any program of this machine could say that it is anybody", "hint: --listen unix:")

	dir := openDir(t)
	both := append(env, "LEGER_LISTEN=127.0.0.1:0,unix:"+filepath.Join(dir, "server.sock"))
	s := startWith(t, filepath.Join(dir, "data"), both)
	tcp := strings.TrimPrefix(s.url, "http://")
	if got := signInAt(t, "tcp", tcp, "X-Forwarded-For", "100.64.0.7"); got != "403 Tailscale does not say who you are" {
		t.Errorf("over loopback: %s", got)
	}
	if got := signInAt(t, "unix", filepath.Join(dir, "server.sock"), "X-Forwarded-For", "100.64.0.7"); got != "alice@github" {
		t.Errorf("over the socket: %s", got)
	}

	insists := append(env, "LEGER_TRUST_LOOPBACK_PROXY=1", "LEGER_LISTEN=127.0.0.1:0")
	s = startWith(t, filepath.Join(t.TempDir(), "data"), insists)
	if !strings.Contains(s.output(), "any program on this machine can sign in as anybody") {
		t.Errorf("no warning:\n%s", s.output())
	}
	if got := signInAt(t, "tcp", strings.TrimPrefix(s.url, "http://"), "X-Forwarded-For", "100.64.0.8"); got != "bob@github" {
		t.Errorf("over loopback, insisting: %s", got)
	}
}
