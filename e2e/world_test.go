//go:build e2e

// Package e2e_test walks the whole path of a key on a machine of its own: real
// systemd, Podman, tailscaled, git, and the programs of bin/ as `make build` made
// them.
package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

// Where the parts are in the machine.
const (
	serverURL  = "http://127.0.0.1:8787"
	serverData = rig.Home + "/server"
	secretFile = serverData + "/jwt.secret"

	invitationFile = rig.Home + "/invitation"
)

// world is a machine with everything on it, and what was seen there so far.
type world struct {
	t       *testing.T
	m       *rig.Machine
	server  *rig.RunningUnit // nil where the Worker serves
	storage string           // where the host sees what the server keeps; "" when the machine has it
	invited bool             // the machine's invitation was not used yet
	git     *rig.GitServer
	tailnet *rig.Tailscale
	browser *http.Client // with the cookies of whoever opened the link

	seen *transcript
}

// transcript is everything any command printed, for the canary search.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *transcript) contains(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.all.Bytes(), []byte(text))
}

// newWorld boots a machine, starts tailscaled, git, leger-server and the image,
// and installs legerd as a package would.
func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, (*world).startServer)
}

// newWorldOn is newWorld with another server.
func newWorldOn(t *testing.T, serve func(*world)) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{t: t, m: rig.Boot(t), seen: &transcript{}}
	w.m.AddPrograms(program(t, "leger"), program(t, "legerd"), program(t, "leger-server"))
	w.m.BuildImage(ctx)
	w.tailnet = w.m.Tailscale(ctx, rig.Identity{})
	w.git = w.m.GitServer(ctx, "/private=alice:opensesame")
	serve(w)
	w.installDaemon()
	w.sh(`mkdir -p ~/.config/leger && leger config set server ` + serverURL)
	if w.server != nil {
		w.sh(`leger config set auth.shared_secret_file ` + secretFile)
	}
	return w
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return path
}

func (w *world) startServer() {
	w.t.Helper()
	w.server = w.m.StartUnit(w.t.Context(), rig.Unit{
		Name: "leger-server", ByUser: true,
		Command: []string{"leger-server", "--listen", "127.0.0.1:8787", "--data", serverData},
	})
	w.awaitServer()
}

// startWorker runs the Worker as make worker-dev does: on the host, whose Node it
// needs, in the machine's network.
func (w *world) startWorker() {
	w.t.Helper()
	ctx := w.t.Context()
	w.storage = w.t.TempDir()
	worker := w.m.HostCommand(ctx, filepath.Join("..", "scripts", "worker-dev"))
	worker.Env = append(worker.Environ(), "LEGER_STATE="+w.storage, "LEGER_LISTEN=127.0.0.1:8787",
		"LEGER_INVITE=alice@github --tailscale-user-id u123456789 --tailnet example.ts.net")
	worker.Cancel = func() error { return worker.Process.Signal(os.Interrupt) } // it ends what it started
	worker.WaitDelay = 30 * time.Second
	worker.Stdout, worker.Stderr = w.seen, w.seen
	if err := worker.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = worker.Wait() }) // it was interrupted
	w.awaitServer()
	rig.Eventually(w.t, 2*time.Minute, "the operator invites the machine", func(ctx context.Context) error {
		invitation, err := os.ReadFile(filepath.Join(w.storage, "invitation"))
		if err == nil {
			w.m.WriteFile(ctx, invitationFile, string(invitation))
		}
		return err
	})
	w.sh("chmod 600 " + invitationFile)
	w.invited = true
	w.holdsNoSharedSecret()
}

// holdsNoSharedSecret: this Worker was given none, and says so.
func (w *world) holdsNoSharedSecret() {
	w.t.Helper()
	settings, err := os.ReadFile(filepath.Join(w.storage, "env"))
	if err != nil || strings.Contains(string(settings), "JWT_SECRET") {
		w.t.Errorf("the Worker has a shared secret: %v", err)
	}
	w.browser = w.m.HTTPClient()
	if _, methods := w.request(http.MethodGet, "/api/auth/methods", nil, ""); !strings.Contains(methods, `"methods":[{"name":"machine"}]`) {
		w.t.Errorf("ways to sign in: %s", methods)
	}
}

func (w *world) awaitServer() {
	w.t.Helper()
	client := w.m.HTTPClient()
	rig.Eventually(w.t, time.Minute, "the server is ready", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, serverURL+"/ready", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", res.Status)
		}
		return nil
	})
}

// installDaemon puts program and units where a package puts them, and enables the
// socket: the first leger command that needs the daemon starts it.
func (w *world) installDaemon() {
	w.t.Helper()
	ctx := w.t.Context()
	for _, unit := range []string{"legerd.service", "legerd.socket"} {
		text, err := os.ReadFile(filepath.Join("..", "packaging", "systemd", unit))
		if err != nil {
			w.t.Fatal(err)
		}
		opts := rig.Opts{As: "root", Stdin: bytes.NewReader(text)}
		w.m.Must(ctx, opts, "sh", "-c", `mkdir -p /usr/lib/systemd/user && cat >"/usr/lib/systemd/user/$0"`, unit)
	}
	w.m.Must(ctx, rig.Opts{As: "root"}, "cp", rig.Bin+"/legerd", "/usr/bin/legerd")
	w.sh(`systemctl --user daemon-reload && systemctl --user enable --now legerd.socket`)
}

// For gives the same world to a subtest.
func (w *world) For(t *testing.T) *world {
	c := *w
	c.t, c.m = t, w.m.For(t)
	c.tailnet = w.tailnet.For(t)
	if w.server != nil {
		c.server = w.server.For(t)
	}
	return &c
}

// run runs a command line in the machine as the user, by a shell.
func (w *world) run(line string) rig.Result {
	w.t.Helper()
	return w.m.Run(w.t.Context(), rig.Opts{Output: w.seen}, "bash", "-c", line)
}

// sh is run for what must succeed; it gives what was printed on stdout.
func (w *world) sh(line string) string {
	w.t.Helper()
	got := w.run(line)
	if got.Code != 0 {
		w.t.Fatalf("$ %s\n%s", line, got)
	}
	return strings.TrimSuffix(got.Stdout, "\n")
}

// show is sh that prints command and outcome, as proof.
func (w *world) show(line string) string {
	w.t.Helper()
	got := w.run(line)
	w.t.Logf("$ %s\n%s", line, untold(got.Stdout+got.Stderr))
	if got.Code != 0 {
		w.t.Fatalf("exit code %d", got.Code)
	}
	return strings.TrimSuffix(got.Stdout, "\n")
}

// linkToken is the token of a link that signs a browser in.
var linkToken = regexp.MustCompile(`token=[\w.-]+`)

// untold is text for the test's log, which keeps no credential.
func untold(text string) string { return linkToken.ReplaceAllString(text, "token=…") }

// fails is a command that must end with this code, say each of wants on stderr,
// and leave the machine as it was. It must say what to do next, too: in a hint,
// or, of wrong input, in the rule that the message states.
func (w *world) fails(code int, line string, wants ...string) {
	w.t.Helper()
	before := w.state()
	got := w.run(line)
	w.t.Logf("$ %s\n%s(exit code %d)", line, untold(got.Stdout+got.Stderr), got.Code)
	if got.Code != code {
		w.t.Errorf("exit code %d, want %d", got.Code, code)
	}
	wants = append(wants, "leger: ")
	if code != 2 {
		wants = append(wants, "hint: ")
	}
	for _, want := range wants {
		if !strings.Contains(got.Stderr, want) {
			w.t.Errorf("stderr does not say %q", want)
		}
	}
	if after := w.state(); after != before {
		w.t.Errorf("the machine changed:\n%s\nwas:\n%s", after, before)
	}
}

// state is all that a command could have changed: Podman's secrets, quadlets,
// units, what Leger keeps in the home directory, but for what it remembers of a
// failure.
func (w *world) state() string {
	w.t.Helper()
	return w.m.Must(w.t.Context(), rig.Opts{}, "bash", "-c", `
		podman secret ls --noheading --format '{{.Name}} {{.UpdatedAt}}' | sed 's/ago//' | awk '{print $1}' | sort
		for s in $(podman secret ls -q); do podman secret inspect --format '{{.Spec.Name}} {{.Spec.Labels}} {{.UpdatedAt}}' "$s"; done | sort
		find ~/.config/containers ~/.local/state/leger/deployments ~/.config/leger ~/.local/share/leger -type f ! -name '*.lock' ! -name failed.json -printf '%p %s %T@\n' 2>/dev/null | sort
		systemctl --user list-units --all --plain --no-legend --type=service 'web*' 'leger-*' | awk '{print $1,$3,$4}' | sort`)
}

// open plays the browser: it fetches the page of a sign-in link as a browser
// does, then exchanges the link's token for the session cookie as the page does.
func (w *world) open(link string) {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.browser = w.m.HTTPClient()
	w.browser.Jar = jar
	page, token, found := strings.Cut(link, "?token=")
	if !found || page != serverURL+"/auth" {
		w.t.Fatalf("not a sign-in link: %q", link)
	}
	status, body := w.request(http.MethodGet, "/auth", nil, "")
	if status != http.StatusOK || !strings.Contains(body, "<title>Leger") {
		w.t.Fatalf("the page of the link: %d %s", status, body)
	}
	if status, body = w.request(http.MethodPost, "/api/auth/validate", nil, token); status != http.StatusOK {
		w.t.Fatalf("sign in: %d %s", status, body)
	}
}

// api is a request of the page's script: same origin, with the session cookie.
func (w *world) api(method, path string, in any) map[string]any {
	w.t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			w.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	status, text := w.request(method, path, body, "")
	var out struct {
		Success bool
		Data    map[string]any
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil || status != http.StatusOK || !out.Success {
		w.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return out.Data
}

func (w *world) request(method, path string, body io.Reader, token string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, serverURL+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := w.browser.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	_, _ = w.seen.Write(text)
	return res.StatusCode, string(text)
}

// login signs the machine in, at the first time by its invitation if it has one, and
// gives the printed link.
func (w *world) login() string {
	w.t.Helper()
	if w.invited {
		w.invited = false
		w.show(`leger auth login --invitation-file ` + invitationFile + ` 2>&1 && rm ` + invitationFile)
	}
	return link(w.t, w.show(`leger auth login --no-browser 2>&1`))
}

func link(t *testing.T, text string) string {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, serverURL+"/auth?token=") {
			return word
		}
	}
	t.Fatalf("no link in:\n%s", text)
	return ""
}

// container asks the program in the container of web.service.
func (w *world) container(path string) string {
	w.t.Helper()
	var got string
	rig.Eventually(w.t, 30*time.Second, "the container answers "+path, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8080"+path, nil)
		if err != nil {
			return err
		}
		res, err := w.m.HTTPClient().Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", res.Status, b)
		}
		got = string(b)
		return nil
	})
	return got
}

// webQuadlet is a release of one container that shows its secrets.
func webQuadlet(secrets ...string) map[string]string {
	var lines strings.Builder
	for _, s := range secrets {
		fmt.Fprintf(&lines, "Secret=%s,type=env,target=%s\nSecret=%s\n", s, strings.ToUpper(s), s)
	}
	return map[string]string{
		"README.md": "# A release for the machine test\n",
		"web.container": `[Unit]
Description=Shows its secrets

[Container]
Image=` + rig.Image + `
Pull=never
` + lines.String() + `PublishPort=127.0.0.1:8080:8080

[Install]
WantedBy=default.target
`,
	}
}
