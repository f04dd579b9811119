package report_test

import (
	"fmt"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/report"
	"leger.run/leger/internal/report/reporttest"
)

func service(name, active, sub, result string) deploy.UnitStatus {
	return deploy.UnitStatus{
		Unit:  deploy.Unit{Service: name, Start: true, Run: true},
		State: leger.UnitState{Name: name, LoadState: "loaded", ActiveState: active, SubState: sub, Result: result},
	}
}

// What is wrong with a deployment, in words, and the one word for all of it.
func TestHealthAndFindings(t *testing.T) {
	t.Parallel()
	up := service("web.service", "active", "running", "success")
	unwell, starting := up, up
	unwell.Health, starting.Health = "unhealthy", "starting"
	lost := up
	lost.NotAtBoot = true
	missing := service("web.service", "inactive", "dead", "")
	missing.State.LoadState = "not-found"
	unneeded := service("volume.service", "inactive", "dead", "")
	unneeded.Run = false
	brokenUnneeded := service("volume.service", "failed", "failed", "exit-code")
	brokenUnneeded.Run = false
	template := service("web@.service", "failed", "failed", "")
	template.Template = true
	newest, old := strings.Repeat("b", 40), strings.Repeat("a", 40)
	from := deploy.Generation{Source: deploy.Source{Commit: old}}
	for _, tc := range []struct {
		what   string
		units  []deploy.UnitStatus
		change func(*deploy.Deployment)
		around report.Around
		health leger.HostHealth
		want   []string
	}{
		{"well", []deploy.UnitStatus{up, unneeded, starting, template}, nil, report.Around{}, leger.HealthGood, nil},
		{"no unit", nil, nil, report.Around{}, leger.HealthGood, nil},
		{"failed", []deploy.UnitStatus{service("web.service", "failed", "failed", "exit-code")}, nil, report.Around{}, leger.HealthFailed, []string{"unit_failed: web.service has failed (exit-code)"}},
		{"failed that need not run", []deploy.UnitStatus{up, brokenUnneeded}, nil, report.Around{}, leger.HealthFailed, []string{"unit_failed: volume.service has failed (exit-code)"}},
		{"failing again and again", []deploy.UnitStatus{service("web.service", "activating", "auto-restart", "oom-kill")}, nil, report.Around{}, leger.HealthFailed, []string{"unit_failed: web.service fails and is started again (oom-kill)"}},
		{"unhealthy", []deploy.UnitStatus{unwell}, nil, report.Around{}, leger.HealthPoor, []string{"unit_unhealthy: web.service is unhealthy: its health check says so"}},
		{"down", []deploy.UnitStatus{service("web.service", "inactive", "dead", "success")}, nil, report.Around{}, leger.HealthPoor, []string{"unit_down: web.service is down and should be up"}},
		{"on its way", []deploy.UnitStatus{service("web.service", "activating", "start", "success")}, nil, report.Around{}, leger.HealthUnknown, []string{"unit_unknown: web.service is activating (start)"}},
		{"not there", []deploy.UnitStatus{missing}, nil, report.Around{}, leger.HealthUnknown, []string{"unit_unknown: web.service is not there"}},
		{"not asked for", []deploy.UnitStatus{service("web.service", "", "", "")}, nil, report.Around{}, leger.HealthUnknown, []string{"unit_unknown: web.service could not be asked for"}},
		{"the worst counts", []deploy.UnitStatus{unwell, service("db.service", "failed", "failed", ""), missing}, nil, report.Around{}, leger.HealthFailed, []string{"unit_unhealthy: web.service is unhealthy: its health check says so", "unit_failed: db.service has failed", "unit_unknown: web.service is not there"}},
		{"interrupted", []deploy.UnitStatus{up}, func(d *deploy.Deployment) { d.Interrupted = true }, report.Around{}, leger.HealthFailed, []string{"interrupted:  a deployment was interrupted: leger deploy install --release app finishes it"}},
		{"being deployed", []deploy.UnitStatus{service("web.service", "failed", "failed", "")}, func(d *deploy.Deployment) { d.Running = true }, report.Around{}, leger.HealthUnknown, []string{"deploying:  is being deployed at this moment"}},
		{"a record that cannot be read", nil, func(d *deploy.Deployment) { d.Damage = leger.ErrInternal }, report.Around{}, leger.HealthUnknown, []string{"record_damaged:  its record on the machine cannot be read: leger deploy status app says why"}},
		{"not started by a boot", []deploy.UnitStatus{lost}, nil, report.Around{}, leger.HealthGood, []string{"not_at_boot: web.service will not start when the machine boots: nothing that starts then asks for it"}},
		{"drift is no matter of health", []deploy.UnitStatus{up}, func(d *deploy.Deployment) {
			d.Drift = []deploy.FileChange{{Path: "web.container", Action: deploy.Change}, {Path: "a/b.env", Action: deploy.Drop}}
		}, report.Around{}, leger.HealthGood, []string{
			"file_changed: web.container was changed since it was installed", "file_missing: a/b.env is not there any more",
		}},
		{"an older secret", []deploy.UnitStatus{up}, nil, report.Around{Stale: []report.Use{{Unit: "web.service", Secret: "api_key"}}}, leger.HealthGood, []string{"secret_stale: web.service runs with an older value of the secret api_key: leger service restart web.service"}},
		{"a secret that is gone", []deploy.UnitStatus{up}, nil, report.Around{Gone: []report.Use{{Unit: "web.service", Secret: "api_key"}}}, leger.HealthGood, []string{"secret_gone: web.service uses the secret api_key, which is gone from this machine: without it it does not start again. leger secrets set api_key, then leger secrets sync"}},
		{"the branch's newest", []deploy.UnitStatus{up}, nil, report.Around{Head: old}, leger.HealthGood, nil},
		{"behind its branch", []deploy.UnitStatus{up}, nil, report.Around{Head: newest}, leger.HealthGood, []string{"branch_moved:  the branch has moved on to commit bbbbbbbbbbbb: leger deploy update app"}},
		{"behind, as it failed", []deploy.UnitStatus{up}, nil, report.Around{Head: newest, Failures: []deploy.Failure{{Identity: newest, Reason: "what the journal said"}}}, leger.HealthGood, []string{"branch_moved:  the branch has moved on to commit bbbbbbbbbbbb, which has failed here"}},
		{"behind, as the user went back", []deploy.UnitStatus{up}, nil, report.Around{Head: newest, Failures: []deploy.Failure{{Identity: newest, ByHand: true}}}, leger.HealthGood, []string{"branch_moved:  the branch has moved on to commit bbbbbbbbbbbb, from which you went back"}},
		{"in no repository", []deploy.UnitStatus{up}, func(d *deploy.Deployment) { d.Generation.Source.Commit = "" }, report.Around{Head: newest}, leger.HealthGood, nil},
		{"names that could deceive", []deploy.UnitStatus{service("a\x1b[2Jb\n.service", "failed", "failed", "x\ny")}, nil, report.Around{}, leger.HealthFailed, []string{"unit_failed: a\uFFFD[2Jb\uFFFD.service has failed (x\uFFFDy)"}},
	} {
		d := deploy.Deployment{Release: "app", Installed: true, Generation: from, Units: tc.units}
		if tc.change != nil {
			tc.change(&d)
		}
		if got := reporttest.Findings(report.Findings(d, tc.around)); strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
			t.Errorf("%s: findings %q\nwant %q", tc.what, got, tc.want)
		}
		if got := report.Deployment(d, report.Around{}).Health; got != tc.health {
			t.Errorf("%s: %s, want %s", tc.what, got, tc.health)
		}
	}
}

// However much is wrong, a report of it is one that the server takes.
func TestFindingsAreBounded(t *testing.T) {
	t.Parallel()
	d := deploy.Deployment{Release: "app", Generation: deploy.Generation{Number: 1}}
	for i := range leger.MaxDeploymentFindings + 30 {
		d.Drift = append(d.Drift, deploy.FileChange{Path: strings.Repeat("é", 200) + fmt.Sprint(i), Action: deploy.Drop})
	}
	all := report.Findings(d, report.Around{Stale: []report.Use{{Unit: "a.service", Secret: strings.Repeat("ö", 400)}}})
	for _, most := range []int{leger.MaxDeploymentFindings, 1, 0} {
		got := report.Bounded(all, most, "app")
		if want := max(most, 1); len(got) != want {
			t.Fatalf("%d findings, want %d", len(got), want)
		}
		more := fmt.Sprintf("and %d more: leger deploy status app", len(all)-max(most-1, 0))
		if last := got[len(got)-1]; last.Kind != leger.FindingMore || last.Text != more {
			t.Errorf("the last is %+v, want %q", last, more)
		}
		told := leger.HostReport{DeviceID: "n1", Name: "box", Deployments: []leger.HostDeployment{{State: leger.HostActive}}}
		told.Deployments[0].Release, _ = leger.ParseReleaseName("app")
		told.Deployments[0].UpdatedAt = d.Generation.CreatedAt.AddDate(2026, 0, 0)
		for _, f := range got {
			told.Deployments[0].Findings = append(told.Deployments[0].Findings, leger.HostFinding(f))
		}
		if err := told.Validate(); err != nil {
			t.Errorf("at most %d: %v", most, err)
		}
	}
	if got := report.Bounded(all[:2], 2, "app"); len(got) != 2 || got[1] != all[1] {
		t.Errorf("two of two: %+v", got)
	}
}
