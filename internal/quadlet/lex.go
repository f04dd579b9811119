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
	size     int // bytes
	first    int // line of Name at which it begins; 0: it is the whole file
}

// Section is one [Name] block. A name may come more than once; the blocks then
// count as one.
type Section struct {
	Name        string
	File        string // where it is written: the unit file itself or a drop-in
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
//
// It refuses three things that Podman takes: text that is not UTF-8, characters
// that a terminal obeys or that reorder text, and a continued line that only
// comments follow, which Podman forgets without a word.
func Parse(name string, data []byte) (Document, []leger.Problem) {
	return parseAt(name, 1, data)
}

// parseAt reads a unit file that begins at a line of the file called name.
func parseAt(name string, first int, data []byte) (Document, []leger.Problem) {
	p := docParser{doc: Document{Name: name, size: len(data)}}
	if !utf8.Valid(data) {
		p.problem(0, "the file is not UTF-8 text", "save it as UTF-8")
		return p.doc, p.problems
	}
	text, marked := strings.CutPrefix(string(data), "\ufeff")
	if marked {
		p.problem(first, "the file begins with a byte order mark, which Podman takes for part of the first line", "save it as UTF-8 without a byte order mark")
	}
	held, heldLine, number := "", 0, first-1
	rest, left := strings.TrimSuffix(text, "\n"), true
	for left {
		var line string
		line, rest, left = strings.Cut(rest, "\n")
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if held == "" {
			heldLine = number
		}
		part, more := strings.CutSuffix(line, `\`)
		if more && left {
			held += part
			continue
		}
		p.line(heldLine, held+part)
		held = ""
	}
	if held != "" {
		p.problem(heldLine, `the line ends in "\" and only comments follow: Podman forgets it`, `remove the "\"`)
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
	switch line = strings.TrimSpace(line); {
	case line == "":
	case strings.ContainsFunc(line, deceives):
		p.problem(n, "the line has a control character", "remove it: it hides text from whoever reads the file")
	case line[0] == '[':
		p.section(n, line)
	default:
		p.assignment(n, line)
	}
}

// deceives: format characters (Cf) reorder or hide what a person sees on the
// screen, control characters can do anything to it.
func deceives(r rune) bool {
	return (unicode.IsControl(r) && r != '\t') || unicode.Is(unicode.Cf, r)
}

func (p *docParser) section(n int, line string) {
	name, rest, closed := strings.Cut(line[1:], "]")
	if !closed || strings.TrimSpace(rest) != "" || name == "" || strings.Contains(name, "[") {
		p.problem(n, fmt.Sprintf("%s is not a section header", show(line)), "write [Section] alone on the line")
		return
	}
	p.doc.Sections = append(p.doc.Sections, Section{Name: name, File: p.doc.Name, Line: n})
}

func (p *docParser) assignment(n int, line string) {
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

// plain is show for a name: without quotes where it needs none.
func plain(name string) string {
	if nameShowable(name) && len(name) <= 60 {
		return name
	}
	return show(name)
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

// lookup gives the last assignment of a key, with double quotes around the whole
// value removed, as Podman reads keys that have one value; ok is true for an empty
// one, too.
func (d Document) lookup(section, key string) (a Assignment, ok bool) {
	for _, s := range d.Sections {
		if s.Name != section {
			continue
		}
		for _, found := range s.Assignments {
			if found.Key == key {
				a, ok = found, true
			}
		}
	}
	if v := a.Value; len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		a.Value = v[1 : len(v)-1]
	}
	return a, ok
}

// last is lookup of a value that is not empty.
func (d Document) last(section, key string) (a Assignment, ok bool) {
	a, _ = d.lookup(section, key)
	return a, a.Value != ""
}

// args and list split the values of a key into words, each with the line it came
// from; see splitArgs and splitList. What cannot be split, Podman skips.
func (d Document) args(section, key string) []Assignment {
	return d.split(section, key, splitArgs)
}

func (d Document) list(section, key string) []Assignment {
	return d.split(section, key, splitList)
}

func (d Document) split(section, key string, split func(string) ([]string, error)) []Assignment {
	var found []Assignment
	for _, a := range d.all(section, key) {
		words, _ := split(a.Value) // checkSplit reports it
		for _, w := range words {
			found = append(found, Assignment{Key: a.Key, Value: w, File: a.File, Line: a.Line})
		}
	}
	return found
}

// truth reads the last value of a key as Podman reads a boolean: what is not yes
// is no.
func (d Document) truth(section, key string, otherwise bool) bool {
	a, ok := d.lookup(section, key)
	if !ok {
		return otherwise
	}
	return isTrue(a.Value)
}

func isTrue(value string) bool {
	switch strings.ToLower(value) {
	case "1", "yes", "true", "on":
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
