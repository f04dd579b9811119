package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/safefile"
)

const (
	// autoEvery is how often branches are looked at: a fetch of one ref each.
	autoEvery = 15 * time.Minute
	// autoEveryLeast is as often as a Git host should have to bear.
	autoEveryLeast = time.Minute
	// autoSettle is how long each unit must stay up when nobody waits for it.
	autoSettle = 10 * time.Second
	// autoUnit names timer and service.
	autoUnit = "leger-deploy-auto"
)

func (a *app) autoCmd() *cobra.Command {
	var every time.Duration
	on := &cobra.Command{
		Use: "on NAME", Short: "Update a release by itself when its branch moves on",
		Example: "  leger deploy auto on my-app\n  leger deploy auto on my-app --every 1h",
		Args:    exactArgs("the name of a release"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.autoOn(cmd.Context(), args[0], every) },
	}
	on.Flags().DurationVar(&every, "every", autoEvery, "how often branches are looked at, of all releases that are updated by themselves")
	off := &cobra.Command{
		Use: "off NAME", Short: "Update a release only when you say so",
		Args: exactArgs("the name of a release"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.autoOff(cmd.Context(), args[0]) },
	}
	var settle time.Duration
	run := &cobra.Command{
		Use: "run", Short: "Do what the timer does: update what is on and whose branch has moved on",
		Example: "  leger deploy auto run --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.autoRun(cmd.Context(), settle) },
	}
	run.Flags().DurationVar(&settle, "settle", autoSettle, "how long each unit must stay up to count")
	c := group("auto", "Update releases by themselves (a systemd timer; off unless you say so)", on, off, run)
	c.Long = `Update releases by themselves when their branch moves on. It is off unless you say
so. What needs your consent, what has failed here before and what would overwrite a
file that you edited waits until you run deploy update yourself; deploy auto run
ends with 5 then.`
	return c
}

func (a *app) autoIsOn(m *machine, d deploy.Deployment) (bool, error) {
	name, err := leger.ParseReleaseName(d.Release)
	if err != nil {
		return false, err
	}
	return m.engine.Auto(name)
}

func (a *app) autoOn(ctx context.Context, text string, every time.Duration) error {
	if every < autoEveryLeast {
		return leger.Invalid("every", "--every is at least %s", spelled(autoEveryLeast))
	}
	name, err := leger.ParseReleaseName(text)
	if err != nil {
		return err
	}
	if a.env.Executable == "" {
		return leger.Errorf(leger.CodeMissingPart, "leger cannot tell where its own program is, which the timer is to start")
	}
	return a.withMachine(func(m *machine) error {
		d, err := m.engine.Status(ctx, name)
		if err != nil {
			return localProblem(err)
		}
		if from := d.Generation.Source; from.Commit == "" {
			return leger.Errorf(leger.CodeInvalid, "%s was installed from the files in %s, not from a commit: there is no branch to follow", name, from.URL).
				WithHint("install it from a Git repository: its URL or its top directory")
		}
		if err := a.writeAutoUnits(every); err != nil {
			return err
		}
		if err := m.engine.SetAuto(name, true); err != nil {
			return err
		}
		for _, args := range [][]string{{"daemon-reload"}, {"enable", "--quiet", autoUnit + ".timer"}, {"restart", autoUnit + ".timer"}} {
			if !a.runs(ctx, "systemctl", append([]string{"--user"}, args...)...) {
				return leger.Errorf(leger.CodeMissingPart, "systemd does not start the timer %s.timer", autoUnit).
					WithHint("see why: systemctl --user status %s.timer", autoUnit)
			}
		}
		a.say("%s is updated by itself from now on: its branch is looked at every %s.", name, spelled(every))
		a.warnLinger()
		return nil
	})
}

// spelled is a duration without the parts that are zero: "15m", not "15m0s".
func spelled(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (a *app) autoOff(ctx context.Context, text string) error {
	name, err := leger.ParseReleaseName(text)
	if err != nil {
		return err
	}
	return a.withMachine(func(m *machine) error {
		if err := m.engine.SetAuto(name, false); err != nil {
			return err
		}
		a.say("%s is updated only when you say so.", name)
		return a.dropTimer(ctx, m)
	})
}

// dropTimer takes timer and service away when no release needs them.
func (a *app) dropTimer(ctx context.Context, m *machine) error {
	following, err := a.following(ctx, m)
	if err != nil || len(following) > 0 {
		return err
	}
	dir, err := a.userUnitDir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, autoUnit+".timer")); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	a.runs(ctx, "systemctl", "--user", "disable", "--quiet", "--now", autoUnit+".timer")
	for _, suffix := range []string{".timer", ".service"} {
		if err := os.Remove(filepath.Join(dir, autoUnit+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return leger.WrapFile(leger.CodeDisk, err, "remove the timer's unit")
		}
	}
	a.runs(ctx, "systemctl", "--user", "daemon-reload")
	a.runs(ctx, "systemctl", "--user", "reset-failed", autoUnit+".service") // if it had failed
	return nil
}

// following lists the deployments that are updated by themselves, with those whose
// records are damaged so that nobody knows.
func (a *app) following(ctx context.Context, m *machine) ([]deploy.Deployment, error) {
	all, err := m.engine.List(ctx)
	if err != nil {
		return nil, localProblem(err)
	}
	var on []deploy.Deployment
	for _, d := range all {
		is, err := a.autoIsOn(m, d)
		if d.Damage != nil && err != nil {
			is, err = true, nil
		}
		if err != nil {
			return nil, err
		}
		if is {
			on = append(on, d)
		}
	}
	return on, nil
}

// userUnitDir is where the user's own units are (systemd.unit(5)).
func (a *app) userUnitDir() (string, error) {
	dir, err := a.env.configDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(dir), "systemd", "user"), nil
}

func (a *app) writeAutoUnits(every time.Duration) error {
	dir, err := a.userUnitDir()
	if err != nil {
		return err
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$").Replace(a.env.Executable)
	units := map[string]string{
		".service": fmt.Sprintf(`[Unit]
Description=Update Leger's releases whose branch has moved on

[Service]
Type=oneshot
ExecStart="%s" --no-input deploy auto run
# Something waits for its user: that is no failure of the service.
SuccessExitStatus=5
`, quoted),
		".timer": fmt.Sprintf(`[Unit]
Description=Look whether the branches of Leger's releases have moved on

[Timer]
OnActiveSec=%[1]d
OnUnitInactiveSec=%[1]d
RandomizedDelaySec=%[2]d

[Install]
WantedBy=timers.target
`, int(every.Seconds()), int(every.Seconds())/10),
	}
	for suffix, text := range units {
		path := filepath.Join(dir, autoUnit+suffix)
		if err := safefile.Write(path, []byte(text), 0o644); err != nil {
			return leger.WrapFile(leger.CodeDisk, err, "write the timer's unit %s", path)
		}
	}
	return nil
}
