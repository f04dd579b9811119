package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/settings"
	"leger.run/leger/internal/terminal"
)

// Main runs leger and gives its exit code. When ctx is cancelled the command
// stops at a safe point and the code is 130.
func Main(ctx context.Context, e Env) int {
	a := newApp(e)
	a.openUnits = a.systemdUnits
	return a.run(ctx)
}

func newApp(e Env) *app {
	if e.SystemConfig == "" {
		e.SystemConfig = DefaultSystemConfig
	}
	if e.Terminal == nil {
		e.Terminal = streams{e}
	}
	if e.Hostname == nil {
		e.Hostname = os.Hostname
	}
	if e.Username == nil {
		e.Username = unixUser
	}
	if e.MachineID == "" {
		e.MachineID = DefaultMachineID
	}
	if e.After == nil {
		e.After = time.After
	}
	a := &app{out: terminal.NewWriter(e.Stdout), err: terminal.NewWriter(e.Stderr)}
	e.Stdout, e.Stderr = a.out, a.err
	a.env = e
	return a
}

// unixUser is the name of who runs this; where it has none, its number.
func unixUser() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return cmp.Or(u.Username, "uid "+u.Uid), nil
}

func (a *app) run(ctx context.Context) int {
	e := a.env
	root := a.root() //nolint:contextcheck // cobra hands the context to each command
	root.SetArgs(e.Args)
	root.SetIn(e.Stdin)
	root.SetOut(e.Stdout)
	root.SetErr(e.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = wrote(a.out.Err()) // cobra prints help and does not look
	}
	if err == nil {
		return exitDone
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if ctx.Err() != nil && leger.CodeOf(err) == leger.CodeInternal {
		err = leger.Errorf(leger.CodeInterrupted, "interrupted")
	}
	a.printError(cmd, err)
	return exitCode(err)
}

// app is one run of the command.
type app struct {
	env   Env
	flags flags
	// out and err are Env's streams, which nothing writes to past them.
	out, err *terminal.Writer
	known    *settings.Settings
	// openUnits connects to the user's systemd; a test puts its own there.
	openUnits func() (deploy.Units, func(), error)
}

// flags are those every command takes.
type flags struct {
	server                                 string
	json, quiet, verbose, noInput, noColor bool
}

// usageError is a mistake on the command line: the only error that shows usage.
type usageError struct{ err *leger.Error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func usage(format string, args ...any) error {
	return usageError{leger.Errorf(leger.CodeInvalid, format, args...)}
}

// printError says what happened and what to do next, once.
func (a *app) printError(cmd *cobra.Command, err error) {
	text := err.Error()
	hint := ""
	if e, ok := errors.AsType[*leger.Error](err); ok {
		hint = e.Hint
		if e.Code == leger.CodeInternal && e.RequestID != "" {
			text += " (request " + e.RequestID + ")"
		}
		if e.RetryAfter > 0 && hint == "" {
			hint = fmt.Sprintf("try again in %d s", e.RetryAfter)
		}
	}
	a.errln("leger: ", terminal.Hang(leger.WithoutPasswords(text), len("leger: ")))
	if _, ok := errors.AsType[usageError](err); ok {
		a.errln("usage: " + cmd.UseLine())
		if hint == "" {
			hint = cmd.CommandPath() + " --help"
		}
	}
	if hint != "" {
		a.errln("hint: ", terminal.Hang(hint, len("hint: ")))
	}
}

func (a *app) errln(parts ...any) { _ = a.err.Print(append(parts, "\n")...) }

// runner executes programs with the user's own PATH.
func (a *app) runner() *run.Runner { return run.New(run.Config{Path: a.env.get("PATH")}) }
