//go:build machine

package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

// These hold the promise "a deployment ends in the new state or the old one"
// against the real systemd and Podman, over random graphs of units. They are run
// by e2e's TestGraphs, which gives the numbers of the graphs and reboots the
// machine between the two tests.
//
//	LEGER_GRAPHS      numbers of the graphs, in words: "1 2 3"
//	LEGER_GRAPHS_DIR  where Leger's records are, and what has to be there after a reboot

// graphSeeds are the graphs that are asked for.
func graphSeeds(t *testing.T) (seeds []uint64, dir string) {
	t.Helper()
	for word := range strings.FieldsSeq(os.Getenv("LEGER_GRAPHS")) {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, n)
	}
	dir = os.Getenv("LEGER_GRAPHS_DIR")
	if len(seeds) == 0 || dir == "" {
		t.Fatal("LEGER_GRAPHS and LEGER_GRAPHS_DIR are not set: these are run by e2e's TestGraphs")
	}
	return seeds, dir
}

// graphEngine is everything real; each graph has records of its own, so that
// several can be deployed at once.
func graphEngine(t *testing.T, dir string) *deploy.Engine {
	t.Helper()
	cfg := openParts(t).config(dir)
	// A program may take a second to begin on a busy machine.
	cfg.StartTimeout, cfg.Settle = 90*time.Second, 2*time.Second
	return deploy.New(cfg)
}

// graphRun is the life of one graph.
type graphRun struct {
	t      *testing.T
	e      *deploy.Engine
	o      *observer
	seed   uint64
	events []string
}

func (r *graphRun) release() leger.ReleaseName {
	return releaseName(r.t, fmt.Sprintf("graph-%d", r.seed))
}

func (r *graphRun) apply(plan deploy.Plan) error {
	r.events = nil
	_, err := r.e.Apply(context.WithoutCancel(r.t.Context()), plan.WithConsent(deploy.ConsentFlag), func(e deploy.Event) {
		r.events = append(r.events, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", e.Step, e.Unit, e.State.ActiveState, e.State.SubState, e.Note)))
	})
	return err
}

// install asks again when the start of a unit failed with "protocol": on a busy
// machine Podman's message that a container runs reaches systemd at times after the
// process that sent it has ended, and is not taken. That is none of Leger's.
func (r *graphRun) install(g *graph, commit string) error {
	r.t.Helper()
	for tries := 1; ; tries++ {
		req := request(r.t, r.release().String(), commit, g.files()...)
		plan, err := r.e.Prepare(r.t.Context(), req)
		if errors.Is(err, leger.ErrUnavailable) && tries < 4 { // nothing was changed
			r.t.Logf("graph %d: again, Podman did not answer: %v", r.seed, err)
			continue
		}
		if err != nil {
			r.t.Fatalf("%s: prepare: %v", commit, err)
		}
		err = r.apply(plan)
		var failure *deploy.UnitFailure
		if errors.As(err, &failure) && failure.State.Result == "protocol" && tries < 4 {
			r.t.Logf("graph %d: again, systemd missed Podman's message: %v", r.seed, firstLine(err))
			continue
		}
		return err
	}
}

// fail tells everything that is needed to see what went wrong.
func (r *graphRun) fail(g *graph, format string, args ...any) {
	r.t.Helper()
	var files strings.Builder
	for _, m := range g.members {
		files.WriteString("--- " + m.file() + "\n" + m.text())
	}
	r.t.Fatalf("graph %d: %s\n%s--- what Leger did:\n%s\n--- the journal:\n%s",
		r.seed, fmt.Sprintf(format, args...), files.String(), strings.Join(r.events, "\n"), r.o.journal(r.seed))
}

// inNewState checks that the machine is as the graph says: the files are there,
// everything that a boot starts runs, made from the newest text, and nothing runs
// that neither a boot starts nor Leger has told about.
func (r *graphRun) inNewState(g *graph, when string) snapshot {
	r.t.Helper()
	now := r.o.calm(r.seed)
	var d deploy.Deployment
	r.o.until("the release is healthy "+when, func() string { // a job may be running again
		var err error
		if d, err = r.e.Status(r.t.Context(), r.release()); err != nil || !d.Healthy() {
			return fmt.Sprintf("%+v, %v", d.Units, err)
		}
		return ""
	})
	if len(now.Files) < len(g.members) {
		r.fail(g, "%s: files are missing: %v", when, now.Files)
	}
	for unit, state := range now.Units {
		if state != "active" {
			r.fail(g, "%s: %s is %s", when, unit, state)
		}
	}
	boots := r.o.boots(r.seed)
	for _, m := range g.members {
		state, booted := now.Units[m.service()], slices.Contains(boots, m.service())
		told := slices.ContainsFunc(d.Units, func(u deploy.UnitStatus) bool { return u.Service == m.service() && u.NotAtBoot })
		switch {
		case m.kind == aVolume, m.oneshot && !m.remains:
		case booted && state != "active":
			r.fail(g, "%s: a boot would start %s, and it is %q", when, m.service(), state)
		case m.runs() && state == "active" && !booted && !told && !slices.Contains(g.called(), m.service()):
			r.fail(g, "%s: %s runs, a boot would not start it, and nobody was told", when, m.service())
		case booted && told:
			r.fail(g, "%s: it is told that %s does not start at boot, but it does", when, m.service())
		}
		if m.kind == aContainer && !m.oneshot && state == "active" {
			if got, want := now.Containers["systemd-"+m.name], fmt.Sprintf("running %d", m.version); got != want {
				r.fail(g, "%s: the container of %s is %q, want %q", when, m.name, got, want)
			}
		}
	}
	return now
}

// live brings the graph through its life.
func (r *graphRun) live(dir string) {
	first := newGraph(r.seed)
	if err := r.install(first, "c1"); err != nil {
		r.fail(first, "the first install: %v", err)
	}
	before := r.inNewState(first, "after the first install")

	bad, culprit, how := first.worse(2)
	err := r.install(bad, "c2")
	r.t.Logf("graph %d: %d units; then %s, which %s: %v", r.seed, len(first.members), culprit.service(), how, firstLine(err))
	if err == nil {
		d, statusErr := r.e.Status(r.t.Context(), r.release())
		if statusErr != nil || slices.ContainsFunc(d.Units, func(u deploy.UnitStatus) bool { return u.Service == culprit.service() && u.Run }) {
			r.fail(bad, "%s %s, and the update succeeded (%v)", culprit.service(), how, statusErr)
		}
		before = r.o.calm(r.seed)
	} else {
		if errors.Is(err, leger.ErrPartial) {
			r.fail(bad, "%s %s, and what was there could not be put back: %v", culprit.service(), how, err)
		}
		if diff := r.o.becomes(r.seed, before, bad.called()...); diff != "" {
			r.fail(bad, "%s %s: %v\nand the machine is not as before: -before +after\n%s", culprit.service(), how, err, diff)
		}
	}
	from := before

	next := first.better(3)
	if err := r.install(next, "c3"); err != nil {
		r.fail(next, "an update: %v", err)
	}
	r.inNewState(next, "after an update")
	if r.seed%2 == 0 { // one half goes back, the other half is what boots
		plan, err := r.e.PrepareRollback(r.t.Context(), r.release(), 0)
		if err == nil {
			err = r.apply(plan)
		}
		if err != nil {
			r.fail(next, "going back: %v", err)
		}
		if diff := r.o.becomes(r.seed, from, append(first.called(), next.called()...)...); diff != "" {
			r.fail(next, "after going back: -before +after\n%s", diff)
		}
		next = first
	}
	r.save(dir, next)
}

func firstLine(err error) string {
	if err == nil {
		return "no error"
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// booted is what has to run after a reboot.
type booted struct {
	Saved    time.Time
	Snapshot snapshot
	Free     []string // units that may run or not: it was told that no boot starts them, or others call them
}

func (r *graphRun) save(dir string, g *graph) {
	r.t.Helper()
	d, err := r.e.Status(r.t.Context(), r.release())
	if err != nil {
		r.fail(g, "status: %v", err)
	}
	b := booted{Saved: time.Now(), Snapshot: r.o.calm(r.seed)}
	for _, u := range d.Units {
		if u.NotAtBoot || !u.Run {
			b.Free = append(b.Free, u.Service)
		}
	}
	boots := r.o.boots(r.seed)
	for _, unit := range g.called() {
		if !slices.Contains(boots, unit) {
			b.Free = append(b.Free, unit)
		}
	}
	data, err := json.Marshal(b)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "booted.json"), data, 0o600)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestGraphsChange(t *testing.T) {
	ownInfraContainer(t, true)
	seeds, root := graphSeeds(t)
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(root, fmt.Sprint(seed))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			r := &graphRun{t: t, e: graphEngine(t, filepath.Join(dir, "deployments")), o: newObserver(t), seed: seed}
			t.Cleanup(func() {
				if t.Failed() { // it must not be in the way of the others
					_, _ = r.e.Remove(context.WithoutCancel(t.Context()), r.release(), deploy.RemoveOptions{Volumes: true}, nil)
				}
			})
			r.live(dir)
		})
	}
}

// What runs after a reboot is what ran before it, but for what was told; and a
// removal leaves nothing.
func TestGraphsBooted(t *testing.T) {
	seeds, root := graphSeeds(t)
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(root, fmt.Sprint(seed))
			data, err := os.ReadFile(filepath.Join(dir, "booted.json"))
			if errors.Is(err, os.ErrNotExist) {
				return // it has failed before, and that was told
			}
			var want booted
			if err == nil {
				err = json.Unmarshal(data, &want)
			}
			if err != nil {
				t.Fatal(err)
			}
			r := &graphRun{t: t, e: graphEngine(t, filepath.Join(dir, "deployments")), o: newObserver(t), seed: seed}
			t.Cleanup(func() {
				if t.Failed() {
					r.tell()
				}
			})
			r.o.since = want.Saved
			r.comesBack(want)
			r.goes()
		})
	}
}

// tell logs the graph as it was last installed, and its journal.
func (r *graphRun) tell() {
	g := newGraph(r.seed)
	if r.seed%2 == 1 {
		_, _, _ = g.worse(2) // it draws from the same numbers
		g = g.better(3)
	}
	var files strings.Builder
	for _, m := range g.members {
		files.WriteString("--- " + m.file() + "\n" + m.text())
	}
	r.t.Logf("graph %d:\n%s--- the journal:\n%s", r.seed, files.String(), r.o.journal(r.seed))
}

func (r *graphRun) comesBack(want booted) {
	r.t.Helper()
	want.Snapshot.drop(want.Free)
	r.o.until("everything comes back after the reboot", func() string {
		now := r.o.calm(r.seed)
		r.o.startMissed(r.seed, now)
		now.drop(want.Free)
		return cmp.Diff(want.Snapshot, now)
	})
}

// goes removes the release.
func (r *graphRun) goes() {
	r.t.Helper()
	if _, err := r.e.Remove(r.t.Context(), r.release(), deploy.RemoveOptions{Volumes: true}, nil); err != nil {
		r.t.Errorf("graph %d: remove: %v", r.seed, err)
	}
	nothing := snapshot{Files: map[string]string{}, Units: map[string]string{}, Containers: map[string]string{}}
	if diff := r.o.becomes(r.seed, nothing); diff != "" {
		r.t.Errorf("graph %d: after its removal: %s", r.seed, diff)
	}
}
