package quadlet

import (
	"path"
	"slices"
	"strings"
)

// several takes in a file of several quadlets, as "podman quadlet install" of
// Podman 5.8 splits it: parts are divided by lines of "---", a part's first
// section that belongs to a kind says which it is, and a comment
// "# FileName=web" says its name, without suffix. The generator itself does not
// read such files; what is installed are the parts, so that any Podman takes them.
func (l *loader) several(name string) {
	if l.split == nil {
		l.split = map[string]bool{}
	}
	l.split[name] = true
	data := string(l.files[name])
	if len(data) > MaxFileSize {
		l.problem(name, 0, "divide it", "the file has more than %d MiB", MaxFileSize>>20)
		return
	}
	found, number, first, start, end := 0, 0, 1, 0, 0
	for line := range strings.Lines(data) {
		number++
		if strings.TrimSpace(line) == "---" {
			found += l.part(name, first, data[start:end])
			first, start = number+1, end+len(line)
		}
		end += len(line)
	}
	if found += l.part(name, first, data[start:]); found == 0 {
		l.problem(name, 0, `write quadlets into it, divided by lines of "---"`, "the file has no quadlet")
	}
}

// part takes in one part, which begins at line first, and gives 0 for an empty
// one, else 1.
func (l *loader) part(name string, first int, text string) int {
	trimmed := strings.TrimLeftFunc(text, isSpace)
	first += strings.Count(text[:len(text)-len(trimmed)], "\n")
	if trimmed = strings.TrimSpace(trimmed); trimmed == "" {
		return 0
	}
	kind, stem, stemLine := partHeader(trimmed)
	switch {
	case kind == "":
		l.problem(name, first, "begin the part with [Container], [Pod], [Volume], [Network], [Kube], [Image], [Build] or [Artifact]", "the part has no section that says what it is")
	case stemLine < 0 || stem == "":
		l.problem(name, first+max(stemLine, 0), "write its name without suffix: # FileName=web", "the part has no name")
	case strings.ContainsAny(stem, `/\`):
		l.problem(name, first+stemLine, "write the name alone: # FileName=web", "FileName=%s is a path", show(stem))
	case !nameShowable(stem):
		l.problem(name, first+stemLine, "use letters, digits, '.', '_', '-' and '@'", "the part's name has a space, a quote or a character that cannot be printed")
	default:
		if _, ok := kindOf(stem); ok {
			l.problem(name, first+stemLine, "leave the suffix out: Podman adds it", "FileName=%s would make %s.%s", stem, stem, kind)
		}
		l.quadlet(path.Join(path.Dir(name), stem+"."+string(kind)), kind, name, first, []byte(trimmed))
	}
	return 1
}

func isSpace(r rune) bool { return strings.TrimSpace(string(r)) == "" }

// partHeader finds the kind and the name of a part; "" and a line below 0 when
// there are none. Lines count from 0.
func partHeader(text string) (kind Kind, stem string, stemLine int) {
	stemLine = -1
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if kind == "" && strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			if k := Kind(strings.ToLower(strings.Trim(line, "[]"))); slices.Contains(Kinds(), k) {
				kind = k
			}
		}
		if comment, ok := strings.CutPrefix(line, "#"); ok && stemLine < 0 {
			if value, ok := strings.CutPrefix(strings.TrimSpace(comment), "FileName="); ok {
				stem, stemLine = strings.TrimSpace(value), n
			}
		}
		n++
	}
	return kind, stem, stemLine
}
