package cli

import (
	"fmt"
	"slices"
	"strings"

	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
)

// showPlan tells what will be done, and what about it may be risky.
func (a *app) showPlan(p deploy.Plan) {
	if p.Unchanged() {
		return
	}
	verb := "Install"
	if p.From > 0 {
		verb = fmt.Sprintf("Change generation %d of", p.From)
	}
	a.say("%s %s:", verb, p.Next.Release)
	for _, f := range p.Files {
		a.say("  %-7s %s", f.Action, f.Path)
	}
	for _, line := range []struct {
		label  string
		values []string
	}{
		{"stop", p.Stop},
		{"start", p.Start},
		{"images", p.Images},
		{"ports", p.Ports},
		{"secrets", p.Secrets},
		{"volumes", volumesOf(p.Next)},
	} {
		if len(line.values) > 0 {
			a.say("  %-7s %s", line.label, strings.Join(line.values, ", "))
		}
	}
}

// showRisks tells what the user should know, --quiet or not: consent follows.
func (a *app) showRisks(p deploy.Plan) {
	if len(p.Risks) == 0 || p.Unchanged() {
		return
	}
	a.errln(a.paint(yellow, plural(len(p.Risks), "risk")+" to know of:"))
	for _, r := range p.Risks {
		where := r.File
		if r.Line > 0 {
			where = fmt.Sprintf("%s:%d", r.File, r.Line)
		}
		a.errln(clean(fmt.Sprintf("  %s: %s", where, r.Text)))
	}
}

func volumesOf(g deploy.Generation) []string {
	var names []string
	for _, u := range g.Units {
		names = append(names, u.Volumes...)
		if u.Kind == quadlet.Volume {
			names = append(names, u.Resource)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
