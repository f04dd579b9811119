package cli

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"leger.run/leger"
	"leger.run/leger/internal/prompt"
	"leger.run/leger/internal/terminal"
)

// Terminal tells which streams somebody sits at, and asks them.
type Terminal interface {
	// In, Out and Err report whether stdin, stdout and stderr are terminals.
	In() bool
	Out() bool
	Err() bool
	// ReadLine reads a line from stdin, without its end.
	ReadLine() (string, error)
	// ReadHidden reads what is typed or pasted at stdin until Enter, without showing
	// it, and leaves nothing of it for whoever reads the terminal next.
	// ErrInterrupted when it is given up, or ctx ends.
	ReadHidden(ctx context.Context) ([]byte, error)
}

// streams finds out from Env's own streams.
type streams struct{ env Env }

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (s streams) In() bool  { return isTerminal(s.env.Stdin) }
func (s streams) Out() bool { return isTerminal(s.env.Stdout) }
func (s streams) Err() bool { return isTerminal(s.env.Stderr) }

func (s streams) ReadLine() (string, error) {
	lines := bufio.NewReader(s.env.Stdin)
	line, err := lines.ReadString('\n')
	if err != nil && (err != io.EOF || line == "") {
		return "", err
	}
	// What was pasted behind an answer would be run by the shell.
	if f, ok := s.env.Stdin.(*os.File); ok && isTerminal(f) && (prompt.Drain(f) || lines.Buffered() > 0) {
		return "", errPasted
	}
	return strings.TrimRight(line, "\r\n"), nil
}

var errPasted = leger.Errorf(leger.CodeInvalid, "several lines were pasted in answer to a question: nothing was changed").
	WithHint("run the command again and answer with y or n")

// ReadHidden implements Terminal.
func (s streams) ReadHidden(ctx context.Context) ([]byte, error) {
	f, ok := s.env.Stdin.(*os.File)
	if !ok {
		return nil, leger.Errorf(leger.CodeUnavailable, "the terminal cannot hide what is typed").WithHint(valueElsewhere)
	}
	var out io.Writer
	if s.Err() {
		out = s.env.Stderr
	}
	return prompt.Hidden(ctx, f, out, valueElsewhere)
}

// valueElsewhere is how to give a value without typing it.
const valueElsewhere = "give a value of several lines with --file FILE, or on standard input"

// mayAsk reports whether there is somebody to ask.
func (a *app) mayAsk() bool {
	return !a.flags.noInput && a.env.Terminal.In() && a.env.Terminal.Err()
}

// confirm asks a yes-or-no question; anything but yes is no.
func (a *app) confirm(ctx context.Context, question string) (bool, error) {
	a.prompt(terminal.Fold(question) + " [y/N] ")
	line, err := await(ctx, a.env.Terminal.ReadLine, func() {})
	if err != nil {
		a.errln("")
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	default:
		return false, nil
	}
}

// hidden asks for a value that is not shown.
func (a *app) hidden(ctx context.Context, question string) ([]byte, error) {
	a.prompt(question)
	value, err := a.env.Terminal.ReadHidden(ctx)
	a.errln("")
	return value, err
}

func (a *app) prompt(s string) { _ = a.err.Print(s) }

// await gives up a read that Ctrl-C interrupts: the read itself cannot be ended,
// but the process is about to.
func await[T any](ctx context.Context, read func() (T, error), restore func()) (T, error) {
	type answer struct {
		v   T
		err error
	}
	got := make(chan answer, 1)
	go func() {
		v, err := read()
		got <- answer{v, err}
	}()
	var zero T
	select {
	case <-ctx.Done():
		restore()
		return zero, leger.Errorf(leger.CodeInterrupted, "interrupted: nothing was changed")
	case r := <-got:
		if known, ok := errors.AsType[*leger.Error](r.err); ok {
			return zero, known
		}
		if r.err != nil {
			return zero, leger.Wrap(leger.CodeInvalid, r.err, "nothing could be read from the terminal")
		}
		return r.v, nil
	}
}
