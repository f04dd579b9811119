package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/terminal"
)

// patience bounds each check: doctor is for when things do not answer.
const patience = 5 * time.Second

// condition is how a checked part is.
type condition string

const (
	conditionOK   condition = "ok"
	conditionWarn condition = "warn" // works, or is not needed for everything
	conditionFail condition = "fail" // something needed is missing
)

// finding is one line of the doctor's.
type finding struct {
	Check   string    `json:"check"`
	State   condition `json:"state"`
	Message string    `json:"message"`
	Mend    string    `json:"mend,omitempty"` // what to do about it
}

func fine(check, format string, args ...any) finding {
	return finding{Check: check, State: conditionOK, Message: fmt.Sprintf(format, args...)}
}

func (f finding) withMend(mend string) finding {
	f.Mend = mend
	return f
}

func warned(check, format string, args ...any) finding {
	f := fine(check, format, args...)
	f.State = conditionWarn
	return f
}

func failing(check string, err error) finding {
	f := finding{Check: check, State: conditionFail, Message: leger.WithoutPasswords(err.Error())}
	if e, ok := errors.AsType[*leger.Error](err); ok {
		f.Mend = e.Hint
	}
	return f
}

func (a *app) doctorCmd() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Diagnose your setup and suggest fixes",
		Long: `Check everything leger needs: the settings, room on the disk, the sign-in, the
server and its clock, legerd, the secrets that units use, the records of
deployments, Podman, systemd, git, and whether the server is backed up.
Nothing is changed. Ends with code 6 if something needed is missing.`,
		Example: "  leger doctor\n  leger doctor --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
}

func (a *app) doctor(ctx context.Context) error {
	checks := []func(context.Context) finding{
		a.checkSettings, a.checkDisk, a.checkTailscale, a.checkSecret, a.checkServer, a.checkSignIn, a.checkBackup,
		a.checkLegerd, a.checkUsedSecrets, a.checkDeployments, a.checkPodman, a.checkPodmanSocket, a.checkGenerator, a.checkSystemd, a.checkLinger, a.checkGit,
	}
	var found []finding
	broken := 0
	for _, check := range checks {
		one, cancel := context.WithTimeout(ctx, patience)
		f := check(one)
		cancel()
		if ctx.Err() != nil {
			return leger.Errorf(leger.CodeInterrupted, "interrupted")
		}
		if f.Check == "" {
			continue // it does not apply here
		}
		if f.State == conditionFail {
			broken++
		}
		found = append(found, f)
		if !a.flags.json {
			if err := a.printFinding(f); err != nil {
				return err
			}
		}
	}
	if a.flags.json {
		if err := a.printJSON(map[string]any{"checks": found, "ok": broken == 0}); err != nil {
			return err
		}
	}
	if broken > 0 {
		return leger.Errorf(leger.CodeMissingPart, "%s failed", plural(broken, "check")).
			WithHint("what to do is beside each")
	}
	return nil
}

func (a *app) printFinding(f finding) error {
	c := green
	switch f.State {
	case conditionOK:
	case conditionWarn:
		c = yellow
	case conditionFail:
		c = red
	}
	line := []any{a.paint(c, pad(string(f.State), 6)), pad(f.Check, 16), terminal.Fold(f.Message), "\n"}
	if f.Mend != "" {
		line = append(line, pad("", 22), "-> ", terminal.Fold(f.Mend), "\n")
	}
	return a.print(line...)
}
