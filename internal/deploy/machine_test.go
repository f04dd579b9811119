//go:build machine

package deploy_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/run"
)

// These run inside the test machine, as its user, one after the other, against
// the real Podman and systemd. The image localhost/leger-e2e must be there.

const image = "Image=localhost/leger-e2e:latest\nPull=never\n"

// ps gives the names of running containers, and podman's own view of volumes.
func ps(t *testing.T, args ...string) []string {
	t.Helper()
	res, err := run.New(run.Config{}).Run(t.Context(), run.Command{Path: "podman", Args: args, Env: run.MinimalEnv(os.LookupEnv)})
	if err != nil || res.Code != 0 {
		t.Fatalf("podman %v: %v %s", args, err, res.Stderr)
	}
	names := strings.Fields(string(res.Stdout))
	slices.Sort(names)
	return names
}

func containers(t *testing.T) []string { return ps(t, "ps", "--format", "{{.Names}}") }

func TestMachineInstallUpdateFailRemove(t *testing.T) {
	e := realEngine(t)
	web := "[Container]\n" + image + "Volume=leger-data.volume:/data\nEnvironment=A=1\nEnvironmentFile=leger.env\n[Install]\nWantedBy=default.target\n"
	first := request(t, "leger-app", "c1", "leger-web.container", web, "leger-data.volume", "[Volume]\n", "leger.env", "B=2\n")
	begin := time.Now()
	out, err := install(t.Context(), e, first)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("first install: %v", time.Since(begin))
	if out.Generation.Installer != "directory" || !slices.Equal(containers(t), []string{"systemd-leger-web"}) {
		t.Errorf("installed by %s, running %v", out.Generation.Installer, containers(t))
	}
	begin = time.Now()
	if out, err = install(t.Context(), e, first); err != nil || !out.Unchanged {
		t.Errorf("again: %+v, %v", out, err)
	}
	t.Logf("again: %v", time.Since(begin))

	// A container that fails at once: the first one is back.
	bad := request(t, "leger-app", "c2", "leger-web.container", strings.Replace(web, "A=1", "A=2", 1), "leger-data.volume", "[Volume]\n", "leger.env", "B=2\n",
		"leger-bad.container", "[Container]\nImage=localhost/leger-none:1\nPull=never\n[Install]\nWantedBy=default.target\n")
	_, err = install(t.Context(), e, bad)
	var failure *deploy.UnitFailure
	if !errors.Is(err, leger.ErrUnhealthy) || !errors.As(err, &failure) || failure.State.Name != "leger-bad.service" || failure.State.ExecMainStatus != 125 ||
		!strings.Contains(strings.Join(failure.Journal, "\n"), "leger-none") || !strings.Contains(err.Error(), "generation 1 is installed again") {
		t.Errorf("a bad one: %v (%+v)", err, failure)
	}
	d, err := e.Status(t.Context(), releaseName(t, "leger-app"))
	if err != nil || !d.Healthy() || d.Generation.Source.Commit != "c1" || !slices.Equal(containers(t), []string{"systemd-leger-web"}) {
		t.Errorf("after the bad one: %+v, %v, running %v", d, err, containers(t))
	}

	// With a drop-in and a subdirectory: Podman cannot install that, we can.
	second := request(t, "leger-app", "c3", "leger-web.container", web, "leger-data.volume", "[Volume]\n", "leger.env", "B=2\n",
		"leger-web.container.d/10-label.conf", "[Container]\nLabel=leger.test=yes\n", "more/leger-other.container", "[Container]\n"+image+"Volume=./conf:/conf:ro\n[Install]\nWantedBy=default.target\n", "more/conf/x", "x")
	if out, err = install(t.Context(), e, second); err != nil {
		t.Fatal(err)
	}
	if out.Generation.Installer != "directory" || !slices.Equal(containers(t), []string{"systemd-leger-other", "systemd-leger-web"}) ||
		!slices.Equal(ps(t, "ps", "--filter", "label=leger.test=yes", "--format", "{{.Names}}"), []string{"systemd-leger-web"}) {
		t.Errorf("second: installed by %s, running %v", out.Generation.Installer, containers(t))
	}

	removed, err := e.Remove(t.Context(), releaseName(t, "leger-app"), deploy.RemoveOptions{}, nil)
	if err != nil || !slices.Equal(removed.KeptVolumes, []string{"systemd-leger-data"}) {
		t.Errorf("removed %+v, %v", removed, err)
	}
	left, _ := filepath.Glob(filepath.Join(os.Getenv("HOME"), ".config", "containers", "systemd", "*leger*"))
	if len(containers(t)) != 0 || len(left) != 0 || !slices.Contains(ps(t, "volume", "ls", "--quiet"), "systemd-leger-data") {
		t.Errorf("left: %v, running %v, volumes %v", left, containers(t), ps(t, "volume", "ls", "--quiet"))
	}
	if _, err := install(t.Context(), e, first); err != nil { // so that the clean-up removes the volume
		t.Error(err)
	}
}

// A pod's first container is by default made with catatonit, which the machine
// may not have: the test's own image does as well.
func ownInfraContainer(t *testing.T, keep ...bool) {
	t.Helper()
	file := filepath.Join(os.Getenv("HOME"), ".config", "containers", "containers.conf.d", "leger-test.conf")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	// The kernel lets a user have 200 keyrings, and all machines share that user.
	text := "[containers]\nkeyring = false\n[engine]\ninfra_image = \"localhost/leger-e2e:latest\"\ninfra_command = \"/leger-e2e\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(keep) == 0 { // else it has to be there after a reboot
		t.Cleanup(func() { _ = os.Remove(file) })
	}
}

func TestMachineAPodAndAJob(t *testing.T) {
	ownInfraContainer(t)
	e := realEngine(t)
	req := request(t, "leger-app", "c1",
		"leger-p.pod", "[Pod]\nNetwork=leger-net.network\n", "leger-a.container", "[Container]\n"+image+"Pod=leger-p.pod\nExec=serve -listen :8081\n",
		"leger-net.network", "[Network]\n", "leger-job.container", "[Container]\n"+image+"Exec=get http://127.0.0.1:1/ || true\n[Service]\nType=oneshot\nSuccessExitStatus=1\n")
	if _, err := install(t.Context(), e, req); err != nil {
		t.Fatal(err)
	}
	if got := containers(t); !slices.Contains(got, "systemd-leger-a") {
		t.Errorf("running %v", got)
	}
	if out, err := install(t.Context(), e, req); err != nil || !out.Unchanged {
		t.Errorf("again: %+v, %v", out, err)
	}
}

// A pod of nothing but jobs ends with the last of them. It was said that it did not
// come up, and the installation was undone, although everything in it had ended as it
// should.
func TestMachineAPodOfJobs(t *testing.T) {
	ownInfraContainer(t)
	e := deploy.New(openParts(t).config(t.TempDir()))
	removeAtEnd(t, e)
	// The pod ends when no container of it runs, which may be before the second job is done.
	job := "[Container]\n" + image + "Pod=leger-p.pod\nExec=get http://127.0.0.1:1/ || true\n[Service]\nType=oneshot\nSuccessExitStatus=1 SIGTERM\n[Install]\nWantedBy=default.target\n"
	req := request(t, "leger-app", "c1", "leger-p.pod", "[Pod]\n", "leger-a.container", job, "leger-b.container", job)
	if _, err := install(t.Context(), e, req); err != nil {
		t.Fatal(err)
	}
	d, err := e.Status(t.Context(), releaseName(t, "leger-app"))
	if err != nil || !d.Healthy() {
		t.Errorf("status %+v, %v", d.Units, err)
	}
	for _, u := range d.Units {
		if u.State.ActiveState != "inactive" || u.State.Result != "success" {
			t.Errorf("%s did not end well: %+v", u.Service, u.State)
		}
	}
	if out, err := install(t.Context(), e, req); err != nil || !out.Unchanged {
		t.Errorf("again: %+v, %v", out, err)
	}
}

func TestMachineAForeignUnitIsLeftAlone(t *testing.T) {
	e := realEngine(t)
	file := filepath.Join(os.Getenv("HOME"), ".config", "containers", "systemd", "leger-web.container")
	if err := os.WriteFile(file, []byte("[Container]\n"+image), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
	_, err := install(t.Context(), e, request(t, "leger-app", "c1", "leger-web.container", "[Container]\n"+image))
	if !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), "leger-web.container") {
		t.Errorf("got %v, want conflict", err)
	}
}

// A template's default instance, and one that somebody has started, on the real
// systemd.
func TestMachineTemplates(t *testing.T) {
	e := realEngine(t)
	text := "[Container]\n" + image + "[Install]\nWantedBy=default.target\nDefaultInstance=a\n"
	if _, err := install(t.Context(), e, request(t, "leger-app", "c1", "leger-t@.container", text)); err != nil {
		t.Fatal(err)
	}
	d, u, err := e.Find(t.Context(), "leger-t@b")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.StartUnit(t.Context(), d, u, nil); err != nil {
		t.Fatal(err)
	}
	both := []string{"systemd-leger-t_a", "systemd-leger-t_b"}
	if got := containers(t); !slices.Equal(got, both) {
		t.Errorf("running %v, want %v", got, both)
	}
	before := ps(t, "ps", "--quiet")
	if _, err := install(t.Context(), e, request(t, "leger-app", "c2", "leger-t@.container", text+"# changed\n")); err != nil {
		t.Fatal(err)
	}
	if got := containers(t); !slices.Equal(got, both) {
		t.Errorf("after an update: running %v, want %v", got, both)
	}
	for _, id := range ps(t, "ps", "--quiet") {
		if slices.Contains(before, id) {
			t.Errorf("the container %s was not restarted", id)
		}
	}
	if _, err := e.Remove(t.Context(), releaseName(t, "leger-app"), deploy.RemoveOptions{}, nil); err != nil || len(containers(t)) != 0 {
		t.Errorf("%v, running %v", err, containers(t))
	}
}
