package deploy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
)

func v2(t testing.TB) deploy.Request {
	t.Helper()
	return request(t, "App", "c2", "web.container", webV2, "data.volume", volume, "new.container", dbV1)
}

func TestAFirstInstall(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	plan, err := e.Prepare(t.Context(), v1(t))
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	out, err := e.Apply(t.Context(), plan.WithConsent(deploy.ConsentFlag), func(ev deploy.Event) { steps = append(steps, string(ev.Step)+" "+ev.Unit) })
	if err != nil {
		t.Fatal(err)
	}
	if out.Unchanged || out.Generation.Number != 1 || !slices.Equal(out.Started, []string{"db.service", "web.service"}) {
		t.Errorf("outcome %+v", out)
	}
	if got := strings.Join(slices.Compact(steps), ", "); got != "record , files , reload , start db.service, start web.service, wait db.service, wait web.service" {
		t.Errorf("steps: %s", got)
	}
	d, err := e.Status(t.Context(), releaseName(t, "app"))
	if err != nil || !d.Healthy() || d.Release != "App" || d.Generation.Source.Commit != "c1" {
		t.Errorf("status %+v, %v", d, err)
	}
}

func TestTheSameAgainDoesNothing(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	if _, err := install(t.Context(), e, v1(t)); err != nil {
		t.Fatal(err)
	}
	m.calls = nil
	out, err := install(t.Context(), e, v1(t))
	if err != nil || !out.Unchanged || out.Generation.Number != 1 {
		t.Errorf("outcome %+v, %v", out, err)
	}
	if i := slices.IndexFunc(m.calls, func(c string) bool { return c != "read" && c != "states" && c != "dependents" && c != "containers" }); i >= 0 {
		t.Errorf("it did %s", m.calls[i])
	}
}

func TestAnUpdateTouchesWhatChanged(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	for _, req := range []deploy.Request{
		v1(t), request(t, "App", "c2", "web.container", webV2, "data.volume", volume, "db.container", dbV1),
	} {
		m.calls = nil
		if _, err := install(t.Context(), e, req); err != nil {
			t.Fatal(err)
		}
	}
	if slices.Contains(m.calls, "stop db.service") || !slices.Contains(m.calls, "stop web.service") {
		t.Errorf("calls %v", m.calls)
	}
	if m.content["web.service"] != webV2 || m.content["db.service"] != dbV1 {
		t.Errorf("running:\n%s", m.running())
	}
}

func TestADriftedFileIsMended(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	if _, err := install(t.Context(), e, v1(t)); err != nil {
		t.Fatal(err)
	}
	m.files["/q/db.container"] = "edited"
	delete(m.files, "/q/data.volume")
	d, err := e.Status(t.Context(), releaseName(t, "App"))
	want := []deploy.FileChange{{Path: "data.volume", Action: deploy.Drop}, {Path: "db.container", Action: deploy.Change}}
	if diff := cmp.Diff(want, d.Drift); err != nil || diff != "" || d.Healthy() {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	if _, err := install(t.Context(), e, v1(t)); err != nil {
		t.Fatal(err)
	}
	if m.files["/q/db.container"] != dbV1 || m.files["/q/data.volume"] != volume {
		t.Errorf("installed:\n%s", m.running())
	}
}

// The ways in which a unit does not come up, and what the user reads.
func TestAUnitThatDoesNotComeUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		breakIt func(*machine)
		unit    string
		says    string
	}{
		"fails at once": {func(m *machine) {
			m.broken["web.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 125}
		}, "web.service", "exit-code, exit code 125"},
		"crashes again and again": {func(m *machine) { m.crashes["web.service"] = 10 }, "web.service", "restarted"},
		"ends by itself":          {func(m *machine) { m.ends["db.service"] = true }, "db.service", "ended right after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, dir := newMachine("key"), t.TempDir()
			e := m.engine(dir)
			c.breakIt(m)
			_, err := install(t.Context(), e, v1(t))
			var failure *deploy.UnitFailure
			if !errors.Is(err, leger.ErrUnhealthy) || !errors.As(err, &failure) || failure.State.Name != c.unit || len(failure.Journal) != 2 {
				t.Fatalf("got %v (%+v)", err, failure)
			}
			for _, part := range []string{c.unit, c.says, "its files were removed again", "the reason"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if got := m.running(); got != "" {
				t.Errorf("left behind:\n%s", got)
			}
			if _, err := e.Status(t.Context(), releaseName(t, "App")); !errors.Is(err, leger.ErrNotFound) {
				t.Errorf("status: %v, want not_found", err)
			}
		})
	}
}

// The container of a pod fails because the pod does: the pod is named.
func TestTheUnitToBlameIsNamed(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.broken["a.service"] = leger.UnitState{ActiveState: "inactive", Result: "success"}
	m.needs = map[string][]string{"a.service": {"p-pod.service"}}
	m.fault = func(_ int, name string, after bool) error {
		if name == "start a.service" && !after { // systemd starts the pod first
			pod := m.units["p-pod.service"]
			pod.ActiveState, pod.SubState, pod.Result, pod.ExecMainStatus = "activating", "auto-restart", "exit-code", 125
		}
		return nil
	}
	_, err := install(t.Context(), m.engine(t.TempDir()), request(t, "App", "c", "p.pod", "[Pod]\n", "a.container", "[Container]\nImage=x:1\nPod=p.pod\n"))
	var failure *deploy.UnitFailure
	if !errors.As(err, &failure) || failure.State.Name != "p-pod.service" || !strings.Contains(err.Error(), "p-pod.service did not come up (exit-code, exit code 125)") {
		t.Errorf("got %v", err)
	}
}

func TestOneRestartIsForgiven(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	m.crashes["web.service"] = 2
	if _, err := install(t.Context(), m.engine(t.TempDir()), v1(t)); err != nil {
		t.Error(err)
	}
}

func TestAUnitThatHangsIsNotWaitedForForever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMachine("key")
		m.broken["web.service"] = leger.UnitState{ActiveState: "activating", Job: "queued"}
		e := deploy.New(deploy.Config{
			StateDir: t.TempDir(), Installers: []deploy.Installer{installer{m, "podman", true}}, Units: m, Secrets: m, StartTimeout: time.Minute,
		})
		_, err := install(t.Context(), e, v1(t))
		if !errors.Is(err, leger.ErrUnhealthy) || !strings.Contains(err.Error(), "web.service did not come up (not within 1m0s") || m.running() != "" {
			t.Errorf("got %v, left behind:\n%s", err, m.running())
		}
	})
}

func TestWhatWasThereComesBack(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	if _, err := install(t.Context(), e, v1(t)); err != nil {
		t.Fatal(err)
	}
	before := m.running()
	m.broken["new.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
	_, err := install(t.Context(), e, v2(t))
	if !errors.Is(err, leger.ErrUnhealthy) || !strings.Contains(err.Error(), "generation 1 is installed again") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, m.running()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	d, err := e.Status(t.Context(), releaseName(t, "App"))
	if err != nil || !d.Healthy() || d.Generation.Number != 1 {
		t.Errorf("status %+v, %v", d, err)
	}
}

func TestWhatIsNotOursIsNeverTouched(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	m.files["/q/db.container"] = "[Container]\nImage=mine:1\n"
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := install(t.Context(), e, request(t, "Other", "c", "web.container", dbV1)); err != nil {
		t.Fatal(err)
	}
	before := m.running()
	m.calls = nil
	_, err := install(t.Context(), e, v1(t))
	for _, part := range []string{"db.container: a unit db.service", "the release Other has a unit web.service", "Other has installed a file"} {
		if !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want a conflict with %q", err, part)
		}
	}
	if diff := cmp.Diff(before, m.running()); diff != "" || slices.Contains(m.calls, "install") {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestAllMissingSecretsAreNamedBeforeAnythingChanges(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	_, err := install(t.Context(), e, request(t, "App", "c", "a.container", "[Container]\nImage=x:1\nSecret=one\nSecret=two,type=env\n"))
	if !errors.Is(err, leger.ErrNotFound) || !strings.Contains(err.Error(), "one") || !strings.Contains(err.Error(), "two") || len(m.files) != 0 {
		t.Errorf("got %v", err)
	}
}

// generator is Podman's check with a fixed verdict.
type generator []leger.Problem

func (g generator) Generate(context.Context, map[string][]byte) (map[string][]byte, []leger.Problem, error) {
	return nil, g, nil
}

func TestPodmansGeneratorHasTheLastWordOnKeys(t *testing.T) {
	t.Parallel()
	future := request(t, "App", "c", "a.container", "[Container]\nImage=x:1\nFutureKey=1\n")
	for name, c := range map[string]struct {
		says deploy.Generator
		req  deploy.Request
		want []string
	}{
		"accepts":       {generator(nil), future, nil},
		"knows neither": {generator{{File: "a.container", Message: "unsupported key"}}, future, []string{`"FutureKey" is not a key of [Container]`}},
		"is not there":  {nil, future, []string{`"FutureKey" is not a key of [Container]`}},
		"finds more":    {generator{{File: "a.container", Message: "bad port"}}, request(t, "App", "c", "a.container", "[Container]\nImage=x:1\n"), []string{"bad port"}},
	} {
		m := newMachine()
		e := deploy.New(deploy.Config{StateDir: t.TempDir(), Installers: []deploy.Installer{installer{m, "podman", true}}, Units: m, Generator: c.says})
		plan, err := e.Prepare(t.Context(), c.req)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range plan.Refusals {
			got = append(got, r.Text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAPlanThatIsNoLongerTrueIsNotApplied(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	plan, err := e.Prepare(t.Context(), v1(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := install(t.Context(), e, v2(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(t.Context(), plan.WithConsent(deploy.ConsentFlag), nil); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("got %v, want conflict", err)
	}
	if _, err := e.Apply(t.Context(), deploy.Plan{}, nil); err == nil {
		t.Error("a plan of nobody's was applied")
	}
}

func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	m, dir := newMachine("key"), t.TempDir()
	e, other := m.engine(dir), m.engine(dir)
	plan, err := e.Prepare(t.Context(), v1(t))
	if err != nil {
		t.Fatal(err)
	}
	plan = plan.WithConsent(deploy.ConsentFlag)
	var second error
	_, err = e.Apply(t.Context(), plan, func(ev deploy.Event) {
		if ev.Step == deploy.StepFiles {
			_, second = other.Apply(t.Context(), plan, nil)
		}
	})
	if err != nil || !errors.Is(second, leger.ErrConflict) {
		t.Errorf("first %v, second %v; want nil and conflict", err, second)
	}
}

func TestPodsAndOneshots(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	req := request(t, "App", "c", "p.pod", "[Pod]\n", "a.container", "[Container]\nImage=x:1\nPod=p.pod\n", "job.container", "[Container]\nImage=x:1\n[Service]\nType=oneshot\n")
	out, err := install(t.Context(), e, req)
	if err != nil || !slices.Equal(out.Started, []string{"a.service", "job.service", "p-pod.service"}) {
		t.Fatalf("outcome %+v, %v", out, err)
	}
	if out, err = install(t.Context(), e, req); err != nil || !out.Unchanged {
		t.Errorf("again: %+v, %v; a job that is done is not done again", out, err)
	}
}

// A pod of nothing but jobs ends with the last of them, and that is no failure; one
// with anything else in it has to stay up. TestMachineAPodOfJobs asks the real Podman.
func TestAPodOfJobsEndsWithThem(t *testing.T) {
	t.Parallel()
	const pod, inPod, job = "[Pod]\n", "[Container]\nImage=x:1\nPod=p.pod\n", "[Service]\nType=oneshot\n"
	for _, c := range []struct {
		b  string // beside a job
		up bool
	}{{inPod + job, true}, {inPod, false}} {
		m := newMachine()
		m.ends["p-pod.service"] = true
		e := m.engine(t.TempDir())
		_, err := install(t.Context(), e, request(t, "App", "c", "p.pod", pod, "a.container", inPod+job, "b.container", c.b))
		if up := err == nil; up != c.up {
			t.Errorf("with %q: %v", c.b, err)
		}
		if d, err := e.Status(t.Context(), releaseName(t, "App")); c.up && (err != nil || !d.Healthy()) {
			t.Errorf("with %q: %+v, %v", c.b, d.Units, err)
		}
	}
}

func TestTheRecordsAreTheUsersAlone(t *testing.T) {
	t.Parallel()
	m, dir := newMachine("key"), filepath.Join(t.TempDir(), "state")
	if _, err := install(t.Context(), m.engine(dir), v1(t)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRecordsOfAnotherFormatAreLeftAlone(t *testing.T) {
	t.Parallel()
	m, dir := newMachine("key"), t.TempDir()
	e := m.engine(dir)
	if _, err := install(t.Context(), e, v1(t)); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "app", "generations", "1", "manifest.json")
	for content, want := range map[string]*leger.Error{`{"format": 2}`: leger.ErrConflict, "garbage": leger.ErrInternal} {
		if err := os.WriteFile(manifest, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Prepare(t.Context(), v2(t)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %s", content, err, want.Code)
		}
	}
}

func TestASetWithoutQuadletsIsRefused(t *testing.T) {
	t.Parallel()
	m := newMachine()
	req := deploy.Request{Release: releaseName(t, "App"), Set: quadlet.LoadFiles(nil)}
	if _, err := install(t.Context(), m.engine(t.TempDir()), req); !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("got %v, want invalid_request", err)
	}
}
