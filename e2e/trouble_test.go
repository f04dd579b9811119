//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

// What wc -c says of the values as podman secret inspect prints them, with a
// newline.
const (
	canaryBytes    = "20"
	canaryNewBytes = "21"
)

// TestTrouble makes everything go wrong that can, one at a time, on one machine
// that works: each gives its own exit code, says what and what next, and changes
// nothing.
func TestTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(w.login())
	w.api(http.MethodPost, "/api/secrets/api_key", map[string]string{"value": canary})
	w.sh(`leger secrets sync`)

	// In this order: each leaves the machine as it found it.
	t.Run("tailscale", func(t *testing.T) { w.For(t).tailscaleTrouble() })
	t.Run("server", func(t *testing.T) { w.For(t).serverTrouble() })
	t.Run("input", func(t *testing.T) { w.For(t).inputTrouble() })
	t.Run("repository", func(t *testing.T) { w.For(t).repositoryTrouble() })
	t.Run("quadlets", func(t *testing.T) { w.For(t).quadletTrouble() })
	t.Run("machine", func(t *testing.T) { w.For(t).machineTrouble() })
	t.Run("disk", func(t *testing.T) { w.For(t).diskTrouble() })
	t.Run("interrupted", func(t *testing.T) { w.For(t).interrupted() })
	t.Run("others", func(t *testing.T) { w.For(t).otherUser() })
	w.searchCanaries(t, canary, canaryNew)
}

func (w *world) tailscaleTrouble() {
	w.t.Helper()
	ctx := w.t.Context()
	// A machine that is signed in by its own key asks Tailscale nothing.
	const login = `leger auth login --no-browser`
	w.sh(`leger auth logout`)

	w.tailnet.Down(ctx)
	w.fails(6, login, "switched off", "sudo tailscale up")
	w.tailnet.Up(ctx)

	w.tailnet.SetKeyExpired(ctx, true)
	w.fails(6, login, "expired", "--force-reauth")
	w.tailnet.SetKeyExpired(ctx, false)
	w.tailnet.Up(ctx)

	w.tailnet.SetTags(ctx, "tag:server")
	w.fails(4, login, "tagged")
	w.tailnet.SetTags(ctx)

	w.tailnet.SetUnapproved(ctx, true)
	w.fails(6, login, "approval")
	w.tailnet.SetUnapproved(ctx, false)

	w.fails(6, `LEGER_TAILSCALE_SOCKET=/nowhere/tailscaled.sock `+login, "identity")
	w.tailnet.Logout(ctx)
	w.fails(6, login, "not signed in to Tailscale")
	w.tailnet.Up(ctx)
	w.sh(login)
}

func (w *world) serverTrouble() {
	w.t.Helper()
	ctx := w.t.Context()
	w.m.WriteFile(ctx, "/tmp/wrong-secret", strings.Repeat("not-the-secret-", 4))
	w.sh(`chmod 600 /tmp/wrong-secret && leger auth logout`) // a machine with its own key needs no secret
	w.fails(4, `LEGER_SHARED_SECRET_FILE=/tmp/wrong-secret leger auth login --no-browser`)
	w.sh(`printf too-short >/tmp/wrong-secret`)
	w.fails(2, `LEGER_SHARED_SECRET_FILE=/tmp/wrong-secret leger auth login --no-browser`, "32")
	w.sh(`cp ` + secretFile + ` /tmp/open-secret && chmod 644 /tmp/open-secret`)
	w.fails(2, `LEGER_SHARED_SECRET_FILE=/tmp/open-secret leger auth login --no-browser`, "chmod")
	w.sh(`leger auth login --no-browser`)
	w.fails(2, `leger --server http://example.com secrets list`, "http")

	w.server.Stop(ctx)
	w.fails(8, `leger secrets list`, "did not answer")
	w.fails(8, `leger secrets sync`, "did not answer")
	w.fails(8, `leger deploy install --release my-web --yes`, "did not answer")
	w.fails(8, `leger auth login --no-browser`, "did not answer")
	if got := w.sh(`podman secret inspect --showsecret --format '{{.SecretData}}' api_key | wc -c`); got != canaryBytes {
		w.t.Errorf("with the server away the secret has %s bytes", got)
	}
	w.startServer()

	w.fails(3, `leger secrets get no_such_secret`)
	w.fails(3, `leger releases show no-such-release`)
	w.fails(3, `leger deploy install --release no-such-release --yes`)
}

func (w *world) inputTrouble() {
	w.t.Helper()
	w.fails(2, `echo -n v | leger secrets set -- '-x'`, "not a secret name")
	w.fails(2, `echo -n v | leger secrets set 'a b'`, "not a secret name")
	w.fails(2, `leger secrets set empty </dev/null`, "empty")
	w.fails(2, `head -c 70000 /dev/zero | tr '\0' x | leger secrets set big`, "65536")
	w.fails(2, `printf '\xff\xfe' | leger secrets set binary`, "UTF-8")
	for _, url := range []string{
		"--upload-pack=touch /tmp/pwned", "ext::sh -c 'touch /tmp/pwned'", "https://alice:pw@example.com/x",
		"file:///etc", "http://example.com/x", "https://example.com/$(touch /tmp/pwned)", "git@-oProxyCommand=x:y",
	} {
		w.fails(2, `leger releases create bad --git-url="`+strings.ReplaceAll(url, `$`, `\$`)+`"`)
	}
	w.fails(2, `leger releases create bad --git-url=https://example.com/x --git-branch=--upload-pack=x`, "branch")
	w.fails(2, `leger releases create bad --git-url=https://example.com/x --git-path=../../etc`, "subdirectory")
	w.fails(2, `leger frobnicate`)
	if got := w.run(`ls /tmp/pwned`); got.Code == 0 {
		w.t.Error("something was executed")
	}
}

// release makes a repository with these files and a release of it.
func (w *world) release(name string, files map[string]string) {
	w.t.Helper()
	w.git.Commit(w.t.Context(), name, "main", files)
	w.api(http.MethodPost, "/api/releases", map[string]string{"name": name, "git_url": w.git.URL + "/" + name + ".git"})
}

func install(name string) string { return `leger deploy install --release ` + name + ` --yes` }

func (w *world) repositoryTrouble() {
	w.t.Helper()
	ctx := w.t.Context()
	w.api(http.MethodPost, "/api/releases", map[string]string{"name": "gone", "git_url": w.git.URL + "/gone.git"})
	w.fails(3, install("gone"), "gone.git")

	w.git.Commit(ctx, "private/box", "main", webQuadlet("api_key"))
	w.api(http.MethodPost, "/api/releases", map[string]string{"name": "private", "git_url": w.git.URL + "/private/box.git"})
	w.fails(4, install("private"), "credentials")

	w.release("other-branch", webQuadlet("api_key"))
	id := w.releaseID("other-branch")
	w.api(http.MethodPut, "/api/releases/"+id, map[string]string{"git_branch": "no-such-branch"})
	w.fails(3, install("other-branch"), "no-such-branch")

	w.release("no-quadlets", map[string]string{"README.md": "nothing to run\n"})
	w.fails(2, install("no-quadlets"), "quadlet")

	w.api(http.MethodPost, "/api/releases", map[string]string{"name": "nobody-there", "git_url": "http://127.0.0.1:1/x.git"})
	got := w.run(install("nobody-there"))
	if got.Code == 0 || !strings.Contains(got.Stderr, "hint: ") {
		w.t.Errorf("a host that does not answer: %s", got)
	}

	w.release("symlink", webQuadlet("api_key"))
	w.sh(`cd ~/git-work/symlink && ln -s /etc/passwd stolen.conf && git add -A &&
		git -c user.name=rig -c user.email=rig@example.org commit -qm link && git push -q origin HEAD:main`)
	w.fails(2, install("symlink"), "stolen.conf")
}

func (w *world) releaseID(name string) string {
	w.t.Helper()
	list, err := json.Marshal(w.api(http.MethodGet, "/api/releases?name="+name, nil))
	if err != nil {
		w.t.Fatal(err)
	}
	var out struct{ Releases []struct{ ID string } }
	if err := json.Unmarshal(list, &out); err != nil || len(out.Releases) != 1 {
		w.t.Fatalf("release %s: %s", name, list)
	}
	return out.Releases[0].ID
}

func (w *world) quadletTrouble() {
	w.t.Helper()
	files := webQuadlet("api_key")
	files["web.container"] = strings.Replace(files["web.container"], "Pull=never", "Pull=never\nPublishPrt=1:1", 1)
	w.release("unknown-key", files)
	w.fails(2, install("unknown-key"), "web.container:7", "PublishPrt", "PublishPort")

	w.release("missing-secret", webQuadlet("api_key", "nobody_made_me", "nor_me"))
	w.fails(3, install("missing-secret"), "nobody_made_me", "nor_me")

	// A unit that ends at once: everything is put back, and the last line says so.
	files = webQuadlet("api_key")
	files["web.container"] = strings.Replace(files["web.container"], "Pull=never", "Pull=never\nExec=serve -exit-after 100ms", 1)
	w.release("dies", files)
	w.fails(7, install("dies"), "web.service")

	// A file of the user's own is not overwritten.
	w.sh(`mkdir -p ~/.config/containers/systemd && printf '[Container]\nImage=x\n' > ~/.config/containers/systemd/web.container`)
	w.release("clash", webQuadlet("api_key"))
	w.fails(5, install("clash"), "web.container")
	w.sh(`rm ~/.config/containers/systemd/web.container && systemctl --user daemon-reload`)

	// Something risky, nobody there to ask, and no --yes.
	files = webQuadlet("api_key")
	files["web.container"] = strings.Replace(files["web.container"], "Pull=never", "Pull=never\nPodmanArgs=--privileged", 1)
	w.release("risky", files)
	w.fails(2, `leger deploy install --release risky </dev/null`, "PodmanArgs", "--yes")
}

func (w *world) machineTrouble() {
	w.t.Helper()
	w.release("works", webQuadlet("api_key"))

	// Podman absent, then too old.
	root := rig.Opts{As: "root"}
	ctx := w.t.Context()
	w.sh(`systemctl --user stop podman.service podman.socket`)
	w.m.Must(ctx, root, "mv", "/usr/bin/podman", "/usr/bin/podman.away")
	w.fails(6, install("works"), "podman", "install")
	w.m.Must(ctx, root, "sh", "-c", `printf '#!/bin/sh\necho 4.3.1\n' >/usr/bin/podman && chmod 755 /usr/bin/podman`)
	w.fails(6, install("works"), "4.3.1")
	if got := w.run(`leger doctor`); got.Code != 6 || !strings.Contains(got.Stdout+got.Stderr, "4.3.1") {
		w.t.Errorf("doctor with an old Podman: %s", got)
	}
	w.m.Must(ctx, root, "mv", "/usr/bin/podman.away", "/usr/bin/podman")
	// systemd gives a socket up whose service ends again and again, for a while.
	rig.Eventually(w.t, 30*time.Second, "Podman's socket answers again", func(ctx context.Context) error {
		got := w.m.Run(ctx, rig.Opts{}, "sh", "-c", `systemctl --user reset-failed podman.socket podman.service
			systemctl --user start podman.socket && podman --url unix:///run/user/1000/podman/podman.sock version`)
		if got.Code != 0 {
			return errors.New(got.String())
		}
		return nil
	})

	// legerd stopped: its socket starts it again. Its socket gone too: said.
	w.sh(`systemctl --user stop legerd.service`)
	w.sh(`leger secrets sync`)
	w.sh(`systemctl --user stop legerd.service legerd.socket && systemctl --user mask --runtime legerd.socket legerd.service && rm -rf /tmp/alone && mkdir /tmp/alone && cp $(command -v leger) /tmp/alone/`)
	w.fails(6, `PATH=/usr/sbin:/sbin:/tmp/alone:/usr/bin LEGERD_SOCKET=/tmp/none.sock /tmp/alone/leger secrets sync`, "legerd")
	w.sh(`systemctl --user unmask --runtime legerd.socket legerd.service && systemctl --user start legerd.socket && leger secrets sync`)

	// No session bus.
	w.fails(6, `env -u DBUS_SESSION_BUS_ADDRESS XDG_RUNTIME_DIR=/nowhere LEGERD_SOCKET=/run/user/1000/leger/legerd.sock leger deploy install --release works --yes`)

	out := w.show(`leger doctor; true`)
	for _, part := range []string{"Tailscale", "Podman", "legerd", "git"} {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(part)) {
			w.t.Errorf("doctor says nothing about %s", part)
		}
	}
}

// diskTrouble: nothing is half-written on a full disk, and everything works again
// once there is space.
func (w *world) diskTrouble() {
	w.t.Helper()
	ctx := w.t.Context()
	root := rig.Opts{As: "root"}
	w.api(http.MethodPost, "/api/secrets/api_key", map[string]string{"value": canaryNew})
	w.m.Must(ctx, root, "sh", "-c", `mkdir -p /mnt/full && mount -t tmpfs -o size=64k,uid=1000,gid=1000,mode=700 tmpfs /mnt/full`)
	w.sh(`systemctl --user stop legerd.service legerd.socket; cp -a ~/.local/share/legerd /tmp/legerd-data 2>/dev/null || cp -a ~/.local/share/leger/legerd /tmp/legerd-data; cp -a /tmp/legerd-data/. /mnt/full/; head -c 100000 /dev/zero > /mnt/full/filler 2>/dev/null; true`)
	daemon := w.m.StartUnit(ctx, rig.Unit{
		Name: "legerd-full", ByUser: true, Type: "notify",
		Command: []string{"legerd", "--socket", "/run/user/1000/legerd-full.sock", "--data", "/mnt/full"},
	})
	got := w.run(`LEGERD_SOCKET=/run/user/1000/legerd-full.sock leger secrets sync`)
	if got.Code == 0 || !strings.Contains(got.Stderr, "hint: ") {
		w.t.Errorf("a sync onto a full disk: %s", got)
	}
	if out := w.sh(`podman secret inspect --showsecret --format '{{.SecretData}}' api_key | wc -c`); out != canaryBytes {
		w.t.Errorf("the old value is gone: %s bytes", out)
	}
	w.sh(`rm /mnt/full/filler`)
	w.sh(`LEGERD_SOCKET=/run/user/1000/legerd-full.sock leger secrets sync`)
	if out := w.sh(`podman secret inspect --showsecret --format '{{.SecretData}}' api_key | wc -c`); out != canaryNewBytes {
		w.t.Errorf("with space again the new value is not there: %s bytes", out)
	}
	daemon.Stop(ctx)
	w.m.Must(ctx, root, "umount", "/mnt/full")
	w.sh(`systemctl --user start legerd.socket && leger secrets sync`)
}

// interrupted: Ctrl-C in the middle of a sync and of an install stops at a safe
// point with 130, and the next run finishes.
func (w *world) interrupted() {
	w.t.Helper()
	list := make([]map[string]string, 200)
	for i := range list {
		list[i] = map[string]string{"name": "many_" + strings.Repeat("x", i%20) + string(rune('a'+i/20)), "value": "v"}
	}
	w.api(http.MethodPost, "/api/secrets:batch", map[string]any{"secrets": list})
	// Once the first of them is there, SIGINT, as the terminal sends it.
	got := w.run(`leger secrets sync & pid=$!
		until podman secret exists many_a || ! kill -0 $pid 2>/dev/null; do :; done
		kill -INT $pid 2>/dev/null; wait $pid`)
	w.t.Logf("interrupted sync: exit code %d\n%s", got.Code, got.Stderr)
	if got.Code != 130 && got.Code != 0 {
		w.t.Errorf("an interrupted sync ends with %d", got.Code)
	}
	w.sh(`leger secrets sync`)
	if out := w.sh(`podman secret ls --noheading | grep -c many_`); out != "200" {
		w.t.Errorf("after the next sync Podman has %s of 200", out)
	}

	files := webQuadlet("api_key")
	// Never healthy: the install waits until it is interrupted.
	files["web.container"] = strings.Replace(files["web.container"], "Pull=never",
		"Pull=never\nExec=serve -unhealthy\nHealthCmd=[\"/leger-e2e\", \"get\"]\nHealthInterval=1s\nNotify=healthy", 1)
	files["web.container"] += "\n[Service]\nTimeoutStartSec=300\n"
	w.release("waits", files)
	got = w.run(install("waits") + ` & pid=$!
		until [ "$(systemctl --user is-active web.service)" = activating ] || ! kill -0 $pid 2>/dev/null; do :; done
		kill -INT $pid 2>/dev/null; wait $pid`)
	w.t.Logf("interrupted install: exit code %d\n%s", got.Code, got.Stderr)
	if got.Code != 130 {
		w.t.Errorf("an interrupted install ends with %d", got.Code)
	}
	w.git.Commit(w.t.Context(), "waits", "main", webQuadlet("api_key"))
	w.sh(install("waits"))
	if got := w.container("/env/API_KEY"); got != canaryNew {
		w.t.Error("after the next install the container does not hold the key")
	}
	w.sh(`leger deploy remove waits --yes`)
}

// otherUser: another account of the same machine gets at nothing.
func (w *world) otherUser() {
	w.t.Helper()
	ctx := w.t.Context()
	other := rig.Opts{As: rig.OtherUser, Env: []string{"LEGERD_SOCKET=/run/user/1000/leger/legerd.sock"}, Output: w.seen}
	for _, command := range []string{
		"leger secrets sync", "cat /run/user/1000/leger/legerd.sock", "ls /run/user/1000/leger",
		"cat " + secretFile, "cat " + rig.Home + "/.local/share/leger/auth.json", "cat " + serverData + "/leger.db",
	} {
		if got := w.m.Run(ctx, other, "sh", "-c", command); got.Code == 0 {
			w.t.Errorf("another user can: %s", command)
		}
	}
}
