//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

// unitFile is a quadlet of the test's image; lines go into [Container].
func unitFile(lines ...string) string {
	return "[Container]\nImage=" + rig.Image + "\nPull=never\n" + strings.Join(lines, "\n") + "\n[Install]\nWantedBy=default.target\n"
}

// shop is a release of three containers with a volume: web and db use a secret
// each, old none. Ports are their own: the machine's loopback is shared.
func shop() map[string]string {
	return map[string]string{
		"shop-web.container": unitFile("Secret=key_a,type=env,target=KEY_A", "PublishPort=127.0.0.1:8080:8080", "Volume=shop-data.volume:/data"),
		"shop-db.container":  unitFile("Secret=key_b,type=env,target=KEY_B"),
		"shop-old.container": unitFile(),
		"shop-data.volume":   "[Volume]\n",
		"README.md":          "# A shop\n",
	}
}

// changed gives the files with some replaced; "" drops one.
func changed(files map[string]string, pairs ...string) map[string]string {
	out := maps.Clone(files)
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(out, pairs[i])
		}
	}
	return out
}

// deployWorld is a world with two secrets and the release "shop".
func deployWorld(t *testing.T) (w *world, first string) {
	t.Helper()
	w = newWorld(t)
	w.open(w.login())
	for _, name := range []string{"key_a", "key_b"} {
		w.api(http.MethodPost, "/api/secrets/"+name, map[string]string{"value": "first value of " + name})
	}
	first = w.git.Commit(t.Context(), "shop", "main", shop())
	w.api(http.MethodPost, "/api/releases", map[string]string{"name": "shop", "git_url": w.git.URL + "/shop.git"})
	w.show(`leger deploy install --release shop --yes`)
	return w, first
}

// push makes these files the tip of the shop's branch.
func (w *world) push(files map[string]string) (commit string) {
	w.t.Helper()
	return w.git.Commit(w.t.Context(), "shop", "main", files)
}

// running maps the name of every running container to its id.
func (w *world) running() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(w.sh(`podman ps --no-trunc --format '{{.Names}} {{.ID}}'`)) {
		name, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[strings.TrimPrefix(name, "systemd-")] = id
	}
	return all
}

func (w *world) wantRunning(names ...string) {
	w.t.Helper()
	var got []string
	for name := range w.running() {
		got = append(got, name)
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		w.t.Errorf("running: %v, want %v", got, names)
	}
}

// mustSay is a command with an exit code, and what it says.
func (w *world) mustSay(code int, line string, wants ...string) {
	w.t.Helper()
	got := w.run(line)
	w.t.Logf("$ %s\n%s(exit code %d)", line, untold(got.Stdout+got.Stderr), got.Code)
	if got.Code != code {
		w.t.Errorf("exit code %d, want %d", got.Code, code)
	}
	for _, want := range wants {
		if !strings.Contains(got.Stdout+got.Stderr, want) {
			w.t.Errorf("it does not say %q", want)
		}
	}
}

// accounted is all of Leger's that is on the machine.
func (w *world) accounted() string {
	w.t.Helper()
	return w.sh(`cd ~/.config/containers/systemd && find . -type f | sort
		podman ps --all --format '{{.Names}} {{.State}}' | sort
		systemctl --user list-units --all --plain --no-legend --type=service 'shop-*' | awk '{print $1,$2,$3,$4}' | sort
		ls ~/.local/state/leger/deployments/shop | grep -v -e failed.json`)
}

// begun tells when a unit was last started.
func (w *world) begun(unit string) string {
	w.t.Helper()
	return w.sh(`systemctl --user show --property=InactiveExitTimestampMonotonic --value ` + unit)
}

// TestDeploy lives with a release on a real machine: what the engine promises,
// one after the other.
func TestDeploy(t *testing.T) {
	t.Parallel()
	w, _ := deployWorld(t)
	w.wantRunning("shop-web", "shop-db", "shop-old")
	second := changed(shop(), "shop-web.container", shop()["shop-web.container"]+"# second\n",
		"shop-old.container", "", "shop-new.container", unitFile("Label=a=b"),
		"shop-db.container", "", "shop-store.container", shop()["shop-db.container"])

	t.Run("update", func(t *testing.T) { w.For(t).updates(second) })
	t.Run("health", func(t *testing.T) { w.For(t).healthFails(second) })
	t.Run("rollback", func(t *testing.T) { w.For(t).rollsBack(second) })
	t.Run("drift", func(t *testing.T) { w.For(t).drifts() })
	t.Run("two releases", func(t *testing.T) { w.For(t).sideBySide() })
	t.Run("clash", func(t *testing.T) { w.For(t).clashes() })
	t.Run("rotation", func(t *testing.T) { w.For(t).rotates(second) })
	t.Run("auto", func(t *testing.T) { w.For(t).updatesByItself(second) })
	t.Run("disk", func(t *testing.T) { w.For(t).diskIsFull(second) })
	t.Run("limits", func(t *testing.T) { w.For(t).limits() })
	t.Run("services", func(t *testing.T) { w.For(t).services() })
	t.Run("validate", func(t *testing.T) { w.For(t).validates() })
	t.Run("removal", func(t *testing.T) { w.For(t).leavesNothing() })
}

// updates: a unit changes, one is dropped, one added, one renamed.
func (w *world) updates(second map[string]string) {
	w.t.Helper()
	w.push(second)
	w.mustSay(0, `leger deploy plan shop`, "change  shop-web.service", "remove  shop-old.service", "add     shop-new.service",
		"rename  shop-store.service (container), which was shop-db.service", "    +# second")
	w.mustSay(0, `leger deploy update shop --yes`, "shop is installed: generation 2")
	w.wantRunning("shop-web", "shop-new", "shop-store")
	w.mustSay(0, `leger deploy update shop`, "Nothing to do")
}

// healthFails: the health check of the new web never passes.
func (w *world) healthFails(second map[string]string) {
	w.t.Helper()
	before := w.running()
	bad := w.push(changed(second, "shop-web.container", unitFile("Secret=key_a,type=env,target=KEY_A", "PublishPort=127.0.0.1:8080:8080",
		"Volume=shop-data.volume:/data", "Exec=serve -unhealthy", `HealthCmd=["/leger-e2e", "get"]`, "HealthInterval=1s", "HealthRetries=2")))
	w.mustSay(7, `leger deploy update shop --yes`, "its health check fails", "generation 2 is installed again")
	w.wantRunning("shop-web", "shop-new", "shop-store")
	after := w.running()
	if after["shop-store"] != before["shop-store"] || after["shop-new"] != before["shop-new"] {
		w.t.Errorf("containers that did not change are others now: %v, were %v", after, before)
	}
	if got := w.container("/env/KEY_A"); got != "first value of key_a" {
		w.t.Error("web does not answer as before")
	}
	w.mustSay(0, `leger deploy status shop`, "is at commit "+bad[:12]+", which is not installed", "its health check fails")
	w.mustSay(5, `leger deploy update shop --yes`, "has failed on this machine", "--retry")

	// Notify=healthy: systemd would wait for a minute and a half, Podman knows at once.
	w.push(changed(second, "shop-web.container", unitFile("PublishPort=127.0.0.1:8080:8080", "Exec=serve -unhealthy",
		`HealthCmd=["/leger-e2e", "get"]`, "HealthInterval=1s", "HealthRetries=2", "Notify=healthy")))
	w.mustSay(7, `timeout 60 leger deploy update shop --yes`, "its health check fails", "generation 2 is installed again")
	// It dies a moment after it was started.
	w.push(changed(second, "shop-web.container", unitFile("Exec=serve -exit-after 300ms")))
	w.mustSay(7, `leger deploy update shop --yes`, "shop-web.service did not come up", "generation 2 is installed again")
	// It is healthy after a while, and says so to systemd.
	w.push(changed(second, "shop-web.container", unitFile("Secret=key_a,type=env,target=KEY_A", "PublishPort=127.0.0.1:8080:8080",
		"Volume=shop-data.volume:/data", `HealthCmd=["/leger-e2e", "get"]`, "HealthInterval=1s", "Notify=healthy")))
	w.mustSay(0, `leger deploy update shop --yes`, "generation")
	w.wantRunning("shop-web", "shop-new", "shop-store")
}

// rollsBack: by hand, with the repository gone and the server away.
func (w *world) rollsBack(second map[string]string) {
	w.t.Helper()
	w.sh(`mv ~/git/shop.git ~/git/gone.git`)
	w.mustSay(0, `LEGER_SERVER=http://127.0.0.1:1 leger deploy rollback shop`, "Going back to generation 2", "shop is installed: generation 2")
	w.mustSay(0, `leger deploy rollback shop 1`, "shop is installed: generation 1")
	w.wantRunning("shop-web", "shop-db", "shop-old")
	w.mustSay(0, `leger deploy status shop --history --offline`, "GENERATION", "current")
	w.sh(`mv ~/git/gone.git ~/git/shop.git`)
	w.push(second)
	w.sh(`cd ~/git-work/shop && git -c user.name=rig -c user.email=rig@example.org commit -q --amend --allow-empty -m forced && git push -q --force origin HEAD:main`)
	w.mustSay(0, `leger deploy update shop --yes`, "shop is installed")
	w.wantRunning("shop-web", "shop-new", "shop-store")
}

// drifts: files edited and removed by hand.
func (w *world) drifts() {
	w.t.Helper()
	w.sh(`cd ~/.config/containers/systemd && echo 'Label=by=hand' >> shop-new.container && rm shop-data.volume`)
	w.mustSay(7, `leger deploy status shop`, "shop-new.container was changed", "shop-data.volume is not there any more", "hint: ")
	w.mustSay(0, `leger deploy plan shop`, "shop-new.container: it was edited on this machine", "    -Label=by=hand", "mend    shop-data.volume")
	w.mustSay(0, `leger deploy install --release shop --yes`)
	w.mustSay(0, `leger deploy status shop`)
	w.sh(`systemctl --user stop shop-new.service`)
	w.mustSay(7, `leger deploy status shop`, "shop-new.service", "inactive")
	w.mustSay(0, `leger deploy install --release shop --yes`)
}

// sideBySide: another release, and everything that the two could take from each
// other.
func (w *world) sideBySide() {
	w.t.Helper()
	before := w.running()
	other := map[string]string{"other-web.container": unitFile("Exec=serve -listen :8081")}
	w.git.Commit(w.t.Context(), "other", "main", other)
	w.api(http.MethodPost, "/api/releases", map[string]string{"name": "other", "git_url": w.git.URL + "/other.git"})
	w.mustSay(0, `leger deploy install --release other --yes`)
	w.wantRunning("shop-web", "shop-new", "shop-store", "other-web")
	for name, c := range map[string]struct {
		files map[string]string
		says  string
	}{
		"the same file":             {changed(other, "shop-web.container", unitFile()), "the release shop has"},
		"the same unit":             {changed(other, "mine.container", unitFile("ServiceName=shop-web")), "the release shop has a unit shop-web.service already"},
		"the same container's name": {changed(other, "mine.container", unitFile("ContainerName=systemd-shop-web")), "the release shop has a container called systemd-shop-web"},
		"the same port":             {changed(other, "mine.container", unitFile("PublishPort=8080:8080")), "is taken by the container systemd-shop-web of shop-web.service"},
	} {
		w.t.Log(name)
		w.git.Commit(w.t.Context(), "other", "main", c.files)
		state := w.state()
		w.mustSay(5, `leger deploy update other --yes`, c.says, "nothing was changed")
		if after := w.state(); after != state {
			w.t.Errorf("something was changed:\n%s\nwas:\n%s", after, state)
		}
	}
	w.mustSay(0, `leger deploy remove other --yes`)
	after := w.running()
	for name, id := range before {
		if after[name] != id {
			w.t.Errorf("%s was restarted by what happened to the other release", name)
		}
	}
}

// clashes: names and ports that exist outside Leger.
func (w *world) clashes() {
	w.t.Helper()
	files := map[string]string{"clash.container": unitFile("PublishPort=127.0.0.1:8099:8080")}
	w.git.Commit(w.t.Context(), "clash", "main", files)
	w.api(http.MethodPost, "/api/releases", map[string]string{"name": "clash", "git_url": w.git.URL + "/clash.git"})
	refused := func(wants ...string) {
		w.t.Helper()
		w.fails(5, `leger deploy install --release clash --yes`, append(wants, "nothing was changed")...)
	}
	w.sh(`mkdir -p ~/.config/systemd/user && printf '[Service]\nExecStart=/bin/sleep 1000\n' > ~/.config/systemd/user/clash.service && systemctl --user daemon-reload`)
	refused("a unit clash.service that Leger did not install")
	w.sh(`rm ~/.config/systemd/user/clash.service && systemctl --user daemon-reload`)
	w.sh(`podman run --detach --name systemd-clash --network none --pull never ` + rig.Image)
	refused("a container called systemd-clash that Leger did not make")
	w.sh(`podman rm --force --time 1 systemd-clash`)
	listener := w.m.StartUnit(w.t.Context(), rig.Unit{Name: "listener", ByUser: true, Command: []string{"leger-e2e", "serve", "-listen", "127.0.0.1:8099"}})
	w.sh(`until leger-e2e get http://127.0.0.1:8099/healthz; do :; done`)
	refused("port 8099 (tcp) is taken by the program leger-e2e")
	listener.Stop(w.t.Context())
	w.git.Commit(w.t.Context(), "clash", "main", map[string]string{"clash.container": strings.Replace(unitFile(), rig.Image, "localhost/nobody-has-it:1", 1)})
	w.fails(6, `leger deploy install --release clash --yes`, "the image localhost/nobody-has-it:1 is not on this machine")
	// Two at once: one is refused.
	w.git.Commit(w.t.Context(), "clash", "main", map[string]string{"clash.container": unitFile()})
	out := w.sh(`leger deploy install --release clash --yes & first=$!
		until [ -e ~/.local/state/leger/deployments/clash/pending.json ]; do :; done
		leger deploy remove shop --yes; echo "second: $?"; wait $first; echo "first: $?"`)
	if !strings.Contains(out, "second: 5") || !strings.Contains(out, "first: 0") {
		w.t.Errorf("two at once: %s", out)
	}
	w.sh(`leger deploy remove clash --yes`)
}

// rotates: a changed secret restarts exactly what uses it; a value that does not
// work is taken back.
func (w *world) rotates(second map[string]string) {
	w.t.Helper()
	w.push(changed(second, "shop-web.container", unitFile("Secret=key_a,type=env,target=KEY_A", "PublishPort=127.0.0.1:8080:8080",
		"Volume=shop-data.volume:/data", "Exec=serve -refuse KEY_A=bad")))
	w.mustSay(0, `leger deploy update shop --yes`)
	units := []string{"shop-web.service", "shop-store.service", "shop-new.service"}
	times := func() (all []string) {
		for _, u := range units {
			all = append(all, w.begun(u))
		}
		return all
	}
	before := times()
	w.mustSay(0, `leger secrets sync --restart`)
	if now := times(); !slices.Equal(now, before) {
		w.t.Errorf("nothing had changed, and something was restarted: %v, was %v", now, before)
	}
	w.api(http.MethodPost, "/api/secrets/key_a", map[string]string{"value": "second value"})
	w.sh(`leger secrets sync`)
	w.mustSay(0, `leger deploy status shop --offline`, "shop-web.service runs with an older value of the secret key_a")
	w.mustSay(0, `leger secrets sync --restart`, "Restarted: shop-web.service.")
	now := times()
	if now[0] == before[0] || now[1] != before[1] || now[2] != before[2] {
		w.t.Errorf("%v were started at %v, and before at %v", units, now, before)
	}
	if got := w.container("/env/KEY_A"); got != "second value" {
		w.t.Error("the container does not have the new value")
	}
	w.api(http.MethodPost, "/api/secrets/key_a", map[string]string{"value": "bad"})
	w.mustSay(7, `leger secrets sync --restart`, "it runs again with the former value of the secret")
	if got := w.container("/env/KEY_A"); got != "second value" {
		w.t.Error("the container does not have the former value again")
	}
	if last := times(); last[1] != before[1] || last[2] != before[2] {
		w.t.Error("a unit that does not use the secret was restarted")
	}
	// What was taken back stays out, and trying it again loses nothing.
	w.mustSay(0, `leger secrets sync`, "version 3 is held back")
	if got := w.container("/env/KEY_A"); got != "second value" {
		w.t.Error("a later sync brought the value again that was taken back")
	}
	w.mustSay(7, `leger secrets sync --restart --retry`, "it runs again with the former value of the secret")
	if got := w.container("/env/KEY_A"); got != "second value" {
		w.t.Error("the container does not have the former value after another try")
	}
	w.api(http.MethodPost, "/api/secrets/key_a", map[string]string{"value": "third value"})
	w.mustSay(0, `leger secrets sync --restart`)
}

// updatesByItself: what systemd's timer starts updates what moved on.
func (w *world) updatesByItself(second map[string]string) {
	w.t.Helper()
	w.mustSay(0, `leger deploy auto on shop --every 1h`, "updated by itself")
	w.mustSay(0, `systemctl --user list-timers --no-pager leger-deploy-auto.timer`, "leger-deploy-auto.timer")
	w.timerFires(second)
	commit := w.push(changed(second, "shop-new.container", unitFile("Label=by=itself")))
	w.sh(`systemctl --user start leger-deploy-auto.service`)
	w.mustSay(0, `leger deploy list`, commit[:12], "healthy")
	// A new risk is left to the user.
	risky := w.push(changed(second, "shop-new.container", unitFile("PodmanArgs=--log-level=info")))
	w.sh(`systemctl --user start leger-deploy-auto.service
		for i in $(seq 100); do
			journalctl --user --no-pager --unit=leger-deploy-auto.service --lines=30 | grep -q 'needs your consent: PodmanArgs' && exit 0; read -rt 0.1 <> <(:)
		done; exit 1`)
	w.mustSay(0, `leger deploy list`, commit[:12])
	w.mustSay(0, `leger deploy status shop`, "the branch has moved on to commit "+risky[:12])
	// What fails is rolled back, and tried once.
	w.push(changed(second, "shop-new.container", unitFile("Exec=serve -exit-after 2s")))
	if got := w.run(`systemctl --user start leger-deploy-auto.service`); got.Code == 0 {
		w.t.Error("the service does not say that the update failed")
	}
	w.mustSay(0, `leger deploy list`, commit[:12], "healthy")
	w.mustSay(0, `systemctl --user start leger-deploy-auto.service`)
	w.mustSay(0, `leger deploy auto off shop`)
	if got := w.sh(`ls ~/.config/systemd/user/leger-deploy-auto.* 2>/dev/null || true`); got != "" {
		w.t.Errorf("the timer is left: %s", got)
	}
}

// timerFires: nobody but the timer, whose hours are made seconds, starts the update.
func (w *world) timerFires(second map[string]string) {
	w.t.Helper()
	const dropIn = `~/.config/systemd/user/leger-deploy-auto.timer.d`
	commit := w.push(changed(second, "shop-new.container", unitFile("Label=by=timer")))
	w.sh(`mkdir -p ` + dropIn + ` && cat >` + dropIn + `/soon.conf <<-'END'
		[Timer]
		OnActiveSec=
		OnUnitInactiveSec=
		OnActiveSec=1s
		RandomizedDelaySec=0
		AccuracySec=100ms
		END
		systemctl --user daemon-reload && systemctl --user restart leger-deploy-auto.timer
		for i in $(seq 600); do
			leger deploy list | grep -q ` + commit[:12] + ` && ! systemctl --user -q is-active leger-deploy-auto.service && exit 0; read -rt 0.1 <> <(:)
		done
		journalctl --user --no-pager --unit=leger-deploy-auto --lines=20 >&2; exit 1`)
	w.mustSay(0, `leger deploy list`, commit[:12], "healthy")
	w.sh(`rm -r ` + dropIn + ` && systemctl --user daemon-reload && systemctl --user restart leger-deploy-auto.timer`)
}

// diskIsFull: neither a full disk of the records nor of the quadlets leaves
// anything half done.
func (w *world) diskIsFull(second map[string]string) {
	w.t.Helper()
	ctx, root := w.t.Context(), rig.Opts{As: "root"}
	w.push(changed(second, "shop-new.container", unitFile("Label=disk=full"), "shop-big.container", unitFile("# "+strings.Repeat("x", 30000))))
	for _, dir := range []string{rig.Home + "/.local/state/leger/deployments", rig.Home + "/.config/containers/systemd"} {
		before := w.accounted()
		w.m.Must(ctx, root, "sh", "-c", `cp -a "$0" /tmp/kept && mount -t tmpfs -o size=2m,uid=1000,gid=1000,mode=700 tmpfs "$0" && cp -a /tmp/kept/. "$0" && head -c 4000000 /dev/zero > "$0/.filler" 2>/dev/null; true`, dir)
		got := w.run(`leger deploy update shop --yes`)
		w.t.Logf("with no space in %s:\n%s(exit code %d)", dir, got.Stderr, got.Code)
		if got.Code == 0 || !strings.Contains(got.Stderr, "hint: ") {
			w.t.Errorf("no space in %s: exit code %d", dir, got.Code)
		}
		w.sh(`rm ` + dir + `/.filler`)
		if after := w.accounted(); after != before {
			w.t.Errorf("something was left half done:\n%s\nwas:\n%s", after, before)
		}
		w.mustSay(0, `leger deploy status shop --offline`)
		w.m.Must(ctx, root, "sh", "-c", `rm -rf /tmp/now && cp -a "$0" /tmp/now && umount "$0" && find "$0" -mindepth 1 -delete && cp -a /tmp/now/. "$0" && rm -rf /tmp/kept`, dir)
		w.sh(`systemctl --user daemon-reload`)
	}
	w.mustSay(0, `leger deploy update shop --yes --retry`)
	w.wantRunning("shop-web", "shop-new", "shop-store", "shop-big")
}

func (w *world) limits() {
	w.t.Helper()
	w.git.Commit(w.t.Context(), "huge", "main", map[string]string{"huge.container": unitFile()})
	w.sh(`cd ~/git-work/huge && for i in $(seq 2000); do echo $i > file-$i; done && git add -A &&
		git -c user.name=rig -c user.email=rig@example.org commit -qm many && git push -q origin HEAD:main`)
	w.fails(2, `leger deploy install --release huge --source `+w.git.URL+`/huge.git --yes`, "more than 1000 files")
	w.tooVast()
	// Lingering off is said before anything happens, and is no error.
	root := rig.Opts{As: "root"}
	w.m.Must(w.t.Context(), root, "mv", "/var/lib/systemd/linger/"+rig.User, "/tmp/linger")
	w.sh(`systemctl --user stop shop-new.service`)
	w.mustSay(0, `USER=`+rig.User+` leger deploy install --release shop --yes`, "your services stop when you log out", "loginctl enable-linger")
	w.m.Must(w.t.Context(), root, "mv", "/tmp/linger", "/var/lib/systemd/linger/"+rig.User)
}

// tooVast: a repository over the limit is refused, and what had come is gone. The
// fixture is a quarter above the limit: with a gigabyte the machine was too slow at
// making it whenever something else ran. It gets its own deadline for that.
func (w *world) tooVast() {
	w.t.Helper()
	w.git.Commit(w.t.Context(), "vast", "main", map[string]string{"vast.container": unitFile()})
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Minute)
	defer cancel()
	w.m.Must(ctx, rig.Opts{}, "bash", "-c", `cd ~/git-work/vast && head -c 320M /dev/urandom > blob && export GIT_DIR=~/git/vast.git GIT_WORK_TREE=$PWD &&
		git config core.compression 0 && git config core.bare false && git add -A &&
		git -c user.name=rig -c user.email=rig@example.org commit -qm vast && git config core.bare true && rm blob`)
	const used = `du -scm ~/.cache ~/.local/state ~/.config /tmp 2>/dev/null | tail -1 | cut -f1`
	before := w.sh(used)
	w.fails(2, `leger deploy install --release vast --source `+w.git.URL+`/vast.git --yes`, "larger than 256 MiB")
	if after := w.sh(used); after != before {
		w.t.Errorf("%s MB are in use, and were %s before", after, before)
	}
	w.sh(`rm -rf ~/git/vast.git ~/git-work/vast`)
}

func (w *world) services() {
	w.t.Helper()
	w.mustSay(0, `leger service list`, "shop-web.service", "shop")
	w.mustSay(0, `leger service restart shop-new`, "shop-new.service is up again")
	w.mustSay(0, `leger service stop shop-new`)
	w.mustSay(7, `leger service status shop-new`, "inactive")
	w.mustSay(0, `leger service start shop-new`)
	w.mustSay(3, `leger service stop legerd.service`, "Leger has installed no unit")
	w.mustSay(0, `leger deploy logs shop --since '1 hour ago'`, "shop-new")
	w.mustSay(0, `leger service logs shop-web -n 5 --json`, `"_PID"`)
	w.mustSay(0, `timeout --signal=INT 2 leger deploy logs shop -f; true`, "shop-")
}

// validates: the parser's, Podman's and systemd's words, each with file and line,
// and the plan of the same files says the same.
func (w *world) validates() {
	w.t.Helper()
	const service = "[Service]\n"
	for _, c := range []struct {
		name, web   string
		where, want string // of the problem; "": there is none
	}{
		{name: "good", web: unitFile() + service + "RestartSec=5\n"},
		{name: "own", web: unitFile("Volume=./wait.sh:/wait.sh:ro") + service + "ExecStartPre=%h/.config/containers/systemd/own.leger/wait.sh\n"},
		{"unknown", unitFile() + service + "RestartSex=5\n", "web.container:8: ", "RestartSex"},
		{"unparsed", unitFile() + service + "Restart=sometimes\n", "web.container: ", "Failed to parse Restart=sometimes"},
		{"program", unitFile() + service + "ExecStartPre=/none/x.sh\n", "web.container: ", "/none/x.sh is not executable"},
		{"parser", unitFile("PublishPrt=1"), "web.container:4: ", "PublishPrt"},
		{"generator", unitFile("Network=none.network"), "web.container", "none.network"},
	} {
		dir := rig.Home + "/check/" + c.name
		w.m.WriteTree(w.t.Context(), dir, map[string]string{
			c.name + "-good.container": unitFile(), "web.container": c.web, "wait.sh": "#!/bin/sh\n",
		})
		w.sh(`chmod +x ` + dir + `/wait.sh`)
		plan := `leger deploy plan ` + c.name + ` --source ` + dir
		if c.want == "" {
			w.mustSay(0, `leger validate `+dir, "2 quadlets, no problem")
			w.mustSay(0, plan, "Install "+c.name)
			continue
		}
		w.mustSay(2, `leger validate `+dir, c.where, "error: ", c.want)
		w.mustSay(2, plan, "error: "+c.where, c.want)
		w.mustSay(2, plan+` --json`, `"refusals": [`, c.want)
	}
}

// leavesNothing: after removal there is nothing but volumes.
func (w *world) leavesNothing() {
	w.t.Helper()
	w.sh(`leger deploy auto on shop`)
	w.mustSay(0, `leger deploy remove shop --yes`, "The volume systemd-shop-data stays")
	left := w.sh(`ls -A ~/.config/containers/systemd; podman ps -aq; ls -A ~/.local/state/leger/deployments | grep -v '^.lock$'
		systemctl --user list-units --all --plain --no-legend 'shop-*' 'leger-deploy-auto*'; ls ~/.config/systemd/user 2>/dev/null | grep leger-deploy; true`)
	if left != "" {
		w.t.Errorf("left behind:\n%s", left)
	}
	if got := w.sh(`podman volume ls --quiet`); got != "systemd-shop-data" {
		w.t.Errorf("volumes: %q", got)
	}
}

// TestKilledAtEveryStep kills leger with SIGKILL as it announces each step of an
// update. A second run ends in the new state, a rollback in the old one, and
// nothing of Leger's is on the machine that is not accounted for.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	w, first := deployWorld(t)
	start := w.accounted()
	newest := w.push(changed(shop(), "shop-web.container", shop()["shop-web.container"]+"# second\n",
		"shop-old.container", "", "shop-new.container", unitFile("Label=a=b")))
	w.mustSay(0, `leger deploy update shop --yes`)
	goal := w.accounted()
	back := fmt.Sprintf(`leger deploy install --release shop --commit %s --yes`, first)
	w.sh(back)
	steps := 0
	for n := 1; ; n++ {
		done := false
		// Where it was killed before it had begun, the old state is there.
		rollback := `if leger deploy status shop --offline --json | grep -q '"interrupted": true'; then leger deploy rollback shop; fi`
		for _, mend := range []string{`leger deploy update shop --yes`, rollback} {
			if done = !w.killAtStep(n); done {
				break
			}
			want := goal
			if mend == rollback {
				want = start
			}
			said := w.run(mend)
			if said.Code != 0 {
				t.Fatalf("step %d, then %s: %s", n, mend, said)
			}
			if got := w.accounted(); got != want {
				t.Errorf("step %d, then %s: %s\n%s\nwant:\n%s", n, mend, said, got, want)
			}
			w.sh(`leger deploy status shop --offline`)
			w.sh(back)
		}
		if done {
			break
		}
		steps = n
	}
	t.Logf("killed at each of %d steps on the way to %s, twice", steps, newest)
	if steps < 10 {
		t.Errorf("only %d steps: was it killed at all?", steps)
	}
}

// killAtStep runs an update and kills it when it announces its n-th step; false if
// it has not so many.
func (w *world) killAtStep(n int) bool {
	w.t.Helper()
	got := w.m.Run(context.WithoutCancel(w.t.Context()), rig.Opts{Output: w.seen}, "bash", "-c", fmt.Sprintf(`
		rm -f /tmp/said; mkfifo /tmp/said
		leger --verbose deploy update shop --yes 2>/tmp/said & pid=$!
		n=0
		while IFS= read -r line; do
			case "$line" in "recording "*|"stopping "*|"exchanging "*|"systemd reads"*|"starting "*|"  shop-"*".service is "*) n=$((n+1));; esac
			if [ $n = %d ]; then kill -9 $pid; echo "killed when it said: $line"; break; fi
		done </tmp/said
		wait $pid 2>/dev/null; echo "code $?"`, n))
	switch {
	case strings.Contains(got.Stdout, "code 137"):
		w.t.Logf("step %d: %s", n, strings.SplitN(got.Stdout, "\n", 2)[0])
		return true
	case strings.Contains(got.Stdout, "code 0"):
		return false
	default:
		w.t.Fatalf("step %d: %s", n, got)
		return false
	}
}
