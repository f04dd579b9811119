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
	// Disk has, by installer and path, the fingerprint of each file of the new, the current
	// and the pending generations that is on disk now.
	Disk map[string]map[string]string
	// Text has the content of the same files, for showing how they change.
	Text map[string]map[string]leger.File
	// Instances that run of the templates among the same generations, beside those
	// that are units of their own.
	Instances map[string][]string
	// Failures are what is remembered of this release.
	Failures []Failure
	// States of the units of the same generations, by name.
	States map[string]leger.UnitState
	// Dependents are the units that run and that systemd stops together with one of
	// these, by its name. They may be of other releases, or the user's own.
	Dependents map[string][]string
	// Ours has the units among them that were made from files of this release.
	Ours map[string]bool
	// Owners names the other release that a unit or a file belongs to.
	Owners map[string]string
	// Resources names the other release that has a container or pod of a name.
	Resources map[string]string
	// VolumeOwners and NetworkOwners name the other release that a volume or network
	// belongs to.
	VolumeOwners, NetworkOwners map[string]string
	// Volumes are all that Podman has.
	Volumes []string
	// Containers are all that Podman has.
	Containers []leger.Container
	// Listeners are those on ports that the new units publish.
	Listeners []Listener
	// MissingImages are those that may not be pulled and are not here.
	MissingImages []string
	// MissingSecrets are those of the new units that there are not.
	MissingSecrets []string
	// Checked is what is wrong with the new files.
	Checked Checked

	data   map[string]dataFile // those data files of the same generations that are there
	former []formerData
	places map[string]string // where scripts of the release will lie, by name
}

// Action is what happens to a file.
type Action string

// The actions of a plan.
const (
	Add    Action = "add"
	Change Action = "change"
	Drop   Action = "remove"
	Mend   Action = "mend"   // it is the same as before, but not on disk as recorded
	Rename Action = "rename" // of a unit: the same under another name
)

// FileChange is one file that a plan changes.
type FileChange struct {
	Path   string `json:"path"`
	Action Action `json:"action"`
	// Edited: the file was edited on this machine since it was installed, and that
	// is lost.
	Edited bool   `json:"edited,omitempty"`
	Diff   string `json:"diff,omitempty"` // from what is installed, unified; empty for what is no text
}

// Refusal is a reason not to begin.
type Refusal struct {
	Code leger.Code `json:"code"`
	Text string     `json:"text"`
	Hint string     `json:"hint,omitempty"`
	File string     `json:"file,omitempty"` // with a problem of a file
	Line int        `json:"line,omitempty"`
	// Secret is the name of the secret that is missing, if that is the reason.
	Secret string `json:"secret,omitempty"`
}

// Notice is something worth knowing about a quadlet.
type Notice struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // 0: the file as a whole
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func noticesOf(found []leger.Problem) []Notice {
	var all []Notice
	for _, n := range found {
		all = append(all, Notice{File: n.File, Line: n.Line, Text: n.Message, Hint: n.Hint})
	}
	return all
}

// Plan is what Apply will do. It is a pure value: the same request and facts give
// the same plan.
type Plan struct {
	From    int          `json:"from"` // number of the current generation; 0: none
	Next    Generation   `json:"next"`
	Record  bool         `json:"record"`  // Next becomes the current generation
	Replace bool         `json:"replace"` // the installed files are replaced
	Reload  bool         `json:"reload"`  // systemd must read its units anew: files are replaced, or were by an interrupted deployment
	Files   []FileChange `json:"files"`
	// Kept are data files that a container has changed and that stay, although Git has
	// a newer version.
	Kept     []string       `json:"kept,omitempty"`
	Stop     []string       `json:"stop"`  // units that stop before
	Start    []string       `json:"start"` // units that are started after
	Run      []string       `json:"run"`   // units that must be up in the end
	Secrets  []string       `json:"secrets"`
	Images   []string       `json:"images"`
	Ports    []string       `json:"ports"`
	Risks    []quadlet.Risk `json:"risks"`
	Changes  Changes        `json:"changes"`
	Refusals []Refusal      `json:"refusals"`
	// Notices are worth knowing and stand in nobody's way: units that do not start
	// when the machine boots, settings that systemd calls obsolete.
	Notices []Notice `json:"notices,omitempty"`
	// NotChecked names the checks that this machine has no program for.
	NotChecked []string `json:"not_checked,omitempty"`
	// Contents describes each quadlet of a first installation, without its risks, for
	// whoever decides about it; empty for a change.
	Contents []quadlet.Description `json:"contents,omitempty"`
	// FailedBefore is what is remembered of this commit, nil for nothing.
	FailedBefore *Failure `json:"failed_before,omitempty"`

	request Request
	back    []string        // units to start again if it fails
	others  []string        // units of others among Start: they have to stop, too
	ran     map[string]bool // units that were up when the plan was made
}

func contentsOf(set *quadlet.Set) []quadlet.Description {
	all := set.Describe()
	for i := range all {
		all[i].Risks = nil // the plan has them
	}
	return all
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
		request: req, Next: nextOf(req, facts),
		Files: []FileChange{}, Stop: []string{}, Start: []string{}, Run: []string{}, Images: []string{}, Ports: []string{},
	}
	p.Secrets, p.Risks, p.Refusals = list(p.Next.secrets()), p.Next.Risks, refusals(req, p.Next, facts)
	p.Notices, p.NotChecked = noticesOf(facts.Checked.Notices), facts.Checked.NotChecked
	for _, u := range p.Next.Units {
		p.Images = append(p.Images, u.Images...)
		p.Ports = append(p.Ports, u.Ports...)
	}
	var before Generation
	if facts.Current != nil {
		before, p.From = *facts.Current, facts.Current.Number
	} else {
		p.Contents = contentsOf(req.Set)
	}
	p.FailedBefore = remembered(facts, p.Next)
	p.Changes = changesOf(before, p.Next)
	changed := p.changeFiles(facts)
	p.changeData(facts, changed)
	p.settleFiles(facts)
	p.Record = facts.Current == nil || !same(*facts.Current, p.Next)
	if p.Record {
		risks, given := newConsent(req, p.Next, facts, p.FailedBefore).news()
		p.Changes.Risks = append(slices.Clone(given), risks...)
		p.Risks = append(slices.Clone(given), p.Risks...)
	} else {
		p.Next.Number = p.From // nothing about it is new
	}
	p.changeUnits(facts, changed)
	return p
}

// nextOf describes what is asked for: a recorded generation as it was recorded.
func nextOf(req Request, facts Facts) Generation {
	if req.recorded != nil {
		return *req.recorded
	}
	return generationOf(req, facts.Installer, facts.Number)
}

// list is never nil.
func list(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}

// WithConsent notes that the user has agreed to the plan's risks, and how.
func (p Plan) WithConsent(how Consent) Plan {
	p.request.consent = how
	if p.request.recorded == nil {
		p.Next.Consent = how
	}
	return p
}

// Asks lists what the plan brings that somebody has to agree to, and nobody has.
func (p Plan) Asks() []quadlet.Risk {
	return slices.DeleteFunc(slices.Clone(p.Changes.Risks), func(r quadlet.Risk) bool { return !r.Asks })
}

// NeedsConsent reports that somebody has to agree to the plan, and nobody has yet.
func (p Plan) NeedsConsent() bool { return len(p.Asks()) > 0 && p.request.consent == "" }

// same reports whether two generations are the same release, files and commit.
func same(a, b Generation) bool {
	return a.Installer == b.Installer && a.Source == b.Source && maps.Equal(a.hashes(), b.hashes()) &&
		maps.Equal(a.dataHashes(), b.dataHashes()) && slices.Equal(a.DataDirs, b.DataDirs)
}

// identity tells one state of a release from another: its commit, or a hash of
// its files where they are in no repository.
func (g Generation) identity() string {
	if g.Source.Commit != "" {
		return g.Source.Commit
	}
	var all strings.Builder
	for _, f := range slices.Concat(g.Files, g.Data) {
		all.WriteString(f.Path + "\x00" + f.fingerprint() + "\x00")
	}
	return "files-" + hash([]byte(all.String()))
}

// changeFiles compares the new files with those on disk and gives the paths that
// differ.
func (p *Plan) changeFiles(facts Facts) (changed map[string]bool) {
	disk, next, before := facts.Disk[p.Next.Installer], p.Next.hashes(), map[string]string{}
	text := facts.Text[p.Next.Installer]
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
		p.Files, changed[path] = append(p.Files, FileChange{
			Path: path, Action: action, Edited: edited(facts, p.Next.Installer, path),
			Diff: fileDiff(path, text[path], leger.File{Data: p.request.Set.Files[path], Executable: p.request.Set.Executable[path]}),
		}), true
	}
	for installer, files := range facts.Disk {
		for path := range files {
			if _, stays := next[path]; !stays || installer != p.Next.Installer {
				if !changed[path] {
					p.Files = append(p.Files, FileChange{
						Path: path, Action: Drop, Edited: edited(facts, installer, path), Diff: textDiff(path, facts.Text[installer][path].Data, nil),
					})
				}
				changed[path] = true
			}
		}
	}
	return changed
}

// settleFiles decides whether files are exchanged, once it is known which.
func (p *Plan) settleFiles(facts Facts) {
	slices.SortStableFunc(p.Files, func(a, b FileChange) int { return strings.Compare(a.Path, b.Path) })
	p.Replace = len(p.Files) > 0
	p.Reload = p.Replace || len(facts.Pending) > 0
}

// edited reports whether somebody has changed an installed file since it was
// installed: it is none of those that were.
func edited(facts Facts, installer, path string) bool {
	now := facts.Disk[installer][path]
	if now == "" {
		return false
	}
	known := slices.Clone(facts.Pending)
	if facts.Current != nil {
		known = append(known, *facts.Current)
	}
	ours := false
	for _, g := range known {
		was := g.hashes()[path]
		if g.Installer != installer || was == "" {
			continue
		}
		if was == now {
			return false
		}
		ours = true
	}
	return ours
}
