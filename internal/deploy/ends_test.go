package deploy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

// web is a quadlet that a boot starts.
const web = "[Container]\nImage=x:1\n[Install]\nWantedBy=default.target\n"

// An update of a unit that another one requires always failed: systemd stops the
// other one, too, and nobody started it again. The same goes for a unit of
// another release.
func TestWhatSystemdStopsAlongStartsAgain(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	needs := "[Unit]\nRequires=db.service\n" + web
	if _, err := install(t.Context(), e, request(t, "App", "c1", "db.container", web, "web.container", needs)); err != nil {
		t.Fatal(err)
	}
	if _, err := install(t.Context(), m.engine(t.TempDir()), request(t, "Other", "c1", "other.container", web)); err != nil {
		t.Fatal(err)
	}
	m.dependents = map[string][]string{"db.service": {"web.service", "other.service"}}
	m.calls = nil
	out, err := install(t.Context(), e, request(t, "App", "c2", "db.container", web+"# 2\n", "web.container", needs))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"db.service", "web.service", "other.service"} {
		if !slices.Contains(m.calls, "stop "+unit) || !slices.Contains(out.Started, unit) {
			t.Errorf("%s did not stop and start: %v", unit, m.calls)
		}
	}
	// The same when it fails: what stopped along runs again, whoever it belongs to.
	before := m.running()
	m.broken["db.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
	m.reloaded = func() {
		if strings.HasSuffix(m.files["/q/db.container"], "# 2\n") {
			delete(m.broken, "db.service")
		}
	}
	if _, err = install(t.Context(), e, request(t, "App", "c3", "db.container", web+"# 3\n", "web.container", needs)); !errors.Is(err, leger.ErrUnhealthy) {
		t.Fatalf("got %v", err)
	}
	if after := m.running(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// "leger deploy status" during an install said "interrupted", ended with 7 and
// reported a failure: the record of a deployment that runs looks like the record
// of one that was cut off.
func TestADeploymentThatRunsIsNotInterrupted(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	plan, err := e.Prepare(t.Context(), request(t, "App", "c1", "a.container", web))
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	_, err = e.Apply(t.Context(), plan.WithConsent(deploy.ConsentFlag), func(ev deploy.Event) {
		if ev.Step != deploy.StepReload {
			return
		}
		looked++
		d, err := e.Status(t.Context(), releaseName(t, "app"))
		if err != nil || !d.Running || d.Interrupted {
			t.Errorf("while it runs: %+v, %v", d, err)
		}
	})
	if err != nil || looked == 0 {
		t.Fatalf("%v, looked %d times", err, looked)
	}
	if d, err := e.Status(t.Context(), releaseName(t, "app")); err != nil || d.Running || d.Interrupted || !d.Healthy() {
		t.Errorf("when it is over: %+v, %v", d, err)
	}
}

// auto tried a commit that the installer did not take every quarter of an hour,
// and each time stopped and started everything.
func TestAnInstallerThatFailsIsRemembered(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"install", "reload"} {
		m := newMachine()
		e := m.engine(t.TempDir())
		if _, err := install(t.Context(), e, request(t, "App", "c1", "a.container", web)); err != nil {
			t.Fatal(err)
		}
		fails := 1
		m.fault = func(_ int, name string, after bool) error {
			if name == call && !after && fails > 0 {
				fails--
				return leger.Wrap(leger.CodeUnavailable, errInjected, "the %s went wrong", call)
			}
			return nil
		}
		bad := request(t, "App", "c2", "a.container", web+"# 2\n")
		if _, err := install(t.Context(), e, bad); !errors.Is(err, leger.ErrUnavailable) {
			t.Fatalf("%s: %v", call, err)
		}
		m.fault = nil
		bad.RefuseFailed = true
		if _, err := install(t.Context(), e, bad); !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), "went wrong") {
			t.Errorf("%s: it is tried again: %v", call, err)
		}
	}
}

// Neither the installer nor putting back works, as on a full disk. The commit is the one
// that failed, so nothing that runs by itself takes it up again; but the same command
// by hand goes on where it stopped, as its hint says, until the machine is in one state.
func TestACommitIsRememberedWhenPuttingBackFailsToo(t *testing.T) {
	t.Parallel()
	m, dir := newMachine(), t.TempDir()
	mustInstall(t, m.engine(dir), request(t, "App", "c1", "a.container", web))
	before := m.running()
	fails := 2
	m.fault = func(_ int, name string, after bool) error {
		if name == "install" && !after && fails > 0 {
			fails--
			return leger.Wrap(leger.CodeUnavailable, errInjected, "the disk is full")
		}
		return nil
	}
	bad := request(t, "App", "c2", "a.container", web+"# 2\n")
	bad.RefuseFailed = true
	if _, err := install(t.Context(), m.engine(dir), bad); !errors.Is(err, leger.ErrPartial) || fails != 0 {
		t.Fatalf("got %v, want that putting back failed", err)
	}
	plan, err := m.engine(dir).Prepare(t.Context(), bad)
	if err != nil || plan.FailedBefore == nil || plan.FailedBefore.Reason != "the disk is full" {
		t.Fatalf("remembered %+v, %v", plan.FailedBefore, err)
	}
	m.fault, fails = nil, 0
	m.broken["a.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
	m.reloaded = func() { // what was there before is well
		if m.files["/q/a.container"] == web {
			delete(m.broken, "a.service")
		}
	}
	if _, err := install(t.Context(), m.engine(dir), bad); !errors.Is(err, leger.ErrUnhealthy) || errors.Is(err, leger.ErrPartial) {
		t.Fatalf("got %v, want that it went on and what was before is back", err)
	}
	if diff := cmp.Diff(before, m.running()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if _, err := install(t.Context(), m.engine(dir), bad); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("it is whole again, and tried again: %v", err)
	}
}

// A commit that changes no file cannot be put back. That its unit did not come up is
// remembered all the same.
func TestACommitThatChangesNothingIsRemembered(t *testing.T) {
	t.Parallel()
	m, dir := newMachine(), t.TempDir()
	mustInstall(t, m.engine(dir), request(t, "App", "c1", "a.container", web))
	if err := m.Stop(t.Context(), "a.service"); err != nil {
		t.Fatal(err)
	}
	m.broken["a.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
	same := request(t, "App", "c2", "a.container", web)
	same.RefuseFailed = true
	if _, err := install(t.Context(), m.engine(dir), same); !errors.Is(err, leger.ErrUnhealthy) {
		t.Fatalf("got %v, want unhealthy", err)
	}
	if _, err := install(t.Context(), m.engine(dir), same); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("it is tried again: %v", err)
	}
}

// One repository holds several applications: that a commit has failed in one
// directory says nothing about another directory of it, or about a fork.
func TestAFailureBelongsToTheDirectoryOfARepository(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	bad := request(t, "App", "c1", "a.container", web)
	bad.Source.Path = "apps/one"
	m.broken["a.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
	if _, err := install(t.Context(), e, bad); !errors.Is(err, leger.ErrUnhealthy) {
		t.Fatalf("got %v", err)
	}
	// A first installation that fails leaves no release; this one is installed by then.
	delete(m.broken, "a.service")
	if _, err := install(t.Context(), e, request(t, "App", "c0", "b.container", web)); err != nil {
		t.Fatal(err)
	}
	m.broken["a.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
	if _, err := install(t.Context(), e, bad); !errors.Is(err, leger.ErrUnhealthy) {
		t.Fatalf("got %v", err)
	}
	bad.RefuseFailed = true
	if _, err := install(t.Context(), e, bad); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("the same again: %v, want conflict", err)
	}
	fork := bad
	fork.Source.URL = "https://example.com/fork"
	if _, err := install(t.Context(), e, fork); !errors.Is(err, leger.ErrUnhealthy) {
		t.Errorf("the same commit of a fork: %v, want that it is tried", err)
	}
	other := bad
	other.Source.Path = "apps/two"
	delete(m.broken, "a.service")
	if _, err := install(t.Context(), e, other); err != nil {
		t.Errorf("another directory: %v", err)
	}
}

// Somebody deleted a quadlet, systemd was reloaded, and the next commit dropped the
// quadlet, too: no file told of its unit any more, and it ran for ever.
func TestAUnitWithoutAFileStops(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	if _, err := install(t.Context(), e, request(t, "App", "c1", "a.container", web, "b.container", web)); err != nil {
		t.Fatal(err)
	}
	delete(m.files, "/q/b.container")
	if err := m.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := install(t.Context(), e, request(t, "App", "c2", "a.container", web)); err != nil {
		t.Fatal(err)
	}
	if got := m.running(); strings.Contains(got, "b.service") || !strings.Contains(got, "a.service runs") {
		t.Errorf("running:\n%s", got)
	}
}

// A unit that runs because something wants it stops when nothing does any more,
// also when its own file is the same: a boot would not start it either.
func TestAUnitThatNothingWantsAnyMoreStops(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	plain, wants := "[Container]\nImage=x:1\n", "[Unit]\nWants=b.service\n"+web
	if _, err := install(t.Context(), e, request(t, "App", "c1", "a.container", wants, "b.container", plain)); err != nil {
		t.Fatal(err)
	}
	if got := m.running(); !strings.Contains(got, "b.service runs") {
		t.Fatalf("running:\n%s", got)
	}
	if _, err := install(t.Context(), e, request(t, "App", "c2", "a.container", web, "b.container", plain)); err != nil {
		t.Fatal(err)
	}
	if got := m.running(); strings.Contains(got, "b.service runs") {
		t.Errorf("running:\n%s", got)
	}
}

// A commit that changes another part of the repository makes a generation with the
// same files: to go back to it did nothing, and said that it had.
func TestGoingBackSkipsWhatIsTheSame(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	for _, step := range [][2]string{{"c1", web}, {"c2", web + "# 2\n"}, {"c3", web + "# 2\n"}} {
		if _, err := install(t.Context(), e, request(t, "App", step[0], "a.container", step[1])); err != nil {
			t.Fatal(err)
		}
	}
	out, err := rollback(t.Context(), t, e, 0)
	if err != nil || out.Generation.Source.Commit != "c1" {
		t.Errorf("went back to %+v, %v", out.Generation.Source, err)
	}
}

// "web.service did not come up (it ended right after it was started)" and a journal
// that says "Dependency failed": which dependency, and why, was left to the reader.
func TestTheUnitThatReallyFailedIsNamed(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	m.needs = map[string][]string{"web.service": {"db.service", "data-volume.service"}}
	m.broken["web.service"] = leger.UnitState{ActiveState: "inactive", Result: "success"}
	m.broken["db.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 3}
	m.units["db.service"] = &leger.UnitState{Name: "db.service", LoadState: "loaded", ActiveState: "failed", Result: "exit-code", ExecMainStatus: 3}
	_, err := install(t.Context(), e, request(t, "App", "c1", "web.container", "[Unit]\nRequires=db.service\n"+web))
	want := "db.service did not come up (exit-code, exit code 3), and web.service needs it"
	if !errors.Is(err, leger.ErrUnhealthy) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "it says: first line | the reason") {
		t.Errorf("got %v, want %q", err, want)
	}
}

// "Its health check fails" did not say with what.
func TestAHealthCheckThatFailsIsQuoted(t *testing.T) {
	t.Parallel()
	m := newMachine()
	m.health["web.service"] = "unhealthy"
	_, err := install(t.Context(), m.engine(t.TempDir()), request(t, "App", "c1", "web.container", checked))
	if !errors.Is(err, leger.ErrUnhealthy) || !strings.Contains(err.Error(), "its health check fails") || !strings.Contains(err.Error(), "the check says: 503 not today") {
		t.Errorf("got %v", err)
	}
}

// A unit that nobody asked to stop was stopped by systemd along with one that it needs,
// while it started, and has been listed as failed since: nothing was wrong with it. One
// that had failed before stays so.
func TestWhatStoppedAlongHasNotFailed(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	called := "[Unit]\nRequires=web.service\n[Container]\nImage=x:1\n"
	files := []string{"web.container", web, "mail.container", called, "job.container", called}
	if _, err := install(t.Context(), e, request(t, "App", "c1", files...)); err != nil {
		t.Fatal(err)
	}
	failed := func(unit string) {
		u := m.units[unit]
		u.ActiveState, u.SubState, u.Result = "failed", "failed", "timeout"
	}
	failed("job.service")
	m.reloaded = func() { failed("mail.service") }
	files[1] = web + "# 2\n"
	if _, err := install(t.Context(), e, request(t, "App", "c2", files...)); err != nil {
		t.Fatal(err)
	}
	if mail, job := m.units["mail.service"].ActiveState, m.units["job.service"].ActiveState; mail != "inactive" || job != "failed" {
		t.Errorf("mail is %s, job is %s", mail, job)
	}
}
