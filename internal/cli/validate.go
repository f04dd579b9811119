package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/gitrepo"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/systemd"
	"leger.run/leger/internal/terminal"
)

func (a *app) validateCmd() *cobra.Command {
	return &cobra.Command{
		Use: "validate [DIR]", Short: "Check quadlets without installing them",
		Long: `Check the quadlets of a directory (the current one if none is named): with Leger's
own parser, then with Podman's generator, then what comes of those that it takes with
systemd-analyze. All problems are shown at once, with file and line. Nothing is
installed and no server is asked. Ends with 2 if there is a problem.`,
		Example: "  leger validate\n  leger validate ./quadlets --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("%s takes one directory", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return a.validate(cmd.Context(), dir)
		},
	}
}

// validateJSON is validate in --json.
type validateJSON struct {
	Units    []string       `json:"units"`
	Ignored  []string       `json:"ignored"` // files that nothing names
	Risks    []quadlet.Risk `json:"risks"`
	Problems []problemJSON  `json:"problems"`
	// Notices are worth knowing and no problems.
	Notices []problemJSON `json:"notices,omitempty"`
	// NotChecked lists the checks that this machine has no program for.
	NotChecked []string `json:"not_checked"`
}

type problemJSON struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (a *app) validate(ctx context.Context, dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return leger.Wrap(leger.CodeInvalid, err, "find the directory %q", dir)
	}
	if info, err := os.Stat(abs); err != nil || !info.IsDir() {
		return leger.Errorf(leger.CodeNotFound, "%s is not a directory", abs).WithHint("name the directory with the quadlets")
	}
	releaseData, err := a.releaseData()
	if err != nil {
		return err
	}
	set, err := a.readDir(gitrepo.Source{Dir: abs}, a.podmanVersion(ctx), filepath.Join(releaseData, filepath.Base(abs)))
	if err != nil {
		return err
	}
	found, err := a.check(ctx, set)
	if err != nil {
		return err
	}
	return a.printValidation(set, found)
}

// podmanVersion asks this machine's Podman; zero if there is none to answer.
func (a *app) podmanVersion(ctx context.Context) quadlet.Version {
	runner, err := a.podmanRunner()
	if err != nil {
		return quadlet.Version{} // the check tells
	}
	client := podman.New(podman.Config{RuntimeDir: a.env.get("XDG_RUNTIME_DIR"), Runner: runner, Env: run.MinimalEnv(a.env.LookupEnv)})
	defer func() { _ = client.Close() }()
	v, err := client.Version(ctx)
	if err != nil {
		a.detail("which Podman is here is not known: %v", err)
	}
	return quadlet.Version(v)
}

// check asks Podman and systemd about a set, as a plan does.
func (a *app) check(ctx context.Context, set *quadlet.Set) (deploy.Checked, error) {
	runner, err := a.podmanRunner()
	if err != nil {
		return deploy.Checked{}, err
	}
	env := run.MinimalEnv(a.env.LookupEnv)
	generator := podman.NewQuadlets(podman.QuadletConfig{Runner: runner, Env: env})
	return deploy.Check(ctx, set, generator, systemd.Verifier{Runner: runner, Env: env})
}

func (a *app) printValidation(set *quadlet.Set, found deploy.Checked) error {
	out := validateJSON{Units: []string{}, Ignored: list(set.Ignored), Risks: set.Risks, Problems: []problemJSON{}, NotChecked: list(found.NotChecked)}
	if out.Risks == nil {
		out.Risks = []quadlet.Risk{}
	}
	for _, u := range set.Units {
		out.Units = append(out.Units, u.Service)
	}
	for _, n := range found.Notices {
		out.Notices = append(out.Notices, problemJSON{n.File, n.Line, n.Message, n.Hint})
	}
	for _, p := range found.Problems {
		out.Problems = append(out.Problems, problemJSON{p.File, p.Line, p.Message, p.Hint})
	}
	if a.flags.json {
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else if err := a.printProblems(out); err != nil {
		return err
	}
	a.warnNotChecked(found.NotChecked)
	if n := len(found.Problems); n > 0 {
		return leger.Errorf(leger.CodeInvalid, "%s in %s", plural(n, "problem"), plural(len(set.Units), "quadlet")).
			WithHint("fix what is listed above, then check again")
	}
	a.say("%s, no problem.", plural(len(set.Units), "quadlet"))
	return nil
}

// withHint is a message with its hint behind it.
func withHint(text, hint string) string {
	if hint == "" {
		return text
	}
	return text + " (" + hint + ")"
}

// warnNotChecked says which checks were not made.
func (a *app) warnNotChecked(missing []string) {
	for _, what := range missing {
		a.warn("not checked with %s: it is not on this machine", what)
	}
}

// printProblems prints a line for each problem and risk, as compilers do, the
// dangerous first. Of what only informs it prints a few.
func (a *app) printProblems(v validateJSON) error {
	var b strings.Builder
	line := func(file string, n int, kind, text string) {
		switch {
		case n > 0:
			_, _ = fmt.Fprintf(&b, "%s:%d: ", file, n)
		case file != "":
			b.WriteString(file + ": ")
		}
		_, _ = fmt.Fprintf(&b, "%s: %s\n", kind, terminal.Fold(text))
	}
	for _, p := range v.Problems {
		line(p.File, p.Line, "error", withHint(p.Message, p.Hint))
	}
	for _, n := range v.Notices {
		line(n.File, n.Line, "note", withHint(n.Message, n.Hint))
	}
	for _, group := range quadlet.GroupRisks(v.Risks) {
		for i, r := range group.Risks {
			switch {
			case r.Danger:
				line(r.File, r.Line, "danger", r.Text)
			case r.Asks:
				line(r.File, r.Line, "risk", r.Text)
			case i < shownNotes:
				line(r.File, r.Line, "note", r.Text)
			case i == shownNotes:
				line("", 0, "note", fmt.Sprintf("and %d more of %s (--json lists them)", len(group.Risks)-i, riskTitle(group.Kind)))
			}
		}
	}
	return a.print(b.String())
}
