package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// Facts are what a plan depends on besides the request.
type Facts struct {
	Current *Generation  // nil: the release is not installed
	Pending []Generation // what interrupted deployments may have left on disk
	Number  int          // the next generation's
	// Installer is the name of the one that the new files get.
	Installer string
	// Disk has, by installer and path, the hash of each file of the new, the current
	// and the pending generations that is on disk now.
	Disk map[string]map[string]string
	// States of the units of the same generations, by name.
	States map[string]leger.UnitState
	// Ours has the units among them that were made from files of this release.
	Ours map[string]bool
	// Owners names the other release that a unit or a file belongs to.
	Owners map[string]string
	// MissingSecrets are those of the new units that there are not.
	MissingSecrets []string
	// Problems of the new files: the parser's and the generator's.
	Problems []leger.Problem
}

// Action is what happens to a file.
type Action string

// The actions of a plan.
const (
	Add    Action = "add"
	Change Action = "change"
	Drop   Action = "remove"
	Mend   Action = "mend" // it is the same as before, but not on disk as recorded
)

// FileChange is one file that a plan changes.
type FileChange struct {
	Path   string `json:"path"`
	Action Action `json:"action"`
}

// Refusal is a reason not to begin.
type Refusal struct {
	Code leger.Code `json:"code"`
	Text string     `json:"text"`
	Hint string     `json:"hint,omitempty"`
	File string     `json:"file,omitempty"` // with a problem of a file
	Line int        `json:"line,omitempty"`
}

// Plan is what Apply will do. It is a pure value: the same request and facts give
// the same plan.
type Plan struct {
	From     int            `json:"from"` // number of the current generation; 0: none
	Next     Generation     `json:"next"`
	Record   bool           `json:"record"`  // Next becomes the current generation
	Replace  bool           `json:"replace"` // the installed files are replaced
	Reload   bool           `json:"reload"`  // systemd must read its units anew: files are replaced, or were by an interrupted deployment
	Files    []FileChange   `json:"files"`
	Stop     []string       `json:"stop"`  // units that stop before
	Start    []string       `json:"start"` // units that are started after
	Run      []string       `json:"run"`   // units that must be up in the end
	Secrets  []string       `json:"secrets"`
	Images   []string       `json:"images"`
	Ports    []string       `json:"ports"`
	Risks    []quadlet.Risk `json:"risks"`
	Refusals []Refusal      `json:"refusals"`

	request Request
	back    []string // units to start again if it fails
}

// Unchanged reports that there is nothing to do.
func (p Plan) Unchanged() bool { return !p.Record && !p.Replace && !p.Reload && len(p.Start) == 0 }

// Err is nil for a plan that can be applied, else one error with the code of the
// gravest refusal (ErrInvalid, ErrConflict, then ErrNotFound for secrets) and all
// of them in its message.
func (p Plan) Err() error {
	if len(p.Refusals) == 0 {
		return nil
	}
	lines := make([]string, 0, len(p.Refusals))
	for _, r := range p.Refusals {
		where := ""
		if r.File != "" {
			where = r.File + ": "
			if r.Line > 0 {
				where = fmt.Sprintf("%s:%d: ", r.File, r.Line)
			}
		}
		lines = append(lines, where+r.Text)
	}
	first := p.Refusals[0]
	e := leger.Errorf(first.Code, "%s cannot be installed: %s", p.Next.Release, strings.Join(lines, "; "))
	e.Hint = first.Hint
	return e
}

// NewPlan compares what is asked for with what is. It does no I/O.
func NewPlan(req Request, facts Facts) Plan {
	p := Plan{
		request: req, Next: generationOf(req, facts.Installer, facts.Number),
		Files: []FileChange{}, Stop: []string{}, Start: []string{}, Run: []string{},
		Secrets: req.Set.SecretNames(), Risks: req.Set.Risks, Refusals: refusals(req, facts),
	}
	for _, u := range req.Set.Units {
		p.Images = append(p.Images, values(u.Images)...)
		p.Ports = append(p.Ports, values(u.Ports)...)
	}
	if facts.Current != nil {
		p.From = facts.Current.Number
	}
	changed := p.changeFiles(facts)
	p.Record = facts.Current == nil || !same(*facts.Current, p.Next)
	if !p.Record {
		p.Next.Number = p.From
	}
	p.changeUnits(facts, changed)
	return p
}

// same reports whether two generations are the same release, files and commit.
func same(a, b Generation) bool {
	return a.Installer == b.Installer && a.Source == b.Source && maps.Equal(a.hashes(), b.hashes())
}

// changeFiles compares the new files with those on disk and gives the paths that
// differ.
func (p *Plan) changeFiles(facts Facts) (changed map[string]bool) {
	disk, next, before := facts.Disk[p.Next.Installer], p.Next.hashes(), map[string]string{}
	if facts.Current != nil && facts.Current.Installer == p.Next.Installer {
		before = facts.Current.hashes()
	}
	changed = map[string]bool{}
	for path, want := range next {
		if disk[path] == want {
			continue
		}
		action := Add
		switch was, had := before[path]; {
		case had && was == want:
			action = Mend
		case had || disk[path] != "":
			action = Change
		}
		p.Files, changed[path] = append(p.Files, FileChange{path, action}), true
	}
	for installer, files := range facts.Disk {
		for path := range files {
			if _, stays := next[path]; !stays || installer != p.Next.Installer {
				if !changed[path] {
					p.Files = append(p.Files, FileChange{path, Drop})
				}
				changed[path] = true
			}
		}
	}
	slices.SortFunc(p.Files, func(a, b FileChange) int { return strings.Compare(a.Path, b.Path) })
	p.Replace = len(p.Files) > 0
	p.Reload = p.Replace || len(facts.Pending) > 0
	return changed
}

// changeUnits decides what stops and what starts.
func (p *Plan) changeUnits(facts Facts, changed map[string]bool) {
	touched := p.Next.affected(changed)
	old := slices.Clone(facts.Pending)
	if facts.Current != nil {
		old = append(old, *facts.Current)
		for _, u := range facts.Current.Units {
			// An interrupted deployment may have stopped what ran before.
			if u.Run && (up(facts.States[u.Service]) || len(facts.Pending) > 0) {
				p.back = append(p.back, u.Service)
			}
		}
	}
	stop := map[string]bool{}
	for _, g := range old {
		hit := g.affected(changed)
		for _, service := range g.services() {
			// What systemd does not know cannot run.
			if (hit[service] || touched[service]) && facts.Ours[service] && !stop[service] {
				stop[service] = true
				p.Stop = append(p.Stop, service)
			}
		}
	}
	for _, u := range p.Next.Units {
		if u.Run {
			p.Run = append(p.Run, u.Service)
		}
		// Its file is there, and systemd does not know it yet.
		p.Reload = p.Reload || (!u.Template && !facts.Ours[u.Service])
		// The containers of a pod are started with it, by name: their own results tell
		// what is wrong.
		state := facts.States[u.Service]
		unsure := u.Oneshot && !up(state) && (facts.Current == nil || len(facts.Pending) > 0)
		if u.Run && (touched[u.Service] || stop[u.Service] || unsure || !running(u, state)) {
			p.Start = append(p.Start, u.Service)
		}
	}
}

// up: the unit runs, or has run to its end and counts as active.
func up(s leger.UnitState) bool { return s.ActiveState == "active" || s.ActiveState == "reloading" }

// running is up, or not failed for a unit that runs to its end: systemd forgets
// that it ran, but a generation is recorded only when it has.
func running(u Unit, s leger.UnitState) bool {
	return up(s) || (u.Oneshot && s.ActiveState == "inactive" && (s.Result == "success" || s.Result == ""))
}

// refusals lists what stands against the request, the gravest first.
func refusals(req Request, facts Facts) []Refusal {
	all := []Refusal{}
	for _, problem := range facts.Problems {
		all = append(all, Refusal{
			Code: leger.CodeInvalid, Text: problem.Message, Hint: problem.Hint, File: problem.File, Line: problem.Line,
		})
	}
	if facts.Installer == "" {
		all = append(all, Refusal{Code: leger.CodeMissingPart, Text: "no way to install such files is there", Hint: "install Podman 5.6 or newer"})
	}
	next := generationOf(req, facts.Installer, 0)
	for _, u := range next.Units {
		state, owner := facts.States[u.Service], facts.Owners[u.Service]
		switch {
		case owner != "":
			all = append(all, Refusal{
				Code: leger.CodeConflict, File: u.File, Text: fmt.Sprintf("the release %s has a unit %s already", owner, u.Service),
				Hint: "rename the file, give it a ServiceName=, or remove the other release: leger deploy remove " + owner,
			})
		case !facts.Ours[u.Service] && state.LoadState != "" && state.LoadState != "not-found":
			all = append(all, Refusal{
				Code: leger.CodeConflict, File: u.File, Text: fmt.Sprintf("a unit %s that Leger did not install is there already%s", u.Service, from(state.Source)),
				Hint: "rename the file, give it a ServiceName=, or remove the other one",
			})
		}
	}
	for _, path := range next.paths() {
		owner, mine := facts.Owners[path], knows(facts, path)
		switch _, there := facts.Disk[facts.Installer][path]; {
		case owner != "":
			all = append(all, Refusal{
				Code: leger.CodeConflict, File: path, Text: fmt.Sprintf("the release %s has installed a file of this name", owner),
				Hint: "rename it, or remove the other release: leger deploy remove " + owner,
			})
		case there && !mine:
			all = append(all, Refusal{
				Code: leger.CodeConflict, File: path, Text: "a file of this name, which Leger did not install, is among the quadlets already",
				Hint: "rename one of them, or remove the other one if it is not needed",
			})
		}
	}
	for _, name := range facts.MissingSecrets {
		all = append(all, Refusal{
			Code: leger.CodeNotFound, Text: fmt.Sprintf("the secret %s is not on this machine", name),
			Hint: "create it: leger secrets set " + name + ", then: leger secrets sync",
		})
	}
	return all
}

func from(source string) string {
	if source == "" {
		return ""
	}
	return ", from " + source
}

// knows reports whether a file on disk was put there for this release.
func knows(facts Facts, path string) bool {
	recorded := func(g Generation) bool { return g.Installer == facts.Installer && g.hashes()[path] != "" }
	return (facts.Current != nil && recorded(*facts.Current)) || slices.ContainsFunc(facts.Pending, recorded)
}
