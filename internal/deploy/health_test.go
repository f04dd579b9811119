package deploy_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

const (
	checked  = "[Container]\nImage=example.com/web:1\nHealthCmd=/check\n[Install]\nWantedBy=default.target\n"
	notified = "[Container]\nImage=example.com/web:1\nHealthCmd=/check\nNotify=healthy\n[Install]\nWantedBy=default.target\n"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	starting := leger.UnitState{ActiveState: "activating", SubState: "start", Job: "queued"}
	for name, c := range map[string]struct {
		unit    string
		breakIt func(*machine)
		says    string // "": it comes up
	}{
		"healthy":                {checked, func(m *machine) { m.health["web.service"] = "healthy" }, ""},
		"no check in the image":  {checked, func(*machine) {}, ""},
		"unhealthy":              {checked, func(m *machine) { m.health["web.service"] = "unhealthy" }, "web.service did not come up (its health check fails)"},
		"never passes":           {checked, func(m *machine) { m.health["web.service"] = "starting" }, "its health check has not passed yet"},
		"unhealthy, Notify":      {notified, func(m *machine) { m.health["web.service"], m.broken["web.service"] = "unhealthy", starting }, "its health check fails"},
		"systemd was not told":   {notified, func(m *machine) { m.health["web.service"], m.broken["web.service"] = "healthy", starting }, ""},
		"never passes, Notify":   {notified, func(m *machine) { m.health["web.service"], m.broken["web.service"] = "starting", starting }, "not within"},
		"no container, Notify":   {notified, func(m *machine) { m.broken["web.service"] = starting }, "not within"},
		"turns unhealthy later":  {checked, func(m *machine) { m.turns["web.service"] = []string{"starting", "healthy", "unhealthy"} }, "its health check fails"},
		"takes a while":          {checked, func(m *machine) { m.turns["web.service"] = []string{"starting", "starting", "starting", "healthy"} }, ""},
		"Podman is silent twice": {checked, func(m *machine) { m.silent = 2 }, ""},
		"Podman is silent":       {checked, func(m *machine) { m.silent = -1 }, "injected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Time passes when everybody waits, however fast the machine is.
			synctest.Test(t, func(t *testing.T) {
				m := newMachine()
				m.now = time.Now()
				c.breakIt(m)
				e := deploy.New(deploy.Config{
					StateDir: t.TempDir(), Installers: []deploy.Installer{installer{m, "podman", true}}, Units: m, Podman: m, StartTimeout: time.Minute,
				})
				_, err := install(t.Context(), e, request(t, "App", "c", "web.container", c.unit))
				switch {
				case c.says == "" && err != nil:
					t.Error(err)
				case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || m.running() != ""):
					t.Errorf("got %v, want %q; left behind:\n%s", err, c.says, m.running())
				}
				if c.says != "" && c.says != "injected" && !errors.Is(err, leger.ErrUnhealthy) {
					t.Errorf("got %v, want unhealthy", err)
				}
			})
		})
	}
}

// Each unit has to stay up for a while of its own: one that has been up long
// while others were started is not waited for again.
func TestSettlingIsCountedFromEachUnitsOwnStart(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	if _, err := install(t.Context(), m.engine(t.TempDir()), v1(t)); err != nil {
		t.Fatal(err)
	}
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if took := m.now.Sub(begun); took < deploy.DefaultSettle || took > deploy.DefaultSettle+2*deploy.DefaultPoll {
		t.Errorf("waited for %v", took)
	}
}

// A container that turns unhealthy after it was deployed is told.
func TestStatusTellsUnhealthyContainers(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	mustInstall(t, e, v1(t))
	m.health["web.service"] = "unhealthy"
	d, err := e.Status(t.Context(), releaseName(t, "App"))
	if err != nil || d.Healthy() {
		t.Errorf("healthy %v, %v", d.Healthy(), err)
	}
	for _, u := range d.Units {
		if want := u.Service != "web.service"; u.Run && u.Up() != want {
			t.Errorf("%s: up %v", u.Service, u.Up())
		}
	}
	// Without Podman's answer systemd's word counts.
	m.silent = -1
	if d, err = e.Status(t.Context(), releaseName(t, "App")); err != nil || !d.Healthy() {
		t.Errorf("Podman is silent: healthy %v, %v", d.Healthy(), err)
	}
}

// On a busy machine Podman took two seconds to say that a container was up, which had
// ended in the meantime: the update of it succeeded, and the unit failed a moment later.
func TestALateAnswerIsNotHeldToBeNew(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	m.fault = func(_ int, name string, after bool) error {
		if u := m.units["web.service"]; after && name == "containers" && u != nil && u.ActiveState == "active" {
			m.now = m.now.Add(2 * time.Second)
			u.ActiveState, u.SubState, u.Result, u.ExecMainStatus = "failed", "failed", "exit-code", 1
		}
		return nil
	}
	if _, err := install(t.Context(), e, request(t, "App", "c1", "web.container", web)); !errors.Is(err, leger.ErrUnhealthy) {
		t.Errorf("got %v, want unhealthy", err)
	}
}
