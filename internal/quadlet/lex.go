package quadlet

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"leger.run/leger"
)

// Document is one unit file as written.
type Document struct {
	Name     string // path of the file
	Sections []Section
}

// Section is one [Name] block. A name may come more than once; the blocks then
// count as one.
type Section struct {
	Name        string
	Line        int
	Assignments []Assignment
}

// Assignment is one Key=Value line, continuations joined.
type Assignment struct {
	Key   string
	Value string
	File  string // where it is written: the unit file itself or a drop-in
	Line  int
}

// Parse reads a unit file. It gives what could be read and every line that could
// not. As in Podman's generator, space around a line and around "=" does not
// count, a line that ends in "\" goes on with the next one without the "\", and
// empty lines and those that begin with "#" or ";" are comments, between
// continued lines too.
func Parse(name string, data []byte) (Document, []leger.Problem) {
	p := docParser{doc: Document{Name: name}}
	if !utf8.Valid(data) {
		p.problem(0, "the file is not UTF-8 text", "save it as UTF-8")
		return p.doc, p.problems
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	held, heldLine := "", 0
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if held == "" {
			heldLine = i + 1
		}
		if part, more := strings.CutSuffix(line, `\`); more {
			held += part
			continue
		}
		p.line(heldLine, held+line)
		held = ""
	}
	if held != "" {
		p.problem(heldLine, `the last line ends in "\", as if it went on`, `remove the "\"`)
		p.line(heldLine, strings.TrimSpace(held))
	}
	return p.doc, p.problems
}

type docParser struct {
	doc      Document
	problems []leger.Problem
}

func (p *docParser) problem(line int, message, hint string) {
	p.problems = append(p.problems, leger.Problem{File: p.doc.Name, Line: line, Message: message, Hint: hint})
}

func (p *docParser) line(n int, line string) {
	// Format characters (Cf) reorder or hide what a person sees on the screen.
	if strings.ContainsFunc(line, func(r rune) bool { return (unicode.IsControl(r) && r != '\t') || unicode.Is(unicode.Cf, r) }) {
		p.problem(n, "the line has a control character", "remove it: it hides text from whoever reads the file")
		return
	}
	if name, ok := strings.CutPrefix(line, "["); ok {
		name, rest, closed := strings.Cut(name, "]")
		if !closed || strings.TrimSpace(rest) != "" || name == "" || strings.Contains(name, "[") {
			p.problem(n, fmt.Sprintf("%s is not a section header", show(line)), "write [Section] alone on the line")
			return
		}
		p.doc.Sections = append(p.doc.Sections, Section{Name: name, Line: n})
		return
	}
	key, value, ok := strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	switch {
	case !ok || key == "":
		p.problem(n, fmt.Sprintf("%s is neither Key=Value, nor a [Section], nor a comment", show(line)),
			`a value that spans lines needs "\" at the end of each line but the last`)
	case len(p.doc.Sections) == 0:
		p.problem(n, fmt.Sprintf("%s comes before any section", show(key)), "begin the file with a section, such as [Container]")
	default:
		s := &p.doc.Sections[len(p.doc.Sections)-1]
		s.Assignments = append(s.Assignments, Assignment{
			Key: key, Value: strings.TrimSpace(value), File: p.doc.Name, Line: n,
		})
	}
}

// show quotes a piece of a file in a message, cut to a readable length.
func show(s string) string {
	const most = 60
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}

// all gives the assignments of a key in a section. An assignment of the empty
// value forgets those before it.
func (d Document) all(section, key string) []Assignment {
	var found []Assignment
	for _, s := range d.Sections {
		if s.Name != section {
			continue
		}
		for _, a := range s.Assignments {
			switch {
			case a.Key != key:
			case a.Value == "":
				found = nil
			default:
				found = append(found, a)
			}
		}
	}
	return found
}

// last gives the last assignment of a key with quotes around the whole value
// removed; ok is false when there is none or it is empty.
func (d Document) last(section, key string) (a Assignment, ok bool) {
	found := d.all(section, key)
	if len(found) == 0 {
		return Assignment{}, false
	}
	a = found[len(found)-1]
	a.Value = strings.Trim(a.Value, `"`)
	return a, a.Value != ""
}

// words splits the values of a key into words, each with the line it came from.
func (d Document) words(section, key string) []Assignment {
	var found []Assignment
	for _, a := range d.all(section, key) {
		for _, w := range splitWords(a.Value) {
			found = append(found, Assignment{Key: a.Key, Value: w, File: a.File, Line: a.Line})
		}
	}
	return found
}

// truth reads the last value of a key as systemd reads a boolean.
func (d Document) truth(section, key string, otherwise bool) bool {
	a, ok := d.last(section, key)
	if !ok {
		return otherwise
	}
	switch strings.ToLower(a.Value) {
	case "1", "yes", "true", "on", "y", "t":
		return true
	default:
		return false
	}
}

func (d Document) has(section string) bool {
	for _, s := range d.Sections {
		if s.Name == section {
			return true
		}
	}
	return false
}
