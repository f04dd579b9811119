package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/gitrepo"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/systemd"
)

func (a *app) validateCmd() *cobra.Command {
	return &cobra.Command{
		Use: "validate [DIR]", Short: "Check quadlets without installing them",
		Long: `Check the quadlets of a directory (the current one if none is named): with Leger's
own parser, then with Podman's generator, then what comes of them with
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
	problems, missing, err := a.check(ctx, set)
	if err != nil {
		return err
	}
	return a.printValidation(set, problems, missing)
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

// check joins what the parser, Podman and systemd have to say. Where Podman
// accepts all files it knows better what the parser merely does not know.
func (a *app) check(ctx context.Context, set *quadlet.Set) (problems []leger.Problem, missing []string, err error) {
	problems = slices.Clone(set.Problems)
	runner, err := a.podmanRunner()
	if err != nil {
		return nil, nil, err
	}
	env := run.MinimalEnv(a.env.LookupEnv)
	if len(set.Files) == 0 {
		return problems, []string{}, nil
	}
	units, found, err := podman.NewQuadlets(podman.QuadletConfig{Runner: runner, Env: env}).Generate(ctx, set.Files)
	switch {
	case errors.Is(err, leger.ErrMissingPart):
		return problems, []string{"Podman's generator", "systemd-analyze"}, nil
	case err != nil:
		return nil, nil, err
	}
	problems = deploy.Problems(problems, found)
	if len(units) == 0 {
		return problems, []string{}, nil
	}
	found, err = systemd.Verify(ctx, runner, env, "", units)
	if errors.Is(err, leger.ErrMissingPart) {
		return problems, []string{"systemd-analyze"}, nil
	}
	for _, p := range found {
		problems = append(problems, inQuadlet(set, p))
	}
	return problems, []string{}, err
}

var quotedKey = regexp.MustCompile(`'([A-Za-z]+)'`)

// inQuadlet finds the file and the line that a problem of a generated unit comes
// from: the line that has the key which systemd names, or its own words.
func inQuadlet(set *quadlet.Set, p leger.Problem) leger.Problem {
	for _, u := range set.Units {
		if u.Service != p.File {
			continue
		}
		p.Hint = fmt.Sprintf("it is line %d of the %s that Podman makes of it", p.Line, p.File)
		if p.Line == 0 {
			p.Hint = ""
		}
		p.File, p.Line = u.File, 0
		key := quotedKey.FindStringSubmatch(p.Message)
		n := 0
		for line := range strings.Lines(string(set.Files[u.File])) {
			n++
			name, _, ok := strings.Cut(strings.TrimSpace(line), "=")
			if ok && key != nil && strings.TrimSpace(name) == key[1] {
				p.Line, p.Hint = n, ""
				break
			}
		}
		return p
	}
	return p
}

func (a *app) printValidation(set *quadlet.Set, problems []leger.Problem, missing []string) error {
	slices.SortStableFunc(problems, func(x, y leger.Problem) int {
		return cmp.Or(cmp.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line))
	})
	out := validateJSON{Units: []string{}, Ignored: list(set.Ignored), Risks: set.Risks, Problems: []problemJSON{}, NotChecked: missing}
	if out.Risks == nil {
		out.Risks = []quadlet.Risk{}
	}
	for _, u := range set.Units {
		out.Units = append(out.Units, u.Service)
	}
	for _, n := range set.Notices {
		out.Notices = append(out.Notices, problemJSON{n.File, n.Line, n.Message, n.Hint})
	}
	for _, p := range problems {
		out.Problems = append(out.Problems, problemJSON{p.File, p.Line, p.Message, p.Hint})
	}
	if a.flags.json {
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else if err := a.printProblems(out); err != nil {
		return err
	}
	for _, what := range missing {
		a.warn("not checked with %s: it is not on this machine", what)
	}
	if n := len(problems); n > 0 {
		return leger.Errorf(leger.CodeInvalid, "%s in %s", plural(n, "problem"), plural(len(set.Units), "quadlet")).
			WithHint("fix what is listed above, then check again")
	}
	a.say("%s, no problem.", plural(len(set.Units), "quadlet"))
	return nil
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
		_, _ = fmt.Fprintf(&b, "%s: %s\n", kind, text)
	}
	for _, p := range v.Problems {
		text := p.Message
		if p.Hint != "" {
			text += " (" + p.Hint + ")"
		}
		line(p.File, p.Line, "error", text)
	}
	for _, n := range v.Notices {
		line(n.File, n.Line, "note", n.Message+" ("+n.Hint+")")
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
