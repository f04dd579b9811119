package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
)

// machine is Podman and systemd in memory: an installer, the units that come of
// what is installed, secrets, volumes and a clock that runs when it is waited on.
type machine struct {
	mu      sync.Mutex
	files   map[string]string           // installed, by path
	execs   map[string]bool             // those of them that may be executed
	units   map[string]*leger.UnitState // as of the last reload
	oneshot map[string]bool             // of those
	content map[string]string           // what each unit was started from
	broken  map[string]leger.UnitState  // how the start of a unit ends, if not well
	crashes map[string]int              // a unit that starts and then is restarted by systemd so many times
	ends    map[string]bool             // a unit that starts, runs and ends by itself
	secrets []string
	volumes map[string]bool
	now     time.Time

	health     map[string]string   // by unit, of the container that it runs
	turns      map[string][]string // what the health becomes from one question to the next
	reloaded   func()              // called at each reload; nil: nothing
	needs      map[string][]string // what a unit cannot start without
	dependents map[string][]string // what systemd stops together with a unit
	silent     int                 // how often Podman does not answer
	containers []leger.Container   // of others
	images     []string            // that are missing

	dataDir string // what is below it is part of how the machine is

	calls []string
	fault func(call int, name string, after bool) error // asked before and after each call
}

func newMachine(secrets ...string) *machine {
	return &machine{
		files: map[string]string{}, execs: map[string]bool{}, units: map[string]*leger.UnitState{}, oneshot: map[string]bool{}, content: map[string]string{},
		broken: map[string]leger.UnitState{}, crashes: map[string]int{}, ends: map[string]bool{}, health: map[string]string{}, turns: map[string][]string{}, volumes: map[string]bool{},
		secrets: secrets, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// do runs one call with its faults around it.
func (m *machine) do(ctx context.Context, name string, act func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, name)
	n, fault := len(m.calls), m.fault
	if fault != nil {
		if err := fault(n, name, false); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return leger.Wrap(leger.CodeInterrupted, err, "%s", name)
	}
	if err := act(); err != nil {
		return err
	}
	if fault != nil {
		return fault(n, name, true)
	}
	return nil
}

// installer is the machine as an Installer.
type installer struct {
	*machine
	name string
	flat bool
}

func (i installer) Name() string { return i.name }

func (i installer) Takes(files []string) bool {
	return !i.flat || !slices.ContainsFunc(files, func(f string) bool { return strings.Contains(f, "/") })
}

func (i installer) Path(app, file string) string {
	if i.flat {
		return path.Join("/q", file)
	}
	return path.Join("/q", app, file)
}

func (i installer) Read(ctx context.Context, app string, files []string) (map[string]leger.File, error) {
	found := map[string]leger.File{}
	return found, i.do(ctx, "read", func() error {
		for _, f := range files {
			if data, ok := i.files[i.Path(app, f)]; ok {
				found[f] = leger.File{Data: []byte(data), Executable: i.execs[i.Path(app, f)]}
			}
		}
		return nil
	})
}

func (i installer) Install(ctx context.Context, app string, files map[string]leger.File) error {
	return i.do(ctx, "install", func() error {
		for _, f := range slices.Sorted(maps.Keys(files)) {
			if _, there := i.files[i.Path(app, f)]; there {
				return leger.Errorf(leger.CodeConflict, "%s is there", f) // some are installed by now
			}
			i.files[i.Path(app, f)] = string(files[f].Data)
			i.execs[i.Path(app, f)] = files[f].Executable
		}
		return nil
	})
}

func (i installer) Remove(ctx context.Context, app string, files []string) error {
	return i.do(ctx, "remove", func() error {
		for _, f := range files {
			delete(i.files, i.Path(app, f))
			delete(i.execs, i.Path(app, f))
		}
		return nil
	})
}

// Reload makes units of the files, as Podman's generator would.
func (m *machine) Reload(ctx context.Context) error {
	return m.do(ctx, "reload", func() error {
		if m.reloaded != nil {
			m.reloaded()
		}
		before := m.units
		m.units = map[string]*leger.UnitState{}
		for file, data := range m.files {
			set := quadlet.LoadFiles(map[string][]byte{path.Base(file): []byte(data)})
			for _, u := range set.Units {
				s := &leger.UnitState{Name: u.Service, LoadState: "loaded", ActiveState: "inactive", SubState: "dead", Result: "success", Source: file}
				if old := before[u.Service]; old != nil {
					s.ActiveState, s.Result, s.Since, s.Restarts = old.ActiveState, old.Result, old.Since, old.Restarts
				}
				m.units[u.Service], m.oneshot[u.Service] = s, u.Oneshot
				if u.Template { // its instances are loaded when they are asked for
					for name, old := range before {
						if strings.HasPrefix(name, strings.TrimSuffix(u.Service, ".service")) && name != u.Service {
							old.Source = file
							m.units[name] = old
						}
					}
				}
			}
		}
		for name, old := range before {
			if m.units[name] == nil && old.ActiveState != "inactive" {
				old.LoadState, old.Source = "not-found", ""
				m.units[name] = old
			}
		}
		return nil
	})
}

// load makes an instance of a template that is installed.
func (m *machine) load(unit string) {
	name, instance, ok := strings.Cut(unit, "@")
	template := m.units[name+"@.service"]
	if m.units[unit] == nil && ok && instance != ".service" && template != nil {
		s := *template
		s.Name = unit
		m.units[unit] = &s
	}
}

func (m *machine) Start(ctx context.Context, unit string) error {
	return m.do(ctx, "start "+unit, func() error {
		m.load(unit)
		u := m.units[unit]
		if u == nil || u.LoadState != "loaded" {
			return leger.Errorf(leger.CodeNotFound, "no unit %s", unit)
		}
		if u.ActiveState == "active" {
			return nil
		}
		if b, ok := m.broken[unit]; ok {
			u.ActiveState, u.SubState, u.Result, u.ExecMainStatus = b.ActiveState, b.SubState, b.Result, b.ExecMainStatus
			if b.Job != "" { // it hangs
				m.mu.Unlock()
				<-ctx.Done()
				m.mu.Lock()
				return leger.Wrap(leger.CodeUnavailable, ctx.Err(), "start %s", unit)
			}
			return leger.Errorf(leger.CodeUnhealthy, "%s did not start", unit)
		}
		m.content[unit] = m.files[u.Source]
		u.ActiveState, u.SubState, u.Since, u.Restarts = "active", "running", m.now, 0
		if m.oneshot[unit] {
			u.ActiveState, u.SubState, u.Since = "inactive", "dead", time.Time{}
		}
		return nil
	})
}

func (m *machine) Restart(ctx context.Context, unit string) error {
	if err := m.Stop(ctx, unit); err != nil {
		return err
	}
	return m.Start(ctx, unit)
}

func (m *machine) Stop(ctx context.Context, units ...string) error {
	for _, unit := range units {
		if err := m.stop(ctx, unit); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) stop(ctx context.Context, unit string) error {
	return m.do(ctx, "stop "+unit, func() error {
		if u := m.units[unit]; u != nil {
			u.ActiveState, u.SubState, u.Since = "inactive", "dead", time.Time{}
			if u.LoadState == "not-found" {
				delete(m.units, unit)
			}
		}
		delete(m.content, unit)
		return nil
	})
}

func (m *machine) Hold(ctx context.Context, units ...string) error {
	return m.do(ctx, "hold "+strings.Join(units, " "), func() error { return nil })
}

func (m *machine) Needs(_ context.Context, unit string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.needs[unit], nil
}

func (m *machine) HealthOutput(context.Context, string) (string, error) {
	return "503 not today\n", nil
}

func (m *machine) Dependents(ctx context.Context, units ...string) (map[string][]string, error) {
	found := map[string][]string{}
	return found, m.do(ctx, "dependents", func() error {
		for _, unit := range units {
			if len(m.dependents[unit]) > 0 {
				found[unit] = m.dependents[unit]
			}
		}
		return nil
	})
}

func (m *machine) ResetFailed(ctx context.Context, unit string) error {
	return m.do(ctx, "reset "+unit, func() error {
		if u := m.units[unit]; u != nil && u.ActiveState == "failed" {
			u.ActiveState, u.SubState, u.Result = "inactive", "dead", "success"
		}
		return nil
	})
}

func (m *machine) States(ctx context.Context, units ...string) ([]leger.UnitState, error) {
	var states []leger.UnitState
	return states, m.do(ctx, "states", func() error {
		for _, name := range units {
			m.load(name)
			u := m.units[name]
			if u == nil {
				states = append(states, leger.UnitState{Name: name, LoadState: "not-found", ActiveState: "inactive"})
				continue
			}
			if left := m.crashes[name]; left > 0 && u.ActiveState == "active" {
				m.crashes[name]--
				u.Restarts++
				u.Since = m.now
			}
			if m.ends[name] && u.ActiveState == "active" {
				u.ActiveState, u.SubState = "inactive", "dead"
			}
			states = append(states, *u)
		}
		return nil
	})
}

func (m *machine) Instances(ctx context.Context, template string) ([]string, error) {
	var running []string
	name, _, _ := strings.Cut(template, "@")
	return running, m.do(ctx, "instances", func() error {
		for unit, u := range m.units {
			if strings.HasPrefix(unit, name+"@") && unit != template && u.ActiveState == "active" {
				running = append(running, unit)
			}
		}
		slices.Sort(running)
		return nil
	})
}

func (m *machine) Why(context.Context, string, time.Time, int) ([]string, error) {
	return []string{"first line", "the reason"}, nil
}

func (m *machine) Missing(_ context.Context, names []string) ([]string, error) {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(m.secrets, n) }), nil
}

// Containers are those that units run, and others'.
func (m *machine) Containers(ctx context.Context) ([]leger.Container, error) {
	var all []leger.Container
	return all, m.do(ctx, "containers", func() error {
		busy := false
		for _, u := range m.units {
			busy = busy || u.ActiveState == "active"
		}
		if m.silent != 0 && busy {
			m.silent--
			return leger.Wrap(leger.CodeUnavailable, errInjected, "list the containers")
		}
		for unit, words := range m.turns {
			if len(words) > 0 && m.units[unit] != nil && m.units[unit].ActiveState == "active" {
				m.health[unit], m.turns[unit] = words[0], words[1:]
			}
		}
		all = slices.Clone(m.containers)
		for name, u := range m.units {
			if u.ActiveState == "active" || u.ActiveState == "activating" {
				all = append(all, leger.Container{Name: "systemd-" + strings.TrimSuffix(name, ".service"), Unit: name, Up: true, Health: m.health[name]})
			}
		}
		return nil
	})
}

func (m *machine) MissingImages(_ context.Context, names []string) ([]string, error) {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(m.images, n) }), nil
}

// Volumes are those that the test has made.
func (m *machine) Volumes(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.volumes)), nil
}

func (m *machine) RemoveVolume(_ context.Context, name string) error {
	if !m.volumes[name] {
		return leger.Errorf(leger.CodeConflict, "the volume %s is in use", name)
	}
	delete(m.volumes, name)
	return nil
}

func (m *machine) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// After lets the time pass at once.
func (m *machine) After(d time.Duration) <-chan time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	c := make(chan time.Time, 1)
	c <- m.now
	return c
}

// engine gives an Engine on the machine with its records in dir.
func (m *machine) engine(dir string) *deploy.Engine {
	m.dataDir = dir + "-data"
	return deploy.New(deploy.Config{
		StateDir: dir, DataDir: m.dataDir, Installers: []deploy.Installer{installer{m, "podman", true}, installer{m, "directory", false}},
		Units: m, Secrets: m, Volumes: m, Podman: m, Clock: m, Poll: 400 * time.Millisecond, StartTimeout: 30 * time.Second, StepTimeout: 30 * time.Second,
	})
}

// running describes what runs from which content, and what is installed.
func (m *machine) running() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []string
	for name, u := range m.units {
		if u.ActiveState == "active" {
			lines = append(lines, fmt.Sprintf("%s runs %s", name, hashOf(m.content[name])))
		}
	}
	for file, data := range m.files {
		mode := ""
		if m.execs[file] {
			mode = ", executable"
		}
		lines = append(lines, fmt.Sprintf("%s is %s%s", file, hashOf(data), mode))
	}
	if m.dataDir != "" {
		_ = filepath.WalkDir(m.dataDir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				data, _ := os.ReadFile(name)
				lines = append(lines, fmt.Sprintf("%s holds %s", strings.TrimPrefix(name, m.dataDir), hashOf(string(data))))
			}
			return nil
		})
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func hashOf(s string) string { return fmt.Sprintf("%.40q", s) }

func releaseName(t testing.TB, s string) leger.ReleaseName {
	t.Helper()
	n, err := leger.ParseReleaseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// request asks for files given as pairs of name and content.
func request(t testing.TB, release, commit string, pairs ...string) deploy.Request {
	t.Helper()
	files := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = []byte(pairs[i+1])
	}
	return deploy.Request{
		Release: releaseName(t, release), Set: quadlet.LoadFiles(files),
		Source: deploy.Source{URL: "https://example.com/r.git", Ref: "refs/heads/main", Commit: commit},
	}
}

// install prepares and applies.
func install(ctx context.Context, e *deploy.Engine, req deploy.Request) (deploy.Outcome, error) {
	plan, err := e.Prepare(ctx, req)
	if err != nil {
		return deploy.Outcome{}, err
	}
	return e.Apply(ctx, plan.WithConsent(deploy.ConsentFlag), nil)
}

// rollback prepares and applies.
func rollback(ctx context.Context, t testing.TB, e *deploy.Engine, number int) (deploy.Outcome, error) {
	t.Helper()
	plan, err := e.PrepareRollback(ctx, releaseName(t, "App"), number)
	if err != nil {
		return deploy.Outcome{}, err
	}
	return e.Apply(ctx, plan, nil)
}

var errInjected = errors.New("injected")
