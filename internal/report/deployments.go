package report

import (
	"context"
	"errors"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/wire"
)

// glancePatience is how long a command that only looked waits for its report.
const glancePatience = 2 * time.Second

// Engine knows what is installed.
type Engine interface {
	List(ctx context.Context) ([]deploy.Deployment, error)
	Waiting(name leger.ReleaseName, generation int) (*deploy.Waiting, error)
	Failures(name leger.ReleaseName) ([]deploy.Failure, error)
}

// Seen is what a command knows already of what it reports.
type Seen struct {
	All   []deploy.Deployment // nil: to be asked for
	Heads map[string]string   // by release, the newest commits of branches that were looked at
	// Glance: the command changed nothing, so that what was told a while ago, or
	// could not be told just now, need not be told again.
	Glance bool
}

// Deployments tells what is installed on this machine and how it is. Held lists the
// secrets that Podman has; it is asked only when something is installed.
func (r *Reporter) Deployments(ctx context.Context, e Engine, held func(context.Context) Held, s Seen) error {
	now, memory, err := r.newRecord("report-deployments.json")
	if err != nil {
		return err
	}
	report, err := r.deployments(ctx, e, held, s)
	if err != nil {
		return err
	}
	now.Held = digest(report)
	if s.Glance && (!now.due(memory) || now.failedLately(memory)) {
		return nil
	}
	err = r.sendDeployments(ctx, now.DeviceID, report, s.Glance)
	now.Failed = err != nil
	r.remember(now, memory)
	return err
}

// sendDeployments sends a report. A server that is older than findings refuses
// them: it is told what it knows, which is how each release and its units are.
func (r *Reporter) sendDeployments(ctx context.Context, device string, report wire.HostReport, glance bool) error {
	if glance {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, glancePatience)
		defer cancel()
	}
	err := r.send(ctx, device, report)
	if !errors.Is(err, leger.ErrInvalid) && !errors.Is(err, leger.ErrTooLarge) {
		return err
	}
	r.cfg.Detail("the server does not take all that is to be told of this machine: %v", err)
	for i := range report.Deployments {
		d := &report.Deployments[i]
		d.Generation, d.Health, d.Findings = 0, "", nil
	}
	return r.send(ctx, device, report)
}

// deployments looks at all that is installed.
func (r *Reporter) deployments(ctx context.Context, e Engine, held func(context.Context) Held, s Seen) (wire.HostReport, error) {
	report := wire.HostReport{Deployments: []wire.HostDeploymentReport{}}
	if s.All == nil {
		var err error
		if s.All, err = e.List(ctx); err != nil {
			return report, err
		}
	}
	var secrets Held
	if len(s.All) > 0 {
		secrets = held(ctx)
	}
	left := maxFindings
	for _, d := range s.All {
		around := Around{Stale: secrets.Stale(d), Gone: secrets.Gone(d), Head: s.Heads[d.Release]}
		if name, err := leger.ParseReleaseName(d.Release); err == nil && d.Damage == nil {
			if around.Waiting, err = e.Waiting(name, d.Generation.Number); err != nil {
				return report, err
			}
			if around.Failures, err = e.Failures(name); err != nil {
				return report, err
			}
		}
		out := Deployment(d, around)
		out.Findings = bounded(out.Findings, min(left, leger.MaxDeploymentFindings), d.Release)
		left = max(left-len(out.Findings), 0)
		report.Deployments = append(report.Deployments, out)
	}
	return report, nil
}
