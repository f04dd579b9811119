package deploy_test

import (
	"slices"
	"testing"

	"leger.run/leger/internal/deploy"
)

const template = "[Container]\nImage=x:1\n[Install]\nWantedBy=default.target\n"

// A template's default instance is started with the release. An instance that
// somebody has started is restarted when its template changes, and stops when the
// template goes.
func TestTemplates(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	withDefault := template + "DefaultInstance=a\n"
	out := mustInstall(t, e, request(t, "App", "c1", "job@.container", withDefault, "web.container", dbV1))
	if !slices.Equal(out.Started, []string{"job@a.service", "web.service"}) {
		t.Errorf("started %v", out.Started)
	}
	if out := mustInstall(t, e, request(t, "App", "c1", "job@.container", withDefault, "web.container", dbV1)); !out.Unchanged {
		t.Errorf("again: %+v", out)
	}
	d, u, err := e.Find(t.Context(), "job@b")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.StartUnit(t.Context(), d, u, nil); err != nil {
		t.Fatal(err)
	}
	m.calls = nil
	mustInstall(t, e, request(t, "App", "c2", "job@.container", withDefault+"# changed\n", "web.container", dbV1))
	for _, call := range []string{"stop job@a.service", "start job@a.service", "stop job@b.service", "start job@b.service"} {
		if !slices.Contains(m.calls, call) {
			t.Errorf("it did not %s", call)
		}
	}
	if slices.Contains(m.calls, "stop web.service") {
		t.Error("web.service, which did not change, was stopped")
	}
	// A failure brings both back.
	before := m.running()
	m.health["web.service"] = "unhealthy"
	if _, err := install(t.Context(), e, request(t, "App", "c3", "job@.container", withDefault+"# again\n", "web.container", dbV1+"# again\n")); err == nil {
		t.Fatal("no error")
	}
	m.health["web.service"] = ""
	mustInstall(t, e, request(t, "App", "c2", "job@.container", withDefault+"# changed\n", "web.container", dbV1))
	if got := m.running(); got != before {
		t.Errorf("after a failure:\n%s\nwas:\n%s", got, before)
	}
	m.calls = nil
	mustInstall(t, e, request(t, "App", "c4", "web.container", dbV1))
	if !slices.Contains(m.calls, "stop job@b.service") || slices.Contains(m.calls, "start job@b.service") {
		t.Errorf("a template that is gone: %v", m.calls)
	}

	mustInstall(t, e, request(t, "App", "c5", "job@.container", template, "web.container", dbV1))
	if err := e.StartUnit(t.Context(), d, u, nil); err != nil {
		t.Fatal(err)
	}
	if removed, err := e.Remove(t.Context(), releaseName(t, "App"), deploy.RemoveOptions{}, nil); err != nil || m.running() != "" {
		t.Errorf("removed %v, %v, left behind:\n%s", removed.Units, err, m.running())
	}
}

// A template that names a secret after its instance could not be installed: the
// secret "key_%i", which nobody can make, was said to be missing.
func TestATemplatesSecretIsItsInstances(t *testing.T) {
	t.Parallel()
	text := "[Container]\nImage=x:1\nSecret=key_%i\nSecret=shared\n[Install]\nWantedBy=default.target\nDefaultInstance=a\n"
	m := newMachine("key_a", "shared")
	e := m.engine(t.TempDir())
	out := mustInstall(t, e, request(t, "App", "c1", "job@.container", text))
	if !slices.Equal(out.Started, []string{"job@a.service"}) {
		t.Errorf("started %v", out.Started)
	}
	m = newMachine("shared")
	plan, err := m.engine(t.TempDir()).Prepare(t.Context(), request(t, "App", "c1", "job@.container", text))
	if err != nil || len(plan.Refusals) != 1 || plan.Refusals[0].Secret != "key_a" || !slices.Equal(plan.Secrets, []string{"key_a", "shared"}) {
		t.Errorf("without the instance's secret: %+v, secrets %q, %v", plan.Refusals, plan.Secrets, err)
	}
}
