package cli

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"unicode/utf8"

	"leger.run/leger"
	"leger.run/leger/internal/terminal"
)

// print writes data to stdout.
func (a *app) print(parts ...any) error { return wrote(a.out.Print(parts...)) }

// wrote explains a failed write to stdout. A reader that has seen enough (head)
// is no failure.
func wrote(err error) error {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return leger.WrapFile(leger.CodeDisk, err, "write to standard output")
}

// printJSON writes one JSON value to stdout. The shapes are the types of package
// wire and those of this package whose names end in JSON; they only ever grow.
func (a *app) printJSON(v any) error {
	return wrote(a.out.JSON(v))
}

// say tells what is going on, unless --quiet. Its operands, and those of the two
// below, come from servers and repositories: each stays within its line.
func (a *app) say(format string, args ...any) {
	fold(args)
	if !a.flags.quiet {
		a.errln(fmt.Sprintf(format, args...))
	}
}

// detail tells it only with --verbose.
func (a *app) detail(format string, args ...any) {
	fold(args)
	if a.flags.verbose {
		a.errln(fmt.Sprintf(format, args...))
	}
}

// warn tells what the user should know, --quiet or not.
func (a *app) warn(format string, args ...any) {
	fold(args)
	a.errln(a.paint(yellow, "warning:"), " ", fmt.Sprintf(format, args...))
}

// fold puts operands that are text on one line each.
func fold(operands []any) {
	for i, operand := range operands {
		switch v := operand.(type) {
		case error:
			operands[i] = terminal.Fold(leger.WithoutPasswords(v.Error()))
		case fmt.Stringer:
			operands[i] = terminal.Fold(v.String())
		case string:
			operands[i] = terminal.Fold(v)
		}
	}
}

const (
	red    = terminal.Red
	green  = terminal.Green
	yellow = terminal.Yellow
	bold   = terminal.Bold
)

// paint colours text where somebody sees it: for stderr and stdout alike both
// must be terminals, so that no escape ever lands in a file.
func (a *app) paint(c terminal.Colour, s string) terminal.Painted {
	_, no := a.env.LookupEnv("NO_COLOR")
	t := a.env.Terminal
	if a.flags.noColor || no || a.env.get("TERM") == "dumb" || !t.Out() || !t.Err() {
		c = ""
	}
	return terminal.Painted{Colour: c, Text: s}
}

// table prints rows under a heading, columns aligned, nothing cut off.
func (a *app) table(head []string, rows [][]string) error {
	widths := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(oneCell(cell)))
		}
	}
	line := func(row []string) string {
		var l strings.Builder
		for i, cell := range row {
			cell = oneCell(cell)
			l.WriteString(cell)
			if i < len(row)-1 {
				l.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		return strings.TrimRight(l.String(), " ")
	}
	parts := []any{a.paint(bold, line(head)), "\n"}
	for _, row := range rows {
		parts = append(parts, line(row), "\n")
	}
	return a.print(parts...)
}

// oneCell keeps a cell on its line.
func oneCell(s string) string { return terminal.Line(s, math.MaxInt) }

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
	f := &failureJSON{Code: leger.CodeOf(err), Message: leger.WithoutPasswords(err.Error())}
	if e, ok := errors.AsType[*leger.Error](err); ok {
		f.Hint = e.Hint
	}
	return f
}
