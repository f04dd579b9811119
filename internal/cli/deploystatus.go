package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/report"
)

// headPatience is how long status waits for a repository to tell its newest
// commit.
const headPatience = 10 * time.Second

func (a *app) deployStatusCmd() *cobra.Command {
	var offline, history bool
	c := &cobra.Command{
		Use: "status [NAME]", Short: "Show units and drift; ends with 7 if something is not healthy",
		Long: `Show the units of one release or all, and what drifted: files edited or removed by
hand, units that are not up, units that use a secret which is gone or run with an
older value of one, and a branch that has moved on. The last three are news and no
fault: the exit code stays 0.`,
		Example: "  leger deploy status\n  leger deploy status my-app --json\n  leger deploy status my-app --history",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactArgs("the name of a release")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.deployStatus(cmd.Context(), args, offline, history)
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "do not ask the repository whether the branch has moved on")
	c.Flags().BoolVar(&history, "history", false, "list the generations that one can go back to")
	return c
}

// deploymentJSON is one deployment in --json.
type deploymentJSON struct {
	Release     string              `json:"release"`
	Generation  int                 `json:"generation"`
	Source      deploy.Source       `json:"source"`
	Healthy     bool                `json:"healthy"`
	Running     bool                `json:"running"` // it is being deployed at this moment
	Interrupted bool                `json:"interrupted"`
	Damage      string              `json:"damage,omitempty"` // why its record cannot be read; then the rest is not known
	Units       []unitJSON          `json:"units"`
	Drift       []deploy.FileChange `json:"drift"` // files that are not as they were installed
	// Stale lists units that run with an older value of a secret.
	Stale []report.Use `json:"stale"`
	// Gone lists units that use a secret which Podman does not have any more.
	Gone []report.Use `json:"gone"`
	// Branch tells whether the branch has moved on; absent when it was not asked.
	Branch *branchJSON `json:"branch,omitempty"`
	// Failures is what did not come up, and what was gone back from, the newest first.
	Failures []deploy.Failure `json:"failures,omitempty"`
	// Generations are those that one can go back to; with status --history.
	Generations []generationJSON `json:"generations,omitempty"`
	Auto        bool             `json:"auto"` // it is updated by itself
	// Waiting is the update that was left to the user; absent: none.
	Waiting *deploy.Waiting `json:"waiting,omitempty"`
}

type unitJSON struct {
	Unit string `json:"unit"`
	File string `json:"file"`
	Run  bool   `json:"run"` // it is meant to be up
	// NotAtBoot: nothing starts it when the machine boots.
	NotAtBoot bool       `json:"not_at_boot,omitempty"`
	Active    string     `json:"active"`
	Sub       string     `json:"sub"`
	Health    string     `json:"health,omitempty"` // "starting", "healthy", "unhealthy"; absent: no health check
	Since     *time.Time `json:"since,omitempty"`
}

type branchJSON struct {
	Commit string       `json:"commit,omitempty"` // its newest
	Moved  bool         `json:"moved"`
	Error  *failureJSON `json:"error,omitempty"` // why it is not known
	// Source is how the release on the server differs from what was installed: its
	// branch is not asked then.
	Source []deploy.SourceChange `json:"source,omitempty"`
}

type generationJSON struct {
	Number    int            `json:"number"`
	Current   bool           `json:"current"`
	Source    deploy.Source  `json:"source"`
	Consent   deploy.Consent `json:"consent,omitempty"`
	CreatedAt time.Time      `json:"created_at,omitzero"`
}

// jsonOf is the one account of a deployment that list, status and deploy status
// begin with.
func jsonOf(m *machine, d deploy.Deployment) (deploymentJSON, error) {
	out := deploymentJSON{
		Release: d.Release, Generation: d.Generation.Number, Source: d.Generation.Source,
		Healthy: d.Healthy(), Running: d.Running, Interrupted: d.Interrupted, Units: []unitJSON{}, Drift: []deploy.FileChange{}, Stale: []report.Use{}, Gone: []report.Use{},
	}
	for _, u := range d.Units {
		out.Units = append(out.Units, unitOf(u))
	}
	out.Drift = append(out.Drift, d.Drift...)
	if d.Damage != nil {
		out.Damage = d.Damage.Error()
		return out, nil //nolint:nilerr // it is told, and no error
	}
	name, err := leger.ParseReleaseName(d.Release)
	if err != nil {
		return out, err
	}
	if out.Auto, err = m.engine.Auto(name); err != nil {
		return out, err
	}
	out.Waiting, err = m.engine.Waiting(name, out.Generation)
	return out, err
}

func unitOf(u deploy.UnitStatus) unitJSON {
	j := unitJSON{Unit: u.Service, File: u.File, Run: u.Run, NotAtBoot: u.NotAtBoot, Active: u.State.ActiveState, Sub: u.State.SubState, Health: u.Health}
	if !u.State.Since.IsZero() {
		j.Since = &u.State.Since
	}
	return j
}

// deployStatus shows one deployment or all. What is not healthy is an error.
func (a *app) deployStatus(ctx context.Context, args []string, offline, history bool) error {
	m, err := a.openMachine()
	if err != nil {
		return err
	}
	defer m.close()
	all, err := a.deployments(ctx, m, args)
	if err != nil {
		return localProblem(err)
	}
	out := make([]deploymentJSON, 0, len(all))
	for _, d := range all {
		j, err := a.lookCloser(ctx, m, d, offline)
		if err != nil {
			return err
		}
		if history && d.Installed {
			if j.Generations, err = generationsOf(m, d); err != nil {
				return err
			}
		}
		out = append(out, j)
	}
	if a.flags.json {
		err = a.printJSON(map[string]any{"deployments": out})
	} else {
		err = a.printDeployments(all, out)
	}
	if err != nil {
		return err
	}
	a.reportLooked(ctx, m, args, all, out)
	for _, d := range all {
		if !d.Healthy() && !d.Running {
			return unwell(d)
		}
	}
	return nil
}

// unwell is the error of a deployment that is not healthy.
func unwell(d deploy.Deployment) error {
	if d.Damage != nil {
		err := leger.Wrap(leger.CodeUnhealthy, d.Damage, "the record of %s cannot be read", d.Release)
		if why, ok := errors.AsType[*leger.Error](d.Damage); ok && why.Hint != "" {
			return err.WithHint("%s", why.Hint)
		}
		return err.WithHint("remove what is left of it, and install it again: leger deploy remove %s", d.Release)
	}
	return leger.Errorf(leger.CodeUnhealthy, "%s is %s", d.Release, condOf(d)).
		WithHint("leger deploy install --release %s repairs it; leger deploy rollback %s goes back", d.Release, d.Release)
}

// reportLooked tells the server what was seen, once it is shown.
func (a *app) reportLooked(ctx context.Context, m *machine, args []string, all []deploy.Deployment, out []deploymentJSON) {
	s := report.Seen{Glance: true, Heads: map[string]string{}}
	if len(args) == 0 { // else it is not all that there is
		s.All = all
	}
	for _, j := range out {
		if j.Branch != nil {
			s.Heads[j.Release] = j.Branch.Commit
		}
	}
	_ = a.reportDeployments(ctx, m, s) // it has warned
}

// deployments gives the one that is named, or all.
func (a *app) deployments(ctx context.Context, m *machine, args []string) ([]deploy.Deployment, error) {
	if len(args) == 0 {
		return m.engine.List(ctx)
	}
	name, err := leger.ParseReleaseName(args[0])
	if err != nil {
		return nil, err
	}
	d, err := m.engine.Status(ctx, name)
	if d.Damage != nil { // it is told, and no error
		err = nil
	}
	return []deploy.Deployment{d}, err
}

// lookCloser adds what the engine does not know: secrets, the branch, history.
func (a *app) lookCloser(ctx context.Context, m *machine, d deploy.Deployment, offline bool) (deploymentJSON, error) {
	j, err := jsonOf(m, d)
	if err != nil || d.Damage != nil {
		return j, err
	}
	secrets := a.podmanHas(ctx, m)
	j.Stale = append(j.Stale, secrets.Stale(d)...)
	j.Gone = append(j.Gone, secrets.Gone(d)...)
	name, err := leger.ParseReleaseName(d.Release)
	if err != nil {
		return j, err
	}
	if j.Failures, err = m.engine.Failures(name); err != nil {
		return j, err
	}
	if !offline && d.Generation.Source.Commit != "" {
		j.Branch = a.branchOf(ctx, name, d.Generation.Source)
	}
	return j, nil
}

// branchOf asks the repository for the newest commit.
func (a *app) branchOf(ctx context.Context, name leger.ReleaseName, from deploy.Source) *branchJSON {
	ctx, cancel := context.WithTimeout(ctx, headPatience)
	defer cancel()
	commit, moved, err := a.head(ctx, name, from)
	if err != nil {
		return &branchJSON{Error: failureOf(err)}
	}
	return &branchJSON{Commit: commit, Moved: commit != "" && commit != from.Commit, Source: moved}
}

// head gives the newest commit of where a generation came from. A source that was
// changed on the server meanwhile is not asked: nobody has agreed to it.
func (a *app) head(ctx context.Context, name leger.ReleaseName, from deploy.Source) (string, []deploy.SourceChange, error) {
	src, now, err := a.source(ctx, name, install{}.from(from))
	if err != nil {
		return "", nil, err
	}
	if moved := from.ChangesTo(now); len(moved) > 0 {
		return "", moved, nil
	}
	git, err := a.git(ctx, from)
	if err != nil {
		return "", nil, err
	}
	commit, err := git.Head(ctx, src)
	return commit, nil, err
}

func generationsOf(m *machine, d deploy.Deployment) ([]generationJSON, error) {
	name, err := leger.ParseReleaseName(d.Release)
	if err != nil {
		return nil, err
	}
	all, current, err := m.engine.Generations(name)
	if err != nil {
		return nil, err
	}
	var out []generationJSON
	for _, g := range all {
		out = append(out, generationJSON{g.Number, g.Number == current, g.Source, g.Consent, g.CreatedAt})
	}
	return out, nil
}
