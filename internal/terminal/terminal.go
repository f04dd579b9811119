// Package terminal makes text fit to be shown to a person.
//
// Names, messages, journals and files come from repositories, containers and
// servers. A terminal obeys what some of their characters say: it moves the cursor,
// overwrites lines, retitles the window, or shows text in another order than it has
// (bidirectional overrides). What goes through this package cannot do so: each
// character that is not printable becomes U+FFFD.
//
// A Writer is the only way to a terminal that a program needs, so that nobody has to
// remember; Line is for text that goes into an error or a report. Whether a name or a
// file is acceptable is not decided here.
package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"leger.run/leger"
)

// Text keeps line breaks and tabs, and nothing else that is not printable.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return shown(r)
	}, s)
}

// Fold puts text of several lines on one, with "; " in the place of the breaks: no part
// of what somebody else wrote can then pass for a line of the program's own.
func Fold(s string) string {
	if !strings.Contains(s, "\n") {
		return s
	}
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// Hang does what Fold is for where the lines should stay lines: all but the first begin
// with so many spaces.
func Hang(s string, by int) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+strings.Repeat(" ", by))
}

// Line gives printable text on one line, of at most so many bytes; an ellipsis shows
// that it was cut. Spaces at its end go.
func Line(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\t' {
			return ' '
		}
		return shown(r)
	}, strings.TrimRightFunc(s, unicode.IsSpace))
	const ellipsis = "…"
	if len(s) <= most {
		return s
	}
	cut := max(most-len(ellipsis), 0)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}

// shown is the one rule. Bytes that are not UTF-8 arrive as U+FFFD already.
func shown(r rune) rune {
	switch {
	case leger.Printable(r):
		return r
	case unicode.Is(unicode.Zs, r): // such as the no-break space
		return ' '
	default:
		return unicode.ReplacementChar
	}
}

// Colour is an SGR parameter (ECMA-48, 8.3.117); "" is none.
type Colour string

// The colours there are.
const (
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
	Bold   Colour = "1"
)

// Painted is text in a colour.
type Painted struct {
	Colour Colour
	Text   string
}

// String gives the text alone, so that an escape sequence comes from Print only.
func (p Painted) String() string { return p.Text }

// Writer passes on what a person may see. It may be used by several goroutines.
type Writer struct {
	mu   sync.Mutex
	to   io.Writer
	part []byte // a character of which Write has seen the beginning
	err  error  // of the first write that failed
}

// NewWriter writes to a terminal, or to what stands in for one.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to} }

// Write is for what arrives in pieces: a character may be cut in two.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.part, p...)
	end := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if utf8.RuneStart(text[len(text)-back]) {
			if !utf8.FullRune(text[len(text)-back:]) {
				end = len(text) - back
			}
			break
		}
	}
	w.part = bytes.Clone(text[end:])
	if err := w.pass(Text(string(text[:end]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Print writes its operands as fmt.Sprint formats each, one after the other, and
// those of type Painted in their colour.
func (w *Writer) Print(parts ...any) error {
	var b strings.Builder
	for _, part := range parts {
		text := Text(fmt.Sprint(part))
		if p, ok := part.(Painted); ok && p.Colour != "" {
			text = "\x1b[" + string(p.Colour) + "m" + text + "\x1b[0m"
		}
		b.WriteString(text)
	}
	return w.Raw(b.String())
}

// JSON writes v, indented. Characters that are not printable are escaped, which
// leaves the value what it is: a terminal may show JSON too.
func (w *Writer) JSON(v any) error { return w.json(v, "  ") }

// JSONLine is JSON on one line.
func (w *Writer) JSONLine(v any) error { return w.json(v, "") }

func (w *Writer) json(v any, indent string) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range text.String() { // valid UTF-8: encoding/json sees to it
		switch {
		case r == '\n' || leger.Printable(r):
			b.WriteRune(r)
		case r <= 0xffff:
			_, _ = fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			_, _ = fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return w.Raw(b.String())
}

// Raw writes the bytes as they are, for data that goes to a file or a pipe.
func (w *Writer) Raw(s string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pass(s)
}

// Err gives the error of the first write that failed: packages that print help, or
// run a program whose output this is, do not tell.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) pass(s string) error {
	_, err := io.WriteString(w.to, s)
	if w.err == nil {
		w.err = err
	}
	return err
}
