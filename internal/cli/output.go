package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"unicode/utf8"

	"leger.run/leger"
)

// print writes data to stdout.
func (a *app) print(s string) error {
	_, err := io.WriteString(a.env.Stdout, s)
	return wrote(err)
}

// wrote explains a failed write to stdout. A reader that has seen enough (head)
// is no failure.
func wrote(err error) error {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return leger.WrapFile(leger.CodeDisk, err, "write to standard output")
}

// helpWriter remembers a failed write: cobra prints help and does not look.
type helpWriter struct {
	to  io.Writer
	err error
}

func (w *helpWriter) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// printJSON writes one JSON value to stdout. The shapes are the types of package
// wire and those of this package whose names end in JSON; they only ever grow.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.env.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return wrote(enc.Encode(v))
}

// say tells what is going on, unless --quiet.
func (a *app) say(format string, args ...any) {
	if !a.flags.quiet {
		a.errln(clean(fmt.Sprintf(format, args...)))
	}
}

// detail tells it only with --verbose.
func (a *app) detail(format string, args ...any) {
	if a.flags.verbose {
		a.errln(clean(fmt.Sprintf(format, args...)))
	}
}

// warn tells what the user should know, --quiet or not.
func (a *app) warn(format string, args ...any) {
	a.errln(a.paint(yellow, "warning:") + " " + clean(fmt.Sprintf(format, args...)))
}

// colour is an SGR parameter (ECMA-48, 8.3.117).
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	bold   colour = "1"
)

// paint colours text where somebody sees it: for stderr and stdout alike both
// must be terminals, so that no escape ever lands in a file.
func (a *app) paint(c colour, s string) string {
	_, no := a.env.LookupEnv("NO_COLOR")
	t := a.env.Terminal
	if a.flags.noColor || no || a.env.get("TERM") == "dumb" || !t.Out() || !t.Err() {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// table prints rows under a heading, columns aligned, nothing cut off.
func (a *app) table(head []string, rows [][]string) error {
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(cell)))
		}
	}
	var b strings.Builder
	line := func(row []string, paint func(string) string) {
		var l strings.Builder
		for i, cell := range row {
			cell = clean(cell)
			l.WriteString(cell)
			if i < len(row)-1 {
				l.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteString(paint(strings.TrimRight(l.String(), " ")) + "\n")
	}
	line(head, func(s string) string { return a.paint(bold, s) })
	for _, row := range rows {
		line(row, func(s string) string { return s })
	}
	return a.print(b.String())
}

// failureJSON is how an error stands beside a result.
type failureJSON struct {
	Code    leger.Code `json:"code"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
}

func failureOf(err error) *failureJSON {
	if err == nil {
		return nil
	}
	f := &failureJSON{Code: leger.CodeOf(err), Message: err.Error()}
	if e, ok := errors.AsType[*leger.Error](err); ok {
		f.Hint = e.Hint
	}
	return f
}
