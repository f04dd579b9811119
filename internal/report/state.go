package report

import (
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/wire"
)

// Deployment is what the server is told of a deployment. Templates are left out: they
// are no units that could be in a state.
func Deployment(d deploy.Deployment, around Around) wire.HostDeploymentReport {
	source := d.Generation.Source
	out := wire.HostDeploymentReport{
		Release: d.Release, Version: source.ReleaseVersion, Commit: source.Commit, State: deploymentState(d),
		UpdatedAt:  d.Generation.CreatedAt.UTC().Format(time.RFC3339Nano),
		Generation: int64(d.Generation.Number), Health: healthOf(d), Findings: Findings(d, around),
	}
	for _, u := range d.Units {
		if !u.Template {
			out.Units = append(out.Units, wire.HostUnit{Name: u.Service, State: hostState(u)})
		}
	}
	return out
}

// deploymentState is the worst of what should run; a failed unit counts whether
// it should or not, and so does a deployment that was interrupted.
func deploymentState(d deploy.Deployment) leger.HostState {
	seen := map[leger.HostState]bool{}
	for _, u := range d.Units {
		if state := hostState(u); !u.Template && (u.Run || state == leger.HostFailed) {
			seen[state] = true
		}
	}
	switch {
	case d.Running, d.Damage != nil:
		return leger.HostUnknown
	case d.Interrupted || seen[leger.HostFailed]:
		return leger.HostFailed
	case seen[leger.HostUnknown]:
		return leger.HostUnknown
	case seen[leger.HostStopped]:
		return leger.HostStopped
	}
	return leger.HostActive
}

// hostState puts systemd's states (systemd(1), "UNITS") into the four that are
// reported.
func hostState(u deploy.UnitStatus) leger.HostState {
	s := u.State
	switch {
	case s.LoadState == "not-found":
		return leger.HostUnknown
	case s.ActiveState == "active" && u.Health == "unhealthy":
		return leger.HostFailed
	case s.ActiveState == "active" || s.ActiveState == "reloading" || s.ActiveState == "refreshing":
		return leger.HostActive
	case s.ActiveState == "failed" || s.SubState == "auto-restart" || s.SubState == "auto-restart-queued":
		return leger.HostFailed
	case s.ActiveState != "inactive":
		return leger.HostUnknown
	case u.Oneshot && u.Run && (s.Result == "success" || s.Result == ""):
		return leger.HostActive // it ran to its end, which systemd forgets
	}
	return leger.HostStopped
}

// StateWords says how a unit is, in systemd's words.
func StateWords(s leger.UnitState) string {
	switch {
	case s.LoadState == "not-found":
		return "not there"
	case s.SubState == "" || s.SubState == s.ActiveState:
		return s.ActiveState
	default:
		return s.ActiveState + " (" + s.SubState + ")"
	}
}
