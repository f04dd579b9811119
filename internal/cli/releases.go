package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

func (a *app) releasesCmd() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List your releases",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.releasesList(cmd.Context()) },
	}
	show := &cobra.Command{
		Use: "show NAME", Short: "Show one release",
		Example: "  leger releases show my-app --json",
		Args:    exactArgs("the name of a release"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.releasesShow(cmd.Context(), args[0]) },
	}
	var in wire.ReleaseCreate
	create := &cobra.Command{
		Use: "create NAME --git-url URL", Short: "Note a Git repository of quadlets as a release",
		Example: `  leger releases create my-app --git-url https://github.com/alice/quadlets
  leger releases create my-app --git-url git@github.com:alice/quadlets --git-branch v2 --git-path apps/web`,
		Args: exactArgs("a name for the release"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name = args[0]
			return a.releasesCreate(cmd.Context(), in)
		},
	}
	create.Flags().StringVar(&in.GitURL, "git-url", "", "where the repository is; needed")
	create.Flags().StringVar(&in.GitBranch, "git-branch", "", "branch or tag (default \""+leger.DefaultGitRef+"\")")
	create.Flags().StringVar(&in.GitPath, "git-path", "", "subdirectory with the quadlets")
	create.Flags().StringVar(&in.Description, "description", "", "what it is, for yourself")
	var yes bool
	del := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Forget a release; what machines have installed stays",
		Args: exactArgs("the name of a release"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.releasesDelete(cmd.Context(), args[0], yes) },
	}
	del.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return group("releases", "Git repositories of quadlets that you deploy", list, show, create, del)
}

func (a *app) releasesList(ctx context.Context) error {
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	list, err := c.Releases(ctx)
	if err != nil {
		return err
	}
	if a.flags.json {
		if list == nil {
			list = []wire.Release{}
		}
		return a.printJSON(wire.Releases{Releases: list})
	}
	if len(list) == 0 {
		a.say("You have no releases yet. leger releases create NAME --git-url URL makes one.")
		return nil
	}
	var rows [][]string
	for _, r := range list {
		rows = append(rows, []string{r.Name.String(), r.GitURL.String(), r.GitBranch.String(), r.GitPath.String(), fmt.Sprint(r.Version)})
	}
	return a.table([]string{"NAME", "GIT URL", "BRANCH", "PATH", "VERSION"}, rows)
}

func (a *app) releasesShow(ctx context.Context, text string) error {
	name, err := leger.ParseReleaseName(text)
	if err != nil {
		return err
	}
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	r, err := c.ReleaseByName(ctx, name)
	if err != nil {
		return err
	}
	return a.printRelease(r)
}

func (a *app) printRelease(r wire.Release) error {
	if a.flags.json {
		return a.printJSON(r)
	}
	return a.print(lines(
		"name", r.Name.String(), "git url", r.GitURL.String(), "branch", r.GitBranch.String(), "path", r.GitPath.String(),
		"description", r.Description, "version", fmt.Sprint(r.Version), "changed", a.when(r.UpdatedAt.Time), "id", r.ID,
	))
}

// releasesCreate checks the input here first, so that a mistake costs no request.
func (a *app) releasesCreate(ctx context.Context, in wire.ReleaseCreate) error {
	if in.GitURL == "" {
		return usage("leger releases create needs --git-url")
	}
	name, err := leger.ParseReleaseName(in.Name)
	if err != nil {
		return err
	}
	if _, err := leger.ParseGitURL(in.GitURL); err != nil {
		return err
	}
	if _, err := leger.ParseGitRef(in.GitBranch); err != nil {
		return err
	}
	if _, err := leger.ParseGitPath(in.GitPath); err != nil {
		return err
	}
	if _, err := leger.ParseDescription(in.Description); err != nil {
		return err
	}
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	r, err := c.CreateRelease(ctx, in)
	if err != nil {
		return err
	}
	a.say("%s is noted. leger deploy install --release %s installs it on this machine.", name, name)
	if a.flags.json {
		return a.printJSON(r)
	}
	return nil
}

func (a *app) releasesDelete(ctx context.Context, text string, yes bool) error {
	name, err := leger.ParseReleaseName(text)
	if err != nil {
		return err
	}
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	r, err := c.ReleaseByName(ctx, name)
	if err != nil {
		return err
	}
	if !yes {
		if err := a.mustConfirm(ctx, fmt.Sprintf("Forget the release %s?", r.Name)); err != nil {
			return err
		}
	}
	if err := c.DeleteRelease(ctx, r.ID, r.Version); err != nil {
		return err
	}
	a.say("%s is forgotten. What is installed of it stays: leger deploy remove %s", r.Name, r.Name)
	if a.flags.json {
		return a.printJSON(wire.Deleted{Deleted: true})
	}
	return nil
}
