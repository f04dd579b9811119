package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

func mustInstall(t *testing.T, e *deploy.Engine, req deploy.Request) deploy.Outcome {
	t.Helper()
	out, err := install(t.Context(), e, req)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRollbackBringsTheFormerGenerationBack(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	mustInstall(t, e, v1(t))
	first := m.running()
	mustInstall(t, e, v2(t))
	second := m.running()
	out, err := rollback(t.Context(), t, e, 0)
	if err != nil || out.Generation.Number != 1 || out.Generation.Source.Commit != "c1" {
		t.Fatalf("outcome %+v, %v", out, err)
	}
	if diff := cmp.Diff(first, m.running()); diff != "" {
		t.Errorf("-first +now:\n%s", diff)
	}
	all, current, err := e.Generations(releaseName(t, "App"))
	if err != nil || len(all) != 2 || current != 1 {
		t.Errorf("%d generations, current %d, %v", len(all), current, err)
	}
	// There is nothing before the first, and the second is there to go forward to.
	if _, err := rollback(t.Context(), t, e, 0); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("before the first: %v, want not_found", err)
	}
	if _, err := rollback(t.Context(), t, e, 7); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("to 7: %v, want not_found", err)
	}
	if _, err := rollback(t.Context(), t, e, 2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, m.running()); diff != "" {
		t.Errorf("-second +now:\n%s", diff)
	}
	// The next one gets a number that none has had.
	if out := mustInstall(t, e, request(t, "App", "c3", "db.container", dbV1)); out.Generation.Number != 3 {
		t.Errorf("generation %d, want 3", out.Generation.Number)
	}
}

// What was gone back from by hand does not come again by itself.
func TestRollbackIsRemembered(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	mustInstall(t, e, v1(t))
	mustInstall(t, e, v2(t))
	if _, err := rollback(t.Context(), t, e, 0); err != nil {
		t.Fatal(err)
	}
	careful := v2(t)
	careful.RefuseFailed = true
	if _, err := install(t.Context(), e, careful); !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), "you went back from it") {
		t.Errorf("got %v, want a conflict", err)
	}
	mustInstall(t, e, v2(t)) // somebody insists
	if failures, err := e.Failures(releaseName(t, "App")); err != nil || len(failures) != 0 {
		t.Errorf("still remembered: %+v, %v", failures, err)
	}
}

func TestABadCommitIsRemembered(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("first=%v", first), func(t *testing.T) {
			t.Parallel()
			m, dir := newMachine("key"), t.TempDir()
			if !first {
				mustInstall(t, m.engine(dir), v1(t))
			}
			before := m.running()
			m.broken["new.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
			if _, err := install(t.Context(), m.engine(dir), v2(t)); !errors.Is(err, leger.ErrUnhealthy) {
				t.Fatalf("got %v, want unhealthy", err)
			}
			delete(m.broken, "new.service")
			careful := v2(t)
			careful.RefuseFailed = true
			plan, err := m.engine(dir).Prepare(t.Context(), careful)
			if err != nil || plan.FailedBefore == nil || !strings.Contains(plan.FailedBefore.Reason, "new.service did not come up") {
				t.Fatalf("plan %+v, %v", plan.FailedBefore, err)
			}
			// The journal may hold anything; it is not kept.
			if strings.Contains(plan.FailedBefore.Reason, "the reason") {
				t.Errorf("the journal was written to disk: %s", plan.FailedBefore.Reason)
			}
			if _, err := install(t.Context(), m.engine(dir), careful); !errors.Is(err, leger.ErrConflict) {
				t.Errorf("got %v, want conflict", err)
			}
			if diff := cmp.Diff(before, m.running()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
			// Another commit with the same files is another try.
			again := careful
			again.Source.Commit = "c9"
			mustInstall(t, m.engine(dir), again)
		})
	}
}

// A cancelled or failed rollback loses no generation.
func TestAFailedRollbackKeepsAllGenerations(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	mustInstall(t, e, v1(t))
	mustInstall(t, e, v2(t))
	before := m.running()
	m.broken["db.service"] = leger.UnitState{ActiveState: "failed", Result: "exit-code", ExecMainStatus: 1}
	if _, err := rollback(t.Context(), t, e, 1); !errors.Is(err, leger.ErrUnhealthy) {
		t.Fatalf("got %v, want unhealthy", err)
	}
	if diff := cmp.Diff(before, m.running()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	delete(m.broken, "db.service")
	if _, err := rollback(t.Context(), t, e, 1); err != nil {
		t.Error(err)
	}
}

// When one unit does not come up, what did not change runs on, in the same
// containers.
func TestWhatDidNotChangeRunsOn(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	mustInstall(t, e, v1(t))
	m.calls = nil
	m.health["web.service"] = "unhealthy"
	bad := request(t, "App", "c2", "web.container", webV2, "data.volume", volume, "db.container", dbV1)
	if _, err := install(t.Context(), e, bad); !errors.Is(err, leger.ErrUnhealthy) {
		// The former one has the same check in this test, so it cannot come back either.
		t.Fatalf("got %v, want unhealthy", err)
	}
	for _, call := range m.calls {
		if call == "stop db.service" || call == "stop data-volume.service" {
			t.Errorf("it did %s", call)
		}
	}
}

// A first install or an update is killed at any call: rollback ends in what was
// there before it.
func TestKilledAndThenRolledBack(t *testing.T) {
	t.Parallel()
	for call := 1; call <= 60; call++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/after=%v", call, after), func(t *testing.T) {
				t.Parallel()
				m, dir := newMachine("key"), t.TempDir()
				mustInstall(t, m.engine(dir), v1(t))
				before := m.running()
				m.calls = nil
				m.kill(call, after, func() { _, _ = install(t.Context(), m.engine(dir), v2(t)) })
				d, err := m.engine(dir).Status(t.Context(), releaseName(t, "App"))
				if err != nil {
					t.Fatal(err)
				}
				if !d.Interrupted && d.Generation.Number == 1 && d.Healthy() {
					return // it was killed before it began
				}
				if _, err := rollback(t.Context(), t, m.engine(dir), 0); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(before, m.running()); diff != "" {
					t.Errorf("-before +after:\n%s", diff)
				}
				if d, err = m.engine(dir).Status(t.Context(), releaseName(t, "App")); err != nil || d.Interrupted || !d.Healthy() || d.Generation.Number != 1 {
					t.Errorf("status %+v, %v", d, err)
				}
			})
		}
	}
}

func TestOldGenerationsArePruned(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	for n := range 14 {
		mustInstall(t, e, request(t, "App", fmt.Sprintf("c%d", n), "db.container", dbV1+fmt.Sprintf("# %d\n", n)))
	}
	all, current, err := e.Generations(releaseName(t, "App"))
	if err != nil || len(all) != 10 || all[0].Number != 5 || current != 14 {
		t.Errorf("%d generations, current %d, %v", len(all), current, err)
	}
	// The current one is never pruned, however old it is.
	if _, err := rollback(t.Context(), t, e, 5); err != nil {
		t.Fatal(err)
	}
	if d, err := e.Status(t.Context(), releaseName(t, "App")); err != nil || d.Generation.Number != 5 || !d.Healthy() {
		t.Errorf("status %+v, %v", d, err)
	}
}

// Consent holds for the commit it was given to, and for later ones that bring
// nothing new.
func TestConsent(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	apply := func(req deploy.Request, how deploy.Consent) (deploy.Plan, error) {
		plan, err := e.Prepare(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if how != "" {
			plan = plan.WithConsent(how)
		}
		_, err = e.Apply(t.Context(), plan, nil)
		return plan, err
	}
	if _, err := apply(v1(t), ""); !errors.Is(err, leger.ErrInvalid) || len(m.files) != 0 {
		t.Errorf("without consent: %v, %d files", err, len(m.files))
	}
	if _, err := apply(v1(t), deploy.ConsentAsked); err != nil {
		t.Fatal(err)
	}
	// Another tag of an image whose tags are trusted; a risk on another line.
	next := request(t, "App", "c2", "web.container", "# moved\n"+webV2, "data.volume", volume, "db.container", dbV1)
	if plan, err := apply(next, ""); err != nil || len(plan.Changes.Risks) != 0 {
		t.Errorf("nothing new: %v, %v", plan.Changes.Risks, err)
	}
	risky := request(t, "App", "c3", "web.container", webV2+"[Service]\nExecStartPre=/bin/id\n", "data.volume", volume, "db.container", dbV1)
	plan, err := apply(risky, "")
	if !errors.Is(err, leger.ErrInvalid) || len(plan.Changes.Risks) != 1 || plan.Changes.Risks[0].Line == 0 {
		t.Errorf("a new risk: %v, %v", plan.Changes.Risks, err)
	}
	if _, err := apply(risky, deploy.ConsentFlag); err != nil {
		t.Fatal(err)
	}
	all, _, err := e.Generations(releaseName(t, "App"))
	if err != nil || len(all) != 3 || all[0].Consent != deploy.ConsentAsked || all[1].Consent != deploy.ConsentStanding || all[2].Consent != deploy.ConsentFlag {
		t.Errorf("recorded: %+v, %v", all, err)
	}
	// Going back asks nothing: it was agreed to when it was installed.
	if _, err := rollback(t.Context(), t, e, 1); err != nil {
		t.Error(err)
	}
}

// An edited file is told apart from one that only changed in the repository, and
// the diff shows what is lost.
func TestAnEditedFileIsSaidToBeOverwritten(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	mustInstall(t, e, v1(t))
	m.files["/q/db.container"] = dbV1 + "Environment=BY=hand\n"
	plan, err := e.Prepare(context.Background(), v2(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range plan.Files {
		if f.Edited != (f.Path == "db.container") {
			t.Errorf("%s: edited %v", f.Path, f.Edited)
		}
		if f.Path == "db.container" && !strings.Contains(f.Diff, "-Environment=BY=hand") {
			t.Errorf("the diff does not show what is lost:\n%s", f.Diff)
		}
	}
}

// A release of 50 quadlets is planned in well under 100 ms.
func BenchmarkPlan50(b *testing.B) {
	m, dir := newMachine(), b.TempDir()
	pairs := []string{}
	for n := range 50 {
		pairs = append(pairs, fmt.Sprintf("u%02d.container", n), fmt.Sprintf("[Container]\nImage=x:%d\nPublishPort=%d:80\n[Install]\nWantedBy=default.target\n", n, 8000+n))
	}
	e := m.engine(dir)
	if _, err := install(b.Context(), e, request(b, "App", "c1", pairs...)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Prepare(b.Context(), request(b, "App", "c2", pairs...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(time.Millisecond), "ms/plan")
}
