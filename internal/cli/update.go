package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/gitrepo"
)

// oneRelease takes the name of a release as the argument or, as install does, as
// --release.
func oneRelease(release *string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 1 && *release == "":
			*release = args[0]
			return nil
		case len(args) == 0 && *release != "":
			return nil
		case len(args) == 0:
			return usage("%s needs the name of a release", cmd.CommandPath())
		default:
			return usage("%s takes one release", cmd.CommandPath())
		}
	}
}

func (a *app) planCmd() *cobra.Command {
	in := install{planOnly: true}
	c := &cobra.Command{
		Use: "plan NAME", Short: "Show what install or update would change, with the diff of every file",
		Long: `Show what deploy install or update would change: units, images, ports, secrets, the
diff of every file against what is installed, and the risks that nobody has
accepted yet. Nothing is changed.`,
		Example: "  leger deploy plan my-app\n  leger deploy plan my-app --commit 0123456789abcdef0123456789abcdef01234567\n  leger deploy plan my-app --source ./quadlets --json",
		Args:    oneRelease(&in.release),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.update(cmd.Context(), in) },
	}
	c.Flags().StringVar(&in.release, "release", "", "the release's name")
	in.sourceFlags(c.Flags())
	return c
}

func (a *app) updateCmd() *cobra.Command {
	in := install{careful: true}
	c := &cobra.Command{
		Use: "update NAME", Short: "Bring an installed release to the newest commit of its branch",
		Long: `Bring an installed release to the newest commit of its branch, from where it was
installed: show what changes, ask, apply, and wait until every unit is up and
healthy. If one is not, the generation before comes back, and the commit is
remembered: it is not tried again until the branch moves on, or with --retry.`,
		Example: "  leger deploy update my-app\n  leger deploy update my-app --yes\n  leger deploy update my-app --retry",
		Args:    oneRelease(&in.release),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.update(cmd.Context(), in) },
	}
	c.Flags().StringVar(&in.release, "release", "", "the release's name")
	in.sourceFlags(c.Flags())
	in.applyFlags(c.Flags())
	c.Flags().BoolVar(&in.retry, "retry", false, "try a commit again that has failed before, or that you went back from")
	return c
}

// update is update and plan: the source is the one that the release was installed
// from, unless it is named.
func (a *app) update(ctx context.Context, in install) error {
	name, err := leger.ParseReleaseName(in.release)
	if err != nil {
		return err
	}
	if in.source == "" {
		m, err := a.openMachine()
		if err != nil {
			return err
		}
		d, err := m.engine.Status(ctx, name)
		m.close()
		switch {
		case err == nil:
			in = in.from(d.Generation.Source)
		case !errors.Is(err, leger.ErrNotFound):
			return localProblem(err)
		case in.careful: // a plan may be about what is not installed yet
			return leger.Errorf(leger.CodeNotFound, "%s is not installed on this machine", name).
				WithHint("install it: leger deploy install --release %s", name)
		}
	}
	return a.deployRelease(ctx, name, in)
}

// from fills in where a generation came from. A release of the server's is asked
// for there: its branch may be another one by now.
func (in install) from(s deploy.Source) install {
	in.allowedSigners = cmp.Or(in.allowedSigners, s.AllowedSigners)
	if in.tokenSecret == "" {
		in.tokenSecret, in.tokenOrigin = s.TokenSecret, cmp.Or(s.TokenOrigin, gitrepo.Origin(s.URL), s.URL)
	}
	if s.ReleaseID != "" {
		return in
	}
	in.source, in.branch, in.path = s.URL, s.Ref, s.Path
	return in
}

func (a *app) rollbackCmd() *cobra.Command {
	var in install
	c := &cobra.Command{
		Use: "rollback NAME [GENERATION]", Short: "Go back to the generation before, or to the one that is named",
		Long: `Go back to the generation before the current one, or to the one that is named. All
that is needed is on this machine: the repository may be gone. After a deployment
that was interrupted it goes back to what was there before it. The commit that was
left is not installed again by update until its branch moves on.`,
		Example: "  leger deploy rollback my-app\n  leger deploy rollback my-app 3\n  leger deploy status my-app --history",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("leger deploy rollback needs the name of a release, and may be given a generation's number")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in.release = args[0]
			number := 0
			if len(args) == 2 {
				var err error
				if number, err = strconv.Atoi(args[1]); err != nil || number < 1 {
					return usage("a generation is a number from 1 on; leger deploy status %s --history lists them", args[0])
				}
			}
			return a.rollback(cmd.Context(), in, number)
		},
	}
	in.applyFlags(c.Flags())
	c.Flags().Lookup("yes").Usage = "nothing is asked anyway"
	return c
}

func (a *app) rollback(ctx context.Context, in install, number int) error {
	name, err := leger.ParseReleaseName(in.release)
	if err != nil {
		return err
	}
	m, err := a.openMachine(in.settle)
	if err != nil {
		return err
	}
	defer m.close()
	d, err := m.engine.Status(ctx, name)
	if err != nil {
		return localProblem(err)
	}
	if !d.Installed && number == 0 && !in.dryRun {
		// What was there before an interrupted first installation is nothing.
		a.say("%s was never wholly installed: what was begun is removed.", name)
		return a.removeRelease(ctx, m, name, deploy.RemoveOptions{})
	}
	plan, err := m.engine.PrepareRollback(ctx, name, number)
	if err != nil {
		return localProblem(err)
	}
	a.say("Going back to generation %d of %s%s.", plan.Next.Number, name, commitOf(plan.Next.Source))
	if err := a.showPlan(plan, in); err != nil {
		return err
	}
	if err := a.refusal(plan, in); err != nil {
		return err
	}
	in.yes = true // it was agreed to when it was installed
	return a.carryOut(ctx, m, plan, in)
}

func commitOf(s deploy.Source) string {
	if s.Commit == "" {
		return ""
	}
	return fmt.Sprintf(", commit %s", deploy.ShortCommit(s.Commit))
}
