package cli

import (
	"fmt"

	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/report"
)

func (a *app) printDeployments(all []deploy.Deployment, out []deploymentJSON) error {
	var rows, generations [][]string
	for i, d := range all {
		for _, u := range d.Units {
			rows = append(rows, []string{d.Release, u.Service, unitState(u), u.File})
		}
		if d.Damage != nil {
			rows = append(rows, []string{d.Release, "", condOf(d), ""})
		}
		a.printDrift(d, out[i])
		for _, g := range out[i].Generations {
			mark := ""
			if g.Current {
				mark = "current"
			}
			generations = append(generations, []string{
				d.Release, fmt.Sprint(g.Number), deploy.ShortCommit(g.Source.Commit), g.CreatedAt.Local().Format("2006-01-02 15:04"), mark,
			})
		}
	}
	if len(rows) == 0 {
		a.say("Nothing is installed.")
		return nil
	}
	if err := a.table([]string{"RELEASE", "UNIT", "STATE", "FILE"}, rows); err != nil || len(generations) == 0 {
		return err
	}
	if err := a.print("\n"); err != nil {
		return err
	}
	return a.table([]string{"RELEASE", "GENERATION", "COMMIT", "INSTALLED", ""}, generations)
}

// printDrift tells what is not as it was installed, and what is new.
func (a *app) printDrift(d deploy.Deployment, j deploymentJSON) {
	if d.Running {
		a.say("%s is being deployed at this moment: look again when that is done.", d.Release)
		return
	}
	a.warnNotAtBoot(j)
	if d.Damage != nil {
		a.warn("%s: %v", d.Release, d.Damage)
	}
	for _, f := range d.Drift {
		_, what := report.FileFinding(f)
		a.warn("%s: %s %s", d.Release, f.Path, what)
	}
	a.warnGone(j)
	for _, s := range j.Stale {
		a.warn("%s: %s runs with an older value of the secret %s: leger service restart %s", d.Release, s.Unit, s.Secret, s.Unit)
	}
	if j.Waiting != nil {
		a.say("%s: an update waits for you since %s: %s: leger deploy update %s",
			d.Release, j.Waiting.Since.Local().Format("2006-01-02 15:04"), j.Waiting.Reason, d.Release)
	}
	switch b := j.Branch; {
	case b == nil:
	case len(b.Source) > 0:
		for _, change := range b.Source {
			a.warn("%s: on the server %s", d.Release, change)
		}
		a.say("%s: its new source waits for you: leger deploy plan %s", d.Release, d.Release)
	case b.Error != nil:
		a.detail("%s: whether the branch has moved on is not known: %s", d.Release, b.Error.Message)
	case b.Moved && len(j.Failures) > 0 && j.Failures[0].Of(d.Generation.Source, b.Commit):
		a.say("%s: the branch is at commit %s, which is not installed: %s.", d.Release, deploy.ShortCommit(b.Commit), j.Failures[0].Reason)
	case b.Moved:
		a.say("%s: the branch has moved on to commit %s: leger deploy update %s", d.Release, deploy.ShortCommit(b.Commit), d.Release)
	}
}

// warnNotAtBoot tells of units that run and are not started by a boot.
func (a *app) warnNotAtBoot(j deploymentJSON) {
	for _, u := range j.Units {
		if u.NotAtBoot {
			a.warn("%s: %s %s", j.Release, u.Unit, report.NotAtBootText)
		}
	}
}

// warnGone tells of secrets that units use and that are gone.
func (a *app) warnGone(j deploymentJSON) {
	for _, g := range j.Gone {
		a.warn("%s: %s %s", j.Release, g.Unit, report.GoneText(g))
	}
}

// unitState says how a unit is, and its container where that has a health check.
func unitState(u deploy.UnitStatus) string {
	state := report.StateWords(u.State)
	if u.Health != "" {
		state += ", " + u.Health
	}
	return state
}
