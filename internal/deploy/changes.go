package deploy

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"leger.run/leger/internal/quadlet"
)

// Changes is what a plan changes about a release since its current generation,
// for whoever decides about it.
type Changes struct {
	Source  []SourceChange `json:"source"`
	Units   []UnitChange   `json:"units"`   // by file
	Images  []ValueChange  `json:"images"`  // by unit
	Ports   []ValueChange  `json:"ports"`   // by unit
	Volumes []ValueChange  `json:"volumes"` // a dropped volume stays on the machine
	Secrets []ValueChange  `json:"secrets"` // by unit
	// Risks are those that nobody has accepted yet, with what the release is newly
	// given. Those that ask need consent.
	Risks []quadlet.Risk `json:"new_risks"`
}

// UnitChange is one unit that a plan adds, changes, renames or removes.
type UnitChange struct {
	Service string       `json:"service"`
	File    string       `json:"file"`
	Kind    quadlet.Kind `json:"kind"`
	Action  Action       `json:"action"`
	From    string       `json:"from,omitempty"` // with Rename: the service that it was
}

// ValueChange is one image, port, volume or secret that comes, goes or changes.
type ValueChange struct {
	Service string `json:"service,omitempty"` // the unit it belongs to
	Action  Action `json:"action"`
	Value   string `json:"value"`
	From    string `json:"from,omitempty"` // with Change: what it was
}

// changesOf compares two generations; before is the zero value for none.
func changesOf(before, next Generation) Changes {
	c := Changes{
		Source: []SourceChange{}, Units: []UnitChange{}, Images: []ValueChange{}, Ports: []ValueChange{},
		Volumes: []ValueChange{}, Secrets: []ValueChange{}, Risks: []quadlet.Risk{},
	}
	if before.Number > 0 {
		c.Source = append(c.Source, before.Source.ChangesTo(next.Source)...)
	}
	pairs := pair(before, next)
	oldHash, newHash := before.contents(), next.contents()
	for _, p := range pairs {
		if change, ok := p.change(oldHash, newHash); ok {
			c.Units = append(c.Units, change)
		}
		c.Images = append(c.Images, p.values(func(u Unit) []string { return u.Images })...)
		c.Ports = append(c.Ports, p.values(func(u Unit) []string { return u.Ports })...)
		c.Secrets = append(c.Secrets, p.values(func(u Unit) []string { return u.Secrets })...)
	}
	c.Volumes = append(c.Volumes, compare("", before.Volumes(), next.Volumes())...)
	return c
}

// unitPair is a unit before and after; one of the two may be nil.
type unitPair struct{ before, after *Unit }

// pair finds which unit became which: by service, then, of those that are left,
// by equal files of the same kind, or by the same resource: a renamed one.
func pair(before, next Generation) []unitPair {
	var pairs []unitPair
	taken := map[string]bool{}
	oldHash, newHash := before.hashes(), next.hashes()
	for i := range next.Units {
		u := &next.Units[i]
		same := func(o Unit) bool { return o.Service == u.Service }
		if j := slices.IndexFunc(before.Units, same); j >= 0 {
			taken[u.Service] = true
			pairs = append(pairs, unitPair{&before.Units[j], u})
		} else {
			pairs = append(pairs, unitPair{nil, u})
		}
	}
	for i := range pairs {
		if pairs[i].before != nil {
			continue
		}
		u := pairs[i].after
		renamed := func(o Unit) bool {
			alike := oldHash[o.File] == newHash[u.File] || (o.Resource != "" && o.Resource == u.Resource)
			return alike && o.Kind == u.Kind && !taken[o.Service]
		}
		if j := slices.IndexFunc(before.Units, renamed); j >= 0 {
			taken[before.Units[j].Service] = true
			pairs[i].before = &before.Units[j]
		}
	}
	for i := range before.Units {
		if !taken[before.Units[i].Service] {
			pairs = append(pairs, unitPair{&before.Units[i], nil})
		}
	}
	slices.SortStableFunc(pairs, func(a, b unitPair) int { return strings.Compare(a.file(), b.file()) })
	return pairs
}

func (p unitPair) file() string {
	if p.after != nil {
		return p.after.File
	}
	return p.before.File
}

// change says what happened to the unit, ok false for nothing.
func (p unitPair) change(oldHash, newHash map[string]string) (c UnitChange, ok bool) {
	switch {
	case p.after == nil:
		return UnitChange{Service: p.before.Service, File: p.before.File, Kind: p.before.Kind, Action: Drop}, true
	case p.before == nil:
		return UnitChange{Service: p.after.Service, File: p.after.File, Kind: p.after.Kind, Action: Add}, true
	}
	c = UnitChange{Service: p.after.Service, File: p.after.File, Kind: p.after.Kind, Action: Change}
	if p.before.Service != p.after.Service {
		c.Action, c.From = Rename, p.before.Service
		return c, true
	}
	differs := func(part string) bool { return oldHash[part] != newHash[part] }
	return c, !slices.Equal(p.before.Parts, p.after.Parts) || slices.ContainsFunc(p.after.Parts, differs)
}

func (p unitPair) values(of func(Unit) []string) []ValueChange {
	var before, after []string
	service := ""
	if p.before != nil {
		before, service = of(*p.before), p.before.Service
	}
	if p.after != nil {
		after, service = of(*p.after), p.after.Service
	}
	return compare(service, before, after)
}

// compare tells what is new and what is gone. One that takes the place of one
// other is a change.
func compare(service string, before, after []string) []ValueChange {
	var gone, come []string
	for _, v := range before {
		if !slices.Contains(after, v) {
			gone = append(gone, v)
		}
	}
	for _, v := range after {
		if !slices.Contains(before, v) {
			come = append(come, v)
		}
	}
	if service != "" && len(gone) == 1 && len(come) == 1 {
		return []ValueChange{{Service: service, Action: Change, Value: come[0], From: gone[0]}}
	}
	var all []ValueChange
	for _, v := range come {
		all = append(all, ValueChange{Service: service, Action: Add, Value: v})
	}
	for _, v := range gone {
		all = append(all, ValueChange{Service: service, Action: Drop, Value: v})
	}
	return all
}

// Volumes are the Podman volumes of a generation, sorted.
func (g Generation) Volumes() []string {
	var names []string
	for _, u := range g.Units {
		names = append(names, u.Volumes...)
		if u.Kind == quadlet.Volume && u.Resource != "" {
			names = append(names, u.Resource)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// secrets are the Podman secrets that a generation's units use, sorted. A name that a
// template completes with its instance ("key_%i") is no secret's: its instances have
// the names.
func (g Generation) secrets() []string {
	var names []string
	for _, u := range g.Units {
		for _, name := range u.Secrets {
			if !u.Template || !strings.Contains(name, "%") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxDiff bounds what is compared line by line: bytes of each side.
const maxDiff = 128 << 10

// textDiff is how a file changes, in the unified form, "" for what is no text.
func textDiff(path string, before, after []byte) string {
	switch {
	case len(before) > maxDiff || len(after) > maxDiff, !isText(before), !isText(after):
		return ""
	}
	return string(diff.Diff("installed/"+path, before, "new/"+path, after))
}

func isText(data []byte) bool { return utf8.Valid(data) && !bytes.ContainsRune(data, 0) }
