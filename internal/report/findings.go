package report

import (
	"fmt"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/terminal"
	"leger.run/leger/internal/wire"
)

// maxFindings bounds those of a whole report: at their longest they are well below
// what a request may have.
const maxFindings = 400

// Around is what is known about a deployment besides what the engine tells.
type Around struct {
	Stale    []Use           // units that run with an older value of a secret
	Gone     []Use           // units that use a secret which Podman does not have
	Head     string          // the newest commit of its branch; empty: nobody asked
	Waiting  *deploy.Waiting // what an update by itself has left to the user; nil: nothing
	Failures []deploy.Failure
}

// Findings lists what the owner may want to look at, the gravest first. All of it is
// made of names and fixed words: neither a journal nor a secret's value can get into it.
func Findings(d deploy.Deployment, s Around) []wire.HostFinding {
	var all []wire.HostFinding
	add := func(kind leger.FindingKind, subject, format string, args ...any) {
		all = append(all, wire.HostFinding{
			Kind: kind, Subject: terminal.Line(subject, leger.MaxFindingSubject), Text: terminal.Line(fmt.Sprintf(format, args...), leger.MaxFindingText),
		})
	}
	switch {
	case d.Damage != nil:
		add(leger.FindingRecordDamaged, "", "its record on the machine cannot be read: leger deploy status %s says why", d.Release)
		return all
	case d.Running: // its units and files are between two states
		add(leger.FindingDeploying, "", "is being deployed at this moment")
		return all
	}
	if d.Interrupted {
		add(leger.FindingInterrupted, "", "a deployment was interrupted: leger deploy install --release %s finishes it", d.Release)
	}
	for _, u := range d.Units {
		if kind, text := unitFinding(u); kind != "" {
			add(kind, u.Service, "%s", text)
		}
	}
	for _, u := range d.Units {
		if u.NotAtBoot && !u.Template {
			add(leger.FindingNotAtBoot, u.Service, NotAtBootText)
		}
	}
	for _, gone := range s.Gone {
		add(leger.FindingSecretGone, gone.Unit, "%s", GoneText(gone))
	}
	for _, f := range d.Drift {
		kind, text := FileFinding(f)
		add(kind, f.Path, "%s", text)
	}
	for _, stale := range s.Stale {
		add(leger.FindingSecretStale, stale.Unit, "runs with an older value of the secret %s: leger service restart %s", stale.Secret, stale.Unit)
	}
	if w := s.Waiting; w != nil && (s.Head == "" || w.Commit == "" || w.Commit == s.Head) {
		add(leger.FindingUpdateWaits, "", "an update waits for you%s: leger deploy update %s", waitingFor(w), d.Release)
		return all
	}
	if from := d.Generation.Source.Commit; from != "" && s.Head != "" && s.Head != from {
		add(leger.FindingBranchMoved, "", "the branch has moved on to commit %s%s", deploy.ShortCommit(s.Head), whyNotThere(d, s))
	}
	return all
}

// NotAtBootText says that a unit does not come back; it goes on from the unit's name.
const NotAtBootText = "will not start when the machine boots: nothing that starts then asks for it"

// GoneText says what a secret that is gone means; it goes on from the unit's name.
func GoneText(g Use) string {
	return fmt.Sprintf("uses the secret %[1]s, which is gone from this machine: without it it does not start again. "+
		"leger secrets set %[1]s, then leger secrets sync", g.Secret)
}

// waitingFor says by the kinds of what is new, which are fixed words, what an
// update needs consent to. The reason itself may quote the release's files.
func waitingFor(w *deploy.Waiting) string {
	if len(w.Kinds) == 0 {
		return ""
	}
	var kinds []string
	for _, k := range w.Kinds {
		kinds = append(kinds, string(k))
	}
	return ", because it needs your consent (" + strings.Join(kinds, ", ") + ")"
}

// whyNotThere says why the newest commit is not installed.
func whyNotThere(d deploy.Deployment, s Around) string {
	i := slices.IndexFunc(s.Failures, func(f deploy.Failure) bool { return f.Of(d.Generation.Source, s.Head) })
	switch {
	case i < 0:
		return ": leger deploy update " + d.Release
	case s.Failures[i].ByHand:
		return ", from which you went back"
	default:
		return ", which has failed here"
	}
}

// unitFinding says what is wrong with a unit; nothing: the empty kind.
func unitFinding(u deploy.UnitStatus) (leger.FindingKind, string) {
	if u.Template {
		return "", ""
	}
	why := ""
	if r := u.State.Result; r != "" && r != "success" {
		why = " (" + r + ")"
	}
	switch state := hostState(u); {
	case state == leger.HostFailed && u.State.ActiveState == "active":
		return leger.FindingUnitUnhealthy, "is unhealthy: its health check says so"
	case state == leger.HostFailed && u.State.ActiveState != "failed":
		return leger.FindingUnitFailed, "fails and is started again" + why
	case state == leger.HostFailed:
		return leger.FindingUnitFailed, "has failed" + why
	case u.Run && state == leger.HostStopped:
		return leger.FindingUnitDown, "is down and should be up" + why
	case u.Run && u.State.ActiveState == "":
		return leger.FindingUnitUnknown, "could not be asked for"
	case u.Run && state == leger.HostUnknown:
		return leger.FindingUnitUnknown, "is " + StateWords(u.State)
	}
	return "", ""
}

// FileFinding says how a file is not as it was installed; the text goes on from its name.
func FileFinding(f deploy.FileChange) (leger.FindingKind, string) {
	if f.Action == deploy.Drop {
		return leger.FindingFileMissing, "is not there any more"
	}
	return leger.FindingFileChanged, "was changed since it was installed"
}

// healthOf is the gravest of what the units' findings say. Files that were edited
// are no matter of health: what runs was made of them or is not yet.
func healthOf(d deploy.Deployment) leger.HostHealth {
	seen := map[leger.FindingKind]bool{}
	for _, u := range d.Units {
		kind, _ := unitFinding(u)
		seen[kind] = true
	}
	switch {
	case d.Running, d.Damage != nil:
		return leger.HealthUnknown
	case d.Interrupted || seen[leger.FindingUnitFailed]:
		return leger.HealthFailed
	case seen[leger.FindingUnitUnhealthy] || seen[leger.FindingUnitDown]:
		return leger.HealthPoor
	case seen[leger.FindingUnitUnknown]:
		return leger.HealthUnknown
	}
	return leger.HealthGood
}

// bounded cuts a list of findings, and says that it did.
func bounded(all []wire.HostFinding, most int, release string) []wire.HostFinding {
	if len(all) <= most {
		return all
	}
	shown := max(most-1, 0)
	more := wire.HostFinding{Kind: leger.FindingMore, Text: fmt.Sprintf("and %d more: leger deploy status %s", len(all)-shown, release)}
	return append(slices.Clip(all[:shown]), more)
}
