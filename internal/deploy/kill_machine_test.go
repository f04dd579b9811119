//go:build machine

package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/safefile"
)

// killer ends this process as kill -9 does, right after the n-th thing that it
// did to the machine.
type killer struct {
	at   int64
	done atomic.Int64
}

func (k *killer) count() {
	if k.done.Add(1) == k.at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
}

type deadlyInstaller struct {
	deploy.Installer
	k *killer
}

func (d deadlyInstaller) Install(ctx context.Context, app string, files map[string]leger.File) error {
	defer d.k.count()
	return d.Installer.Install(ctx, app, files)
}

func (d deadlyInstaller) Remove(ctx context.Context, app string, files []string) error {
	defer d.k.count()
	return d.Installer.Remove(ctx, app, files)
}

type deadlyUnits struct {
	deploy.Units
	k *killer
}

func (d deadlyUnits) Reload(ctx context.Context) error {
	defer d.k.count()
	return d.Units.Reload(ctx)
}

func (d deadlyUnits) Start(ctx context.Context, unit string) error {
	defer d.k.count()
	return d.Units.Start(ctx, unit)
}

func (d deadlyUnits) Stop(ctx context.Context, units ...string) error {
	defer d.k.count()
	return d.Units.Stop(ctx, units...)
}

// deadlyEngine is everything real, with the records in dir; k nil: it lives.
func deadlyEngine(t *testing.T, dir string, k *killer) *deploy.Engine {
	t.Helper()
	p := openParts(t)
	cfg := p.config(dir)
	cfg.DataDir, cfg.Settle = dataBase(), 200*time.Millisecond
	// These measure and kill what Leger does; each check would be 20 ms of Podman's own.
	cfg.Generator = nil
	if k != nil {
		cfg.Installers = []deploy.Installer{deadlyInstaller{p.quadlets, k}, deadlyInstaller{deploy.NewDirectory(p.root, safefile.Disk{}), k}}
		cfg.Units = deadlyUnits{p.units, k}
	}
	return deploy.New(cfg)
}

const plain = "[Container]\n" + image + "[Install]\nWantedBy=default.target\n"

// killedRelease is a release with or without files that its container may write;
// those are Git's, and what the container wrote beside them is nobody's but its own.
func killedRelease(t *testing.T, withData bool, commit string, pairs ...string) deploy.Request {
	t.Helper()
	req := request(t, "leger-app", commit)
	files := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		if withData || !strings.HasPrefix(pairs[i], "data/") {
			files[pairs[i]] = []byte(pairs[i+1])
		}
	}
	options := quadlet.Options{}
	if withData {
		options.Data = deploy.DataDir(dataBase(), req.Release)
		files["leger-a.container"] = append(files["leger-a.container"], "[Container]\nVolume=./data:/data\n"...)
	}
	req.Set = quadlet.LoadFilesWith(files, options)
	return req
}

// The update changes one unit, drops one, adds one and renames one; of the data it
// changes one file, drops one and adds one.
func killedFrom(t *testing.T, withData bool) deploy.Request {
	t.Helper()
	return killedRelease(t, withData, "c1", "leger-a.container", plain, "leger-b.container", plain+"# b\n", "leger-n.container", plain+"# n\n",
		"data/config", "1\n", "data/old", "1\n")
}

func killedTo(t *testing.T, withData bool) deploy.Request {
	t.Helper()
	return killedRelease(t, withData, "c2", "leger-a.container", plain+"# changed\n", "leger-c.container", plain+"# c\n", "leger-m.container", plain+"# n\n",
		"data/config", "2\n", "data/new", "2\n")
}

// TestMachineKilledChild is the process that is killed.
func TestMachineKilledChild(t *testing.T) {
	dir := os.Getenv("LEGER_TEST_STATE")
	if dir == "" {
		return // it is for TestMachineKilledAfterEveryStep alone
	}
	at, err := strconv.ParseInt(os.Getenv("LEGER_TEST_KILL_AT"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	k := &killer{at: at}
	e := deadlyEngine(t, dir, k)
	plan, err := e.Prepare(t.Context(), killedTo(t, os.Getenv("LEGER_TEST_DATA") != ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(t.Context(), plan.WithConsent(deploy.ConsentFlag), func(deploy.Event) { k.count() }); err != nil {
		t.Fatal(err)
	}
}

// onMachine is all that Leger may have left: quadlets, units that are loaded, and
// containers that run.
func onMachine(t *testing.T) string {
	t.Helper()
	quadlets, _ := filepath.Glob(filepath.Join(os.Getenv("HOME"), ".config", "containers", "systemd", "*"))
	for i := range quadlets {
		quadlets[i] = filepath.Base(quadlets[i])
	}
	res, err := run.New(run.Config{}).Run(t.Context(), run.Command{
		Path: "systemctl", Args: []string{"--user", "list-units", "--all", "--plain", "--no-legend", "--type=service", "leger-*"}, Env: run.MinimalEnv(os.LookupEnv),
	})
	if err != nil {
		t.Fatal(err)
	}
	var units []string
	for line := range strings.Lines(string(res.Stdout)) {
		units = append(units, strings.Join(strings.Fields(line)[:4], " "))
	}
	slices.Sort(units)
	return fmt.Sprintf("quadlets %v\nunits %v\ncontainers %v\ndata %q", quadlets, units, containers(t), dataOnMachine(t))
}

// dataOnMachine gives what is in the release's data directory, by path.
func dataOnMachine(t *testing.T) map[string]string {
	t.Helper()
	dir, all := deploy.DataDir(dataBase(), releaseName(t, "leger-app")), map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// kill -9 after every step of an update on the real Podman and systemd. A second
// run ends in the new state, a rollback in the old one, and nothing else of
// Leger's is on the machine.
func TestMachineKilledAfterEveryStep(t *testing.T) {
	for name, withData := range map[string]bool{"quadlets": false, "with data that containers write": true} {
		t.Run(name, func(t *testing.T) { killAfterEveryStep(t, withData) })
	}
}

func killAfterEveryStep(t *testing.T, withData bool) {
	dir := t.TempDir()
	e := deadlyEngine(t, dir, nil)
	name := releaseName(t, "leger-app")
	t.Cleanup(func() { _ = os.RemoveAll(deploy.DataDir(dataBase(), name)) })
	removeAtEnd(t, e)
	mustInstall(t, e, killedTo(t, withData))
	if withData { // what a container writes
		written := filepath.Join(deploy.DataDir(dataBase(), name), "data", "written")
		if err := os.WriteFile(written, []byte("by the container\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goal := onMachine(t)
	mustInstall(t, e, killedFrom(t, withData))
	start := onMachine(t)
	steps := 0
	for at := 1; ; at++ {
		finished := false
		ways := []bool{false, true}
		if withData { // the half is enough: what is done to the quadlets is the same
			ways = []bool{at%2 == 0}
		}
		for _, back := range ways {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMachineKilledChild$")
			child.Env = append(os.Environ(), "LEGER_TEST_STATE="+dir, fmt.Sprintf("LEGER_TEST_KILL_AT=%d", at))
			if withData {
				child.Env = append(child.Env, "LEGER_TEST_DATA=yes")
			}
			out, err := child.CombinedOutput()
			finished = err == nil
			if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) { //nolint:forcetypeassert // on Linux it is one
				t.Fatalf("step %d: %v\n%s", at, err, out)
			}
			if finished {
				break
			}
			want := goal
			if back {
				want = start
				// Where it was killed before it had begun, the old state is there.
				var d deploy.Deployment
				if d, err = e.Status(t.Context(), name); err == nil && d.Interrupted {
					_, err = rollbackOf(t, e, name, 0)
				}
			} else {
				_, err = install(t.Context(), e, killedTo(t, withData))
			}
			if err != nil {
				t.Fatalf("step %d, rollback %v: %v", at, back, err)
			}
			if got := onMachine(t); got != want {
				t.Errorf("step %d, rollback %v:\n%s\nwant:\n%s", at, back, got, want)
			}
			d, err := e.Status(t.Context(), name)
			if err != nil || !d.Healthy() {
				t.Errorf("step %d, rollback %v: status %+v, %v", at, back, d, err)
			}
			mustInstall(t, e, killedFrom(t, withData))
		}
		if finished {
			steps = at - 1
			break
		}
	}
	t.Logf("killed after each of %d steps", steps)
	if steps < 15 {
		t.Errorf("only %d steps: was it killed at all?", steps)
	}
}

func rollbackOf(t *testing.T, e *deploy.Engine, name leger.ReleaseName, number int) (deploy.Outcome, error) {
	t.Helper()
	plan, err := e.PrepareRollback(t.Context(), name, number)
	if err != nil {
		return deploy.Outcome{}, err
	}
	return e.Apply(t.Context(), plan, nil)
}

// Fifty units: what Leger adds to what Podman and systemd need themselves, side
// by side with podman quadlet install and systemctl start.
func TestMachineFiftyUnits(t *testing.T) {
	e := deadlyEngine(t, t.TempDir(), nil)
	pairs, units := []string{}, []string{}
	for n := range 50 {
		pairs = append(pairs, fmt.Sprintf("leger-%02d.container", n), plain+fmt.Sprintf("# %d\n", n))
		units = append(units, fmt.Sprintf("leger-%02d.service", n))
	}
	req := request(t, "leger-app", "c1", pairs...)
	for i := 0; i < len(pairs); i += 2 {
		pairs[i+1] += "# changed\n"
	}
	next := request(t, "leger-app", "c2", pairs...)
	var ours, plainly, plans []time.Duration
	for range 2 {
		ours = append(ours, timed(t, func() { mustInstall(t, e, req) }))
		if got := len(containers(t)); got != 50 {
			t.Fatalf("%d containers run", got)
		}
		plans = append(plans, timed(t, func() {
			if plan, err := e.Prepare(t.Context(), next); err != nil || len(plan.Changes.Units) != 50 {
				t.Errorf("%d units change, %v", len(plan.Changes.Units), err)
			}
		}))
		partsOfAPlan(t, req, units)
		if _, err := e.Remove(t.Context(), releaseName(t, "leger-app"), deploy.RemoveOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		plainly = append(plainly, plainInstall(t, req, units))
	}
	planned := slices.Min(plans)
	added := slices.Min(ours) - slices.Min(plainly)
	t.Logf("50 units: Leger %v, podman quadlet install + systemctl start %v; added %v; a plan that changes all took %v", ours, plainly, added, plans)
	if added > 5*time.Second || planned > 2*time.Second { // five times and more what is aimed at: a slow machine does not fail it
		t.Errorf("Leger adds %v, and plans in %v", added, planned)
	}
}

// partsOfAPlan tells where the time of a plan goes.
func partsOfAPlan(t *testing.T, req deploy.Request, units []string) {
	t.Helper()
	p := openParts(t)
	for name, do := range map[string]func() error{
		"systemd's states":    func() error { _, err := p.units.States(t.Context(), units...); return err },
		"Podman's containers": func() error { _, err := p.podman.Containers(t.Context()); return err },
		"Podman's images": func() error {
			_, err := p.podman.MissingImages(t.Context(), []string{"localhost/leger-e2e:latest"})
			return err
		},
		"the generator": func() error { _, err := p.quadlets.Check(t.Context(), req.Set.Files); return err },
	} {
		t.Logf("%s: %v", name, timed(t, func() {
			if err := do(); err != nil {
				t.Error(err)
			}
		}))
	}
}

func timed(t *testing.T, do func()) time.Duration {
	t.Helper()
	begun := time.Now()
	do()
	return time.Since(begun)
}

// plainInstall does by hand what Leger does, and takes it away again.
func plainInstall(t *testing.T, req deploy.Request, units []string) time.Duration {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "leger-plain")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range req.Set.Files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	by := func(program string, args ...string) {
		t.Helper()
		res, err := run.New(run.Config{}).Run(t.Context(), run.Command{Path: program, Args: args, Env: run.MinimalEnv(os.LookupEnv)})
		if err != nil || res.Code != 0 {
			t.Fatalf("%s %v: %v %s", program, args[:2], err, res.Stderr)
		}
	}
	took := timed(t, func() {
		by("podman", "quadlet", "install", dir)
		by("systemctl", append([]string{"--user", "start"}, units...)...)
	})
	by("systemctl", append([]string{"--user", "stop"}, units...)...)
	by("podman", "quadlet", "rm", "--force", ".leger-plain.app")
	return took
}
