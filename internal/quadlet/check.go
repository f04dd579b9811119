package quadlet

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"leger.run/leger"
)

// checkSections reports sections and keys that Podman does not know.
func (l *loader) checkSections(doc Document, kind Kind) {
	for _, s := range doc.Sections {
		keys, podmans := Keys(s.Name)
		switch {
		case passedOn(s.Name):
			continue
		case !podmans:
			l.problem(fileOf(doc, s), s.Line, hintFrom("did you mean [%s]?", s.Name, sections(kind)), "%s is not a section that Podman or systemd knows", show(s.Name))
			continue
		case s.Name != kind.Section() && s.Name != "Quadlet":
			l.problem(fileOf(doc, s), s.Line, "move it into a file of its own that ends in ."+strings.ToLower(s.Name),
				"[%s] has no effect in a .%s file", s.Name, kind)
			continue
		}
		for _, a := range s.Assignments {
			if !slices.Contains(keys, a.Key) {
				l.set.Problems = append(l.set.Problems, leger.Problem{
					File: a.File, Line: a.Line, Unsure: true,
					Message: fmt.Sprintf("%s is not a key of [%s]", show(a.Key), s.Name),
					Hint:    hintFrom("did you mean %s?", a.Key, keys),
				})
			}
		}
	}
}

// fileOf is where a section is written; sections of drop-ins were appended.
func fileOf(doc Document, s Section) string {
	if len(s.Assignments) > 0 {
		return s.Assignments[0].File
	}
	return doc.Name
}

func sections(kind Kind) []string {
	return []string{kind.Section(), "Unit", "Service", "Install", "Quadlet"}
}

// checkRequired reports what Podman's generator would refuse in one unit.
func (l *loader) checkRequired(u Unit, doc Document) {
	section := u.Kind.Section()
	if optional := u.Kind == Pod || u.Kind == Volume || u.Kind == Network; !doc.has(section) && !optional {
		l.problem(u.File, 0, fmt.Sprintf("begin it with [%s]", section), "the file has no section [%s]", section)
		return
	}
	missing := func(key, hint string) {
		l.problem(u.File, sectionLine(doc, section), hint, "[%s] has no %s=", section, key)
	}
	has := func(key string) bool { _, ok := doc.last(section, key); return ok }
	switch u.Kind {
	case Container:
		if has("Image") && has("Rootfs") {
			a, _ := doc.last(section, "Rootfs")
			l.problem(a.File, a.Line, "keep one of the two", "Image= and Rootfs= exclude each other")
		} else if !has("Image") && !has("Rootfs") {
			missing("Image", "say which image the container runs: Image=registry/name:tag")
		}
	case Image:
		if !has("Image") {
			missing("Image", "say which image to pull")
		}
	case Artifact:
		if !has("Artifact") {
			missing("Artifact", "say which artifact to pull")
		}
	case Kube:
		if !has("Yaml") {
			missing("Yaml", "name the Kubernetes file: Yaml=app.yaml")
		}
	case Build:
		if !has("ImageTag") {
			missing("ImageTag", "name the image that is built: ImageTag=localhost/name")
		}
		if !has("File") && !has("SetWorkingDirectory") {
			missing("File", "name the Containerfile: File=Containerfile")
		}
	case Pod, Volume, Network:
	}
	for _, image := range u.Images {
		if strings.HasPrefix(image.Value, "-") {
			l.problem(image.File, image.Line, "name the image: registry/name:tag", "Image=%s would be an option to Podman, not an image", image.Value)
		}
	}
	if a, ok := doc.last(section, "ServiceName"); ok && !unitName(a.Value) {
		l.problem(a.File, a.Line, "use letters, digits, '.', '_', '-' and '@', and leave out the .service", "ServiceName=%s is not a name systemd takes", show(a.Value))
	}
	for _, key := range []string{"User", "Group", "DynamicUser"} {
		if a, ok := doc.last("Service", key); ok {
			l.problem(a.File, a.Line, "use User= and Group= of [Container] for the user inside the container",
				"Podman does not allow %s= in [Service]", key)
		}
	}
}

func sectionLine(doc Document, name string) int {
	for _, s := range doc.Sections {
		if s.Name == name {
			return s.Line
		}
	}
	return 0
}

// checkSet reports what is wrong between the units.
func (l *loader) checkSet() {
	if len(l.set.Units) == 0 {
		l.problem("", 0, "check the release's path: the quadlets (.container, .pod, .volume, …) must be in it or below",
			"there is no quadlet here")
	}
	byName, byService := map[string]string{}, map[string]string{}
	for _, u := range l.set.Units {
		if first, ok := byName[path.Base(u.File)]; ok {
			l.problem(u.File, 0, "rename one of them", "%s has the same name, and Podman would use only one of the two", first)
		} else if first, ok := byService[u.Service]; ok {
			l.problem(u.File, 0, "rename one of them, or give it a ServiceName=", "%s makes the same unit, %s", first, u.Service)
		}
		byName[path.Base(u.File)], byService[u.Service] = u.File, u.File
	}
	for _, d := range l.dropIns {
		if !d.used {
			l.problem(d.doc.Name, 0, "name its directory after the quadlet, with .d at the end", "no quadlet %s is here for it to change", show(d.base))
		}
	}
}

// hintFrom suggests the known word nearest to a mistyped one, "" if none is near.
func hintFrom(format, word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "see podman-systemd.unit(5) for what can stand here"
	}
	return fmt.Sprintf(format, best)
}

// distance counts the insertions, deletions and changes between two words
// (Levenshtein). Words longer than any key are simply far.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
