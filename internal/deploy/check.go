package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// Generator is Podman's own reading of quadlets.
type Generator interface {
	// Generate gives the systemd units that Podman makes of the files, by name, and what
	// it complains about. With complaints there are no units. ErrMissingPart when Podman's
	// generator is not on this machine.
	Generate(ctx context.Context, files map[string][]byte) (units map[string][]byte, problems []leger.Problem, err error)
}

// Verifier is systemd's opinion of units that are not installed.
type Verifier interface {
	// Verify gives what systemd complains about: File is a unit's name, Line the line in
	// it. What it tells and then does as meant is Unsure. ErrMissingPart without
	// systemd-analyze.
	Verify(ctx context.Context, units map[string][]byte) ([]leger.Problem, error)
}

// Checked is what a check of quadlets has found.
type Checked struct {
	// Problems stand against an installation, sorted by file and line.
	Problems []leger.Problem
	// Notices are worth knowing: the set's own, and settings that systemd calls obsolete.
	Notices []leger.Problem
	// NotChecked names the checks that this machine has no program for.
	NotChecked []string
}

// The checks that NotChecked names.
const (
	generatorCheck = "Podman's generator"
	verifierCheck  = "systemd-analyze"
)

// Check asks everybody who knows something about quadlets: our parser, whose words
// are in the set, then Podman's generator, then systemd about the units that the
// generator makes. It is the one check of leger validate and of every plan, so that
// both give the same verdict. A nil Generator or Verifier is not asked.
func Check(ctx context.Context, set *quadlet.Set, g Generator, v Verifier) (Checked, error) {
	c := Checked{Problems: slices.Clone(set.Problems), Notices: slices.Clone(set.Notices)}
	if g == nil || len(set.Files) == 0 {
		return c.sorted(), nil
	}
	units, found, err := g.Generate(ctx, set.Files)
	switch {
	case errors.Is(err, leger.ErrMissingPart):
		c.NotChecked = []string{generatorCheck, verifierCheck}
		return c.sorted(), nil
	case err != nil:
		return c, err
	}
	c.Problems = Problems(c.Problems, found)
	if v == nil {
		return c.sorted(), nil
	}
	gone := map[string]bool{} // services of quadlets that no unit could be made of
	if len(units) == 0 {
		if units, err = others(ctx, set, g, found, gone); err != nil {
			return c, err
		}
	}
	if len(units) == 0 {
		return c.sorted(), nil
	}
	found, err = v.Verify(ctx, units)
	switch {
	case errors.Is(err, leger.ErrMissingPart):
		c.NotChecked = []string{verifierCheck}
	case err != nil:
		return c, err
	}
	for _, p := range found {
		switch {
		case ownProgram(set, p), mentions(p, gone):
		case p.Unsure:
			p.Unsure = false
			c.Notices = append(c.Notices, inQuadlet(set, p))
		default:
			c.Problems = append(c.Problems, inQuadlet(set, p))
		}
	}
	return c.sorted(), nil
}

// others has the generator make units of the quadlets that it does not complain about:
// one that it does keeps it from making any, and the user would learn of what systemd
// has against the others only afterwards. gone gets the services of the ones that were
// left out.
func others(ctx context.Context, set *quadlet.Set, g Generator, complaints []leger.Problem, gone map[string]bool) (map[string][]byte, error) {
	files := maps.Clone(set.Files)
	for range set.Units { // what named one that was left out is complained about next
		before := len(files)
		for _, p := range complaints {
			for _, u := range set.Units {
				if p.File != "" && (p.File == u.File || slices.Contains(u.Parts, p.File)) {
					gone[u.Service] = true
					delete(files, u.File)
				}
			}
		}
		if len(files) == before || len(files) == 0 {
			return nil, nil
		}
		units, found, err := g.Generate(ctx, files)
		if err != nil || len(units) > 0 {
			return units, err
		}
		complaints = found
	}
	return nil, nil
}

// mentions reports whether a problem is about one of these units.
func mentions(p leger.Problem, services map[string]bool) bool {
	for service := range services {
		if strings.Contains(p.Message, service) {
			return true
		}
	}
	return false
}

func (c Checked) sorted() Checked {
	slices.SortStableFunc(c.Problems, func(x, y leger.Problem) int {
		return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line))
	})
	return c
}

// Problems joins what our parser found with what Podman's generator did. Where the
// generator accepts a file, it knows better what only our table doubts.
func Problems(ours, found []leger.Problem) []leger.Problem {
	problems := slices.Clone(ours)
	complained := func(file string) bool {
		return slices.ContainsFunc(found, func(p leger.Problem) bool { return p.File == file || p.File == "" })
	}
	// One file that cannot be read keeps the generator from looking at the others;
	// only a run that has looked at all of them accepts any.
	sure := !slices.ContainsFunc(problems, func(p leger.Problem) bool { return !p.Unsure })
	problems = slices.DeleteFunc(problems, func(p leger.Problem) bool { return p.Unsure && sure && !complained(p.File) })
	for _, p := range found {
		// What our parser has found in the file comes with line and hint.
		if !slices.ContainsFunc(problems, func(known leger.Problem) bool { return known.File == p.File }) {
			problems = append(problems, p)
		}
	}
	return problems
}

// notExecutable is systemd's complaint about a program that is not there.
var notExecutable = regexp.MustCompile(`Command (\S+) is not executable`)

// ownProgram: systemd misses a program that the release brings itself. It is
// installed together with the unit, and is not there yet.
func ownProgram(set *quadlet.Set, p leger.Problem) bool {
	match := notExecutable.FindStringSubmatch(p.Message)
	if match == nil {
		return false
	}
	for file := range set.Executable {
		if set.Executable[file] && strings.HasSuffix(match[1], "/"+file) {
			return true
		}
	}
	return false
}

var quotedKey = regexp.MustCompile(`'([A-Za-z]+)'`)

// inQuadlet finds the file and the line that a problem of a generated unit comes
// from: the line that has the key which systemd names, or its own words.
func inQuadlet(set *quadlet.Set, p leger.Problem) leger.Problem {
	i := slices.IndexFunc(set.Units, func(u quadlet.Unit) bool { return u.Service == p.File })
	if i < 0 {
		return p
	}
	u := set.Units[i]
	p.Hint = fmt.Sprintf("it is line %d of the %s that Podman makes of it", p.Line, p.File)
	if p.Line == 0 {
		p.Hint = ""
	}
	p.File, p.Line = u.File, 0
	key := quotedKey.FindStringSubmatch(p.Message)
	n := 0
	for line := range strings.Lines(string(set.Files[u.File])) {
		n++
		name, _, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && key != nil && strings.TrimSpace(name) == key[1] {
			p.Line, p.Hint = n, ""
			break
		}
	}
	return p
}
