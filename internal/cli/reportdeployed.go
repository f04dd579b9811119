package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/wire"
)

const (
	// glancePatience is how long a command that only looked waits for its report.
	glancePatience = 2 * time.Second
	// retryReportAfter is how long such a command does not try again when the server
	// did not take the last report: without a network each would wait for nothing.
	retryReportAfter = time.Minute
)

// seen is what a command knows already of what it reports.
type seen struct {
	all   []deploy.Deployment // nil: to be asked for
	heads map[string]string   // by release, the newest commits of branches that were looked at
	// glance: the command changed nothing, so that what was told a while ago, or
	// could not be told just now, need not be told again.
	glance bool
}

// reportDeployments tells the server what is installed on this machine and how it
// is. Without a sign-in nobody is told, and that is no error; else as reportSecrets.
func (a *app) reportDeployments(ctx context.Context, m *machine, s seen) error {
	f, c, err := a.signedIn()
	if errors.Is(err, leger.ErrInvalidToken) {
		a.detail("no server is told how this machine is: %v", err)
		return nil
	}
	if err != nil {
		return a.notReported(ctx, err)
	}
	now, memory, err := a.newRecord(f, "report-deployments.json")
	if err != nil {
		return a.notReported(ctx, err)
	}
	report, err := a.deploymentsReport(ctx, m, s)
	if err != nil {
		return a.notReported(ctx, localProblem(err))
	}
	now.Held = reportDigest(report)
	if s.glance && (!now.due(memory) || now.failedLately(memory)) {
		return nil
	}
	err = a.sendDeployments(ctx, c, now.DeviceID, report, s.glance)
	now.Failed = err != nil
	if kept := now.keep(memory); kept != nil {
		a.detail("that this machine was reported cannot be remembered: %v", kept)
	}
	if err != nil {
		return a.notReported(ctx, err)
	}
	return nil
}

// sendDeployments sends a report. A server that is older than findings refuses
// them: it is told what it knows, which is how each release and its units are.
func (a *app) sendDeployments(ctx context.Context, c *client.Client, device string, report wire.HostReport, glance bool) error {
	if glance {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, glancePatience)
		defer cancel()
	}
	err := a.sendReport(ctx, c, device, report)
	if !errors.Is(err, leger.ErrInvalid) && !errors.Is(err, leger.ErrTooLarge) {
		return err
	}
	a.detail("the server does not take all that is to be told of this machine: %v", err)
	for i := range report.Deployments {
		d := &report.Deployments[i]
		d.Generation, d.Health, d.Findings = 0, "", nil
	}
	return a.sendReport(ctx, c, device, report)
}

// deploymentsReport looks at all that is installed.
func (a *app) deploymentsReport(ctx context.Context, m *machine, s seen) (wire.HostReport, error) {
	report := wire.HostReport{Deployments: []wire.HostDeploymentReport{}}
	if s.all == nil {
		var err error
		if s.all, err = m.engine.List(ctx); err != nil {
			return report, err
		}
	}
	var secrets []podman.Secret
	if len(s.all) > 0 {
		secrets = a.podmanHas(ctx, m)
	}
	left := maxReportedFindings
	for _, d := range s.all {
		if d.Damage != nil {
			a.detail("how %s is the server is not told: %v", d.Release, d.Damage)
			continue
		}
		around := surroundings{stale: staleUnits(d, secrets), gone: goneSecrets(d, secrets), head: s.heads[d.Release]}
		if name, err := leger.ParseReleaseName(d.Release); err == nil {
			if around.waiting, err = m.engine.Waiting(name, d.Generation.Number); err != nil {
				return report, err
			}
			if around.failures, err = m.engine.Failures(name); err != nil {
				return report, err
			}
		}
		out := reportOf(d, around)
		out.Findings = bounded(out.Findings, min(left, leger.MaxDeploymentFindings), d.Release)
		left = max(left-len(out.Findings), 0)
		report.Deployments = append(report.Deployments, out)
	}
	return report, nil
}

// reportDigest tells reports apart without keeping what is in them.
func reportDigest(report wire.HostReport) string {
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(report) // strings and numbers, into memory
	return hex.EncodeToString(h.Sum(nil))
}
