package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/report"
)

// autoJSON is what became of one release, in --json of deploy auto run.
type autoJSON struct {
	Release string       `json:"release"`
	Outcome string       `json:"outcome"` // "unchanged", "updated", "waiting", "failed"
	Commit  string       `json:"commit,omitempty"`
	Error   *failureJSON `json:"error,omitempty"` // why it waits or failed
	// Asks is what somebody has to agree to first, and Command what to type for it.
	Asks    []quadlet.Risk `json:"asks,omitempty"`
	Command string         `json:"command,omitempty"`
}

// waitsForUser is what an unattended update leaves to the user.
type waitsForUser struct {
	reason string
	commit string
	asks   []quadlet.Risk // empty: it waits for another reason
}

func (w *waitsForUser) Error() string { return w.reason }

// wait makes the error of it.
func (w *waitsForUser) wait(release string) error {
	return leger.Wrap(leger.CodeConflict, w, "an update of %s waits for you", release).
		WithHint("read what it brings, and install it if it is meant: leger deploy update %s", release)
}

// autoRun updates what follows its branch. Where something waits for the user the
// exit code says so; the timer comes again, and deploy status says it too.
func (a *app) autoRun(ctx context.Context, settle time.Duration) error {
	m, err := a.openMachine()
	if err != nil {
		return err
	}
	following, err := a.following(ctx, m)
	m.close()
	if err != nil {
		return err
	}
	results := []autoJSON{}
	var failed error
	heads := map[string]string{}
	for _, d := range following {
		r, err := a.autoUpdate(ctx, d, settle)
		if errors.Is(err, leger.ErrInterrupted) {
			return err
		}
		if r.Outcome == "failed" {
			failed = errors.Join(failed, err)
		}
		heads[d.Release] = r.Commit
		results = append(results, r)
	}
	if len(following) == 0 {
		a.say("No release is updated by itself. To have one updated: leger deploy auto on NAME")
	}
	if a.flags.json {
		if err := a.printJSON(map[string]any{"releases": results}); err != nil {
			return err
		}
	}
	err = a.withMachine(func(m *machine) error { return a.reportDeployments(ctx, m, report.Seen{Heads: heads, Glance: true}) })
	if err != nil {
		a.detail("this machine was not reported: %v", err)
	}
	return cmp.Or(failed, waitingOf(results))
}

// waitingOf is an error when something waits for the user.
func waitingOf(results []autoJSON) error {
	var names []string
	command := ""
	for _, r := range results {
		if r.Outcome == "waiting" {
			names, command = append(names, r.Release), r.Command
		}
	}
	switch {
	case len(names) == 0:
		return nil
	case len(names) > 1:
		command = "leger deploy update NAME"
	}
	return leger.Errorf(leger.CodeConflict, "%s for you: %s", waitWords(len(names)), strings.Join(names, ", ")).
		WithHint("read what it brings, and install it if it is meant: %s", command)
}

func waitWords(n int) string {
	if n == 1 {
		return "1 update waits"
	}
	return fmt.Sprintf("%d updates wait", n)
}

// autoUpdate updates one release if its branch has moved on, and says what became
// of it.
func (a *app) autoUpdate(ctx context.Context, d deploy.Deployment, settle time.Duration) (autoJSON, error) {
	r := autoJSON{Release: d.Release}
	if d.Damage != nil {
		r.Outcome, r.Error = "failed", failureOf(d.Damage)
		a.say("%s: %s: %v", d.Release, r.Outcome, d.Damage)
		return r, d.Damage
	}
	name, err := leger.ParseReleaseName(d.Release)
	if err == nil {
		r.Outcome, r.Commit, err = a.follow(ctx, name, d, settle)
	}
	if errors.Is(err, leger.ErrInterrupted) {
		return r, err
	}
	var note *deploy.Waiting
	if err != nil {
		r.Outcome, r.Error = "failed", failureOf(err)
		if w, ok := errors.AsType[*waitsForUser](err); ok {
			r.Outcome, r.Asks, r.Command = "waiting", w.asks, "leger deploy update "+d.Release
			note = &deploy.Waiting{Generation: d.Generation.Number, Commit: w.commit, Reason: w.reason, Kinds: kindsOf(w.asks)}
		}
		a.say("%s: %s: %v", d.Release, r.Outcome, err)
	}
	if noted := a.withMachine(func(m *machine) error { return m.engine.SetWaiting(name, note) }); noted != nil {
		a.warn("%s: that it waits for you cannot be remembered: %v", d.Release, noted)
	}
	return r, err
}

// follow brings a release to the newest commit of its branch. Where its source was
// changed on the server, nothing is even fetched.
func (a *app) follow(ctx context.Context, name leger.ReleaseName, d deploy.Deployment, settle time.Duration) (outcome, commit string, err error) {
	commit, moved, err := a.head(ctx, name, d.Generation.Source)
	switch {
	case err != nil:
		return "", "", err
	case len(moved) > 0:
		w := &waitsForUser{}
		for _, change := range moved {
			w.asks = append(w.asks, quadlet.Risk{Kind: deploy.RiskSource, Text: change.String(), Asks: true})
		}
		w.reason = reasonOf("its source on the server is another now", w.asks)
		return "", "", w.wait(d.Release)
	case commit == d.Generation.Source.Commit && !d.Interrupted:
		return "unchanged", commit, nil
	}
	in := install{unattended: true, careful: true, settle: settle, quietJSON: true}.from(d.Generation.Source)
	err = a.deployRelease(ctx, name, in)
	if w, ok := errors.AsType[*waitsForUser](err); ok && d.Interrupted {
		w.reason += ", and the last deployment was not finished"
	}
	return "updated", commit, err
}

// leaveToUser is an error when nobody may decide this but the user.
func leaveToUser(plan deploy.Plan) error {
	w := &waitsForUser{commit: plan.Next.Source.Commit, asks: plan.Asks()}
	edited := slices.IndexFunc(plan.Files, func(f deploy.FileChange) bool { return f.Edited })
	switch {
	case plan.FailedBefore != nil:
		w.reason = fmt.Sprintf("commit %s has failed here before (%s)", deploy.ShortCommit(w.commit), plan.FailedBefore.Reason)
	case len(w.asks) > 0:
		w.reason = reasonOf(fmt.Sprintf("commit %s needs your consent", deploy.ShortCommit(w.commit)), w.asks)
	case edited >= 0:
		w.reason = plan.Files[edited].Path + " was edited on this machine, and an update would overwrite it"
	default:
		return nil
	}
	return w.wait(plan.Next.Release)
}

// reasonOf says what needs consent, the first of it word for word.
func reasonOf(what string, asks []quadlet.Risk) string {
	const most = 3
	var texts []string
	for _, r := range asks[:min(len(asks), most)] {
		texts = append(texts, r.Text)
	}
	if more := len(asks) - most; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return what + ": " + strings.Join(texts, "; ")
}

// kindsOf are the kinds of risks, each once.
func kindsOf(risks []quadlet.Risk) []quadlet.RiskKind {
	var kinds []quadlet.RiskKind
	for _, r := range risks {
		if !slices.Contains(kinds, r.Kind) {
			kinds = append(kinds, r.Kind)
		}
	}
	return kinds
}
