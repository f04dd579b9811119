package report_test

import (
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/report"
)

// How systemd's words become the four that are reported.
func TestReportedStates(t *testing.T) {
	t.Parallel()
	service := deploy.Unit{Service: "web.service", Start: true, Run: true}
	job := deploy.Unit{Service: "job.service", Start: true, Run: true, Oneshot: true}
	pulled := deploy.Unit{Service: "job.service", Run: true, Oneshot: true}
	asked := deploy.Unit{Service: "volume.service", Oneshot: true}
	for _, tc := range []struct {
		what        string
		unit        deploy.Unit
		state       leger.UnitState
		want, whole leger.HostState
	}{
		{"running", service, leger.UnitState{ActiveState: "active", SubState: "running"}, leger.HostActive, leger.HostActive},
		{"reading its settings anew", service, leger.UnitState{ActiveState: "reloading"}, leger.HostActive, leger.HostActive},
		{"failed", service, leger.UnitState{ActiveState: "failed", SubState: "failed", Result: "exit-code"}, leger.HostFailed, leger.HostFailed},
		{"failing again and again", service, leger.UnitState{ActiveState: "activating", SubState: "auto-restart"}, leger.HostFailed, leger.HostFailed},
		{"stopped by hand", service, leger.UnitState{ActiveState: "inactive", Result: "success"}, leger.HostStopped, leger.HostStopped},
		{"on its way", service, leger.UnitState{ActiveState: "activating", SubState: "start"}, leger.HostUnknown, leger.HostUnknown},
		{"not known to systemd", service, leger.UnitState{LoadState: "not-found", ActiveState: "inactive"}, leger.HostUnknown, leger.HostUnknown},
		{"never asked for", service, leger.UnitState{}, leger.HostUnknown, leger.HostUnknown},
		{"a job that ran to its end", job, leger.UnitState{ActiveState: "inactive", Result: "success"}, leger.HostActive, leger.HostActive},
		{"a job that another unit has started, at its end", pulled, leger.UnitState{ActiveState: "inactive", Result: "success"}, leger.HostActive, leger.HostActive},
		{"a job that failed", job, leger.UnitState{ActiveState: "failed", Result: "exit-code"}, leger.HostFailed, leger.HostFailed},
		{"a job that was stopped by a signal", job, leger.UnitState{ActiveState: "inactive", Result: "signal"}, leger.HostStopped, leger.HostStopped},
		{"what starts only when it is needed", asked, leger.UnitState{ActiveState: "inactive", Result: "success"}, leger.HostStopped, leger.HostActive},
		{"that, failed", asked, leger.UnitState{ActiveState: "failed"}, leger.HostFailed, leger.HostFailed},
	} {
		got := report.Deployment(deploy.Deployment{Release: "app", Units: []deploy.UnitStatus{{Unit: tc.unit, State: tc.state}}}, report.Around{})
		if got.State != tc.whole || len(got.Units) != 1 || got.Units[0].State != tc.want {
			t.Errorf("%s: unit %v, deployment %s; want %s and %s", tc.what, got.Units, got.State, tc.want, tc.whole)
		}
	}
	up, down := leger.UnitState{ActiveState: "active"}, leger.UnitState{ActiveState: "inactive"}
	template := deploy.UnitStatus{Unit: deploy.Unit{Service: "web@.service", Template: true, Run: true}}
	for what, tc := range map[string]struct {
		d     deploy.Deployment
		want  leger.HostState
		units int
	}{
		"no unit":       {deploy.Deployment{}, leger.HostActive, 0},
		"a template":    {deploy.Deployment{Units: []deploy.UnitStatus{template}}, leger.HostActive, 0},
		"one of two up": {deploy.Deployment{Units: []deploy.UnitStatus{{Unit: service, State: up}, {Unit: service, State: down}}}, leger.HostStopped, 2},
		"interrupted":   {deploy.Deployment{Interrupted: true, Units: []deploy.UnitStatus{{Unit: service, State: up}}}, leger.HostFailed, 1},
	} {
		if got := report.Deployment(tc.d, report.Around{}); got.State != tc.want || len(got.Units) != tc.units {
			t.Errorf("%s: %+v", what, got)
		}
	}
}
