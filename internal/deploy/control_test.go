package deploy_test

import (
	"errors"
	"testing"

	"leger.run/leger"
)

// Only what Leger has installed is found, by its name with or without suffix, and
// instances by their template.
func TestFind(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	mustInstall(t, e, request(t, "App", "c", "web.container", dbV1, "job@.container", dbV1))
	for name, want := range map[string]string{
		"web": "web.service", "web.service": "web.service", "job@1.service": "job@1.service", "job@1": "job@1.service", "job@.service": "job@.service",
		"ssh.service": "", "job": "", "we": "", "web.container": "", "../web": "", "jobs@1.service": "",
	} {
		d, u, err := e.Find(t.Context(), name)
		switch {
		case want == "" && !errors.Is(err, leger.ErrNotFound):
			t.Errorf("%s: %q, %v; want not_found", name, u.Service, err)
		case want != "" && (err != nil || u.Service != want || d.Release != "App"):
			t.Errorf("%s: %q, %v; want %s", name, u.Service, err, want)
		}
	}
}

func TestStartStopAndRestart(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	mustInstall(t, e, request(t, "App", "c", "web.container", dbV1, "other.container", dbV1))
	d, u, err := e.Find(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.StopUnit(t.Context(), u, nil); err != nil || m.units["web.service"].ActiveState != "inactive" {
		t.Errorf("stop: %v, %s", err, m.units["web.service"].ActiveState)
	}
	if err := e.StartUnit(t.Context(), d, u, nil); err != nil || m.units["web.service"].ActiveState != "active" {
		t.Errorf("start: %v, %s", err, m.units["web.service"].ActiveState)
	}
	m.calls = nil
	if err := e.RestartUnits(t.Context(), d, []string{"web.service"}, nil); err != nil {
		t.Error(err)
	}
	for _, call := range m.calls {
		if call == "stop other.service" || call == "start other.service" {
			t.Errorf("it did %s", call)
		}
	}
	m.health["web.service"] = "unhealthy"
	if err := e.RestartUnits(t.Context(), d, []string{"web.service"}, nil); !errors.Is(err, leger.ErrUnhealthy) {
		t.Errorf("restart of what is unhealthy then: %v", err)
	}
}
