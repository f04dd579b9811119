package quadlet

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"leger.run/leger"
)

// keysOf is keysOf, remembered.
func (l *loader) keysOf(section string) (map[string]Version, bool) {
	since, ok := l.keys[section]
	if !ok {
		since, _ = keysOf(section)
		l.keys[section] = since
	}
	return since, since != nil
}

// checkSections reports sections and keys that Podman does not know, and keys that
// the machine's Podman is too old for.
func (l *loader) checkSections(doc Document, kind Kind) {
	for _, s := range doc.Sections {
		keys, podmans := l.keysOf(s.Name)
		switch {
		case passedOn(s.Name):
			continue
		case !podmans:
			l.problem(s.File, s.Line, hintFrom("did you mean [%s]?", s.Name, sections(kind)), "%s is not a section that Podman or systemd knows", show(s.Name))
			continue
		case s.Name != kind.Section() && s.Name != "Quadlet":
			l.problem(s.File, s.Line, "move it into a file of its own that ends in ."+strings.ToLower(s.Name),
				"[%s] has no effect in a .%s file", s.Name, kind)
			continue
		}
		for _, a := range s.Assignments {
			l.checkKey(a, s.Name, keys)
		}
	}
}

// checkKey: a key of a newer Podman than the newest that is known here looks like
// a mistyped one, so both are unsure; the machine's own generator knows.
func (l *loader) checkKey(a Assignment, section string, keys map[string]Version) {
	since, ok := keys[a.Key]
	if ok {
		if kind, _ := kindOf("x." + strings.ToLower(section)); since != kind.Since() { // else it is the kind that is too new
			l.requires(since, a.File, a.Line, fmt.Sprintf("%s= in [%s]", a.Key, section))
		}
		return
	}
	p := leger.Problem{File: a.File, Line: a.Line, Unsure: true, Message: fmt.Sprintf("%s is not a key of [%s]", show(a.Key), section)}
	if len(l.set.Problems) < MaxProblems { // else nobody will read it, and finding one takes its time
		p.Hint = hintFrom("did you mean %s?", a.Key, slices.Sorted(maps.Keys(keys)))
	}
	l.add(p)
}

func sections(kind Kind) []string {
	return []string{kind.Section(), "Unit", "Service", "Install", "Quadlet"}
}

// splitting says how Podman divides the values of a key into words, nil for one
// that it does not divide.
func splitting(section, key string) func(string) ([]string, error) {
	switch section {
	case "Install":
		if slices.Contains([]string{"WantedBy", "RequiredBy", "UpheldBy", "Alias"}, key) {
			return splitList
		}
		return nil
	case "Unit":
		if slices.Contains(dependencyKeys(), key) {
			return splitList
		}
		return nil
	case "Service":
		return nil
	}
	switch key {
	case "Annotation", "BuildArg", "Environment", "EnvironmentFile", "Exec", "GlobalArgs", "Label", "Mask", "Mount",
		"PodmanArgs", "ReloadCmd", "Secret", "Unmask":
		return splitArgs
	case "Options":
		if section == "Network" {
			return splitArgs
		}
	case "AutoUpdate":
		if section == "Kube" {
			return splitList
		}
	case "AddCapability", "AddDevice", "ConfigMap", "DropCapability", "GIDMap", "LogOpt", "RemapGid", "RemapUid", "Sysctl",
		"UIDMap", "Yaml":
		return splitList
	}
	return nil
}

// checkSplit reports values that Podman skips, or reads only the beginning of,
// without saying so.
func (l *loader) checkSplit(doc Document, kind Kind) {
	seen := map[[2]string]bool{}
	for _, s := range doc.Sections {
		if s.Name != kind.Section() && s.Name != "Unit" && s.Name != "Install" {
			continue
		}
		for _, a := range s.Assignments {
			split, id := splitting(s.Name, a.Key), [2]string{s.Name, a.Key}
			if split == nil || seen[id] {
				continue
			}
			seen[id] = true
			l.checkValues(doc, s.Name, a.Key, split)
		}
	}
}

func (l *loader) checkValues(doc Document, section, key string, split func(string) ([]string, error)) {
	found := doc.all(section, key)
	if key == "Exec" || key == "ReloadCmd" { // only the last one counts
		found = found[max(0, len(found)-1):]
	}
	for _, a := range found {
		_, err := split(a.Value)
		switch {
		case errors.Is(err, errEscape):
			l.problemAt(a, `write \\ for a backslash that is meant as one`, "Podman skips this %s=: %s", key, err.Error())
		case errors.Is(err, errQuote):
			l.problemAt(a, "close the quote", "Podman skips this %s=: %s", key, err.Error())
		case err != nil:
			l.problemAt(a, "leave out the empty quotes", "Podman reads only the beginning of this %s=: %s", key, err.Error())
		}
	}
}

// checkSet reports what is wrong between the units.
func (l *loader) checkSet() {
	if len(l.set.Units) == 0 {
		l.problem("", 0, "check the release's path: the quadlets (.container, .pod, .volume, …) must be in it or below",
			"there is no quadlet here")
	}
	byName, byService, byResource := map[string]string{}, map[string]string{}, map[string]string{}
	for _, u := range l.set.Units {
		resource := string(u.Kind) + " " + u.Resource
		if first, ok := byName[path.Base(u.File)]; ok {
			l.problem(u.Written, u.Line, "rename one of them", "%s has the same name, and Podman would use only one of the two", first)
		} else if first, ok := byService[u.Service]; ok {
			l.problem(u.Written, u.Line, "rename one of them, or give it a ServiceName=", "%s makes the same unit, %s", first, u.Service)
		} else if first, ok := byResource[resource]; ok {
			l.problem(u.Written, u.Line, "name one of them otherwise", "%s calls its %s %s, too: each would remove the other's", first, u.Kind, show(u.Resource))
		}
		byName[path.Base(u.File)], byService[u.Service] = u.File, u.File
		if (u.Kind == Container || u.Kind == Pod) && !strings.Contains(u.Resource, "%") {
			byResource[resource] = u.File
		}
	}
	for _, u := range l.set.Units {
		for _, alias := range u.Aliases {
			if first, ok := byService[alias.Value]; ok && first != u.File {
				l.problem(alias.File, alias.Line, "leave it out", "Alias=%s is the unit of %s", show(alias.Value), first)
			}
		}
	}
	for _, d := range l.dropIns {
		if !d.used {
			l.problem(d.doc.Name, 0, "name its directory after the quadlet, with .d at the end", "no quadlet %s is here for it to change", show(d.base))
		}
	}
	l.checkPorts()
	l.checkOrder()
	l.checkBoot()
}

// checkPorts reports ports of the machine that two units want which are to run at
// the same time.
func (l *loader) checkPorts() {
	var taken []Port
	by := map[Ref]string{}
	for _, u := range l.set.ToRun() {
		if len(taken)+len(u.Published) > MaxPorts {
			l.problem(u.Written, u.Line, "publish fewer ports, or ranges of them", "there are more than %d published ports", MaxPorts)
			return
		}
		for _, p := range u.Published {
			if i := slices.IndexFunc(taken, p.Overlaps); i >= 0 {
				first := Ref{File: taken[i].File, Line: taken[i].Line}
				if at := (Ref{File: p.File, Line: p.Line}); at != first && by[first] != u.File {
					l.problem(p.File, p.Line, "give one of them another port", "%s wants the port %s of this machine, too", by[first], portRange(taken[i].Host, taken[i].HostEnd))
				}
			}
		}
		for _, p := range u.Published {
			taken, by[Ref{File: p.File, Line: p.Line}] = append(taken, p), u.File
		}
	}
}
