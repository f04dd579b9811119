//go:build machine

package deploy_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger/internal/run"
)

// snapshot is all of a graph that is on the machine.
type snapshot struct {
	Files      map[string]string // quadlets, by path: the beginning of their hash
	Units      map[string]string // those that are not just inactive: "active", "failed", "not-found active", …
	Containers map[string]string // by name: state and the version of the text it was made from
}

// observer asks the machine itself, not Leger.
type observer struct {
	t      *testing.T
	runner *run.Runner
	env    []string
	since  time.Time // what is older is not looked at in the journal
}

func newObserver(t *testing.T) *observer {
	return &observer{t: t, runner: run.New(run.Config{}), env: run.MinimalEnv(os.LookupEnv)}
}

func (o *observer) output(program string, args ...string) string {
	o.t.Helper()
	res, err := o.runner.Run(context.WithoutCancel(o.t.Context()), run.Command{Path: program, Args: args, Env: o.env})
	if err != nil || res.Code != 0 {
		o.t.Fatalf("%s %v: %v %s", program, args, err, res.Stderr)
	}
	return string(res.Stdout)
}

// look takes a snapshot as it is at the moment.
func (o *observer) look(seed uint64) snapshot {
	o.t.Helper()
	prefix := fmt.Sprintf("g%d-", seed)
	s := snapshot{Files: quadletFiles(o.t, prefix), Units: map[string]string{}, Containers: map[string]string{}}
	units := o.output("systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "--no-pager", prefix+"*")
	for line := range strings.Lines(units) {
		if f := strings.Fields(line); len(f) > 3 && (f[2] != "inactive" || f[1] != "loaded") && !strings.HasSuffix(f[0], ".timer") &&
			// That one is active says only that something has needed the volume.
			(!strings.HasSuffix(f[0], "-volume.service") || f[2] != "active") {
			if f[1] != "not-found" || f[2] != "inactive" {
				s.Units[f[0]] = strings.TrimPrefix(f[1]+" "+f[2], "loaded ")
			}
		}
	}
	for line := range strings.Lines(o.output("podman", "ps", "--all", "--format", `{{.Names}} {{.State}} {{index .Labels "leger.graph"}}`)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "systemd-"+prefix) {
			s.Containers[f[0]] = strings.Join(f[1:], " ")
		}
	}
	return s
}

func quadletFiles(t *testing.T, prefix string) map[string]string {
	t.Helper()
	files := map[string]string{}
	root := filepath.Join(os.Getenv("HOME"), ".config", "containers", "systemd")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), prefix) {
			return err
		}
		data, err := os.ReadFile(path)
		sum := sha256.Sum256(data)
		files[strings.TrimPrefix(path, root+"/")] = hex.EncodeToString(sum[:4])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// calm is a snapshot once nothing moves any more: no job is queued and no unit is
// on its way, at two looks.
func (o *observer) calm(seed uint64) snapshot {
	o.t.Helper()
	before := "not looked yet"
	o.until("the machine comes to rest", func() string {
		now := o.output("systemctl", "--user", "list-units", "--all", "--plain", "--no-legend", "--no-pager", fmt.Sprintf("g%d-*", seed)) +
			o.output("systemctl", "--user", "list-jobs", "--no-legend", "--plain", fmt.Sprintf("g%d-*", seed))
		last := before
		before = now
		for _, word := range []string{"activating", "deactivating", "reloading", " start ", " stop ", " restart "} {
			if strings.Contains(now, word) {
				return now
			}
		}
		return cmp.Diff(last, now)
	})
	return o.look(seed)
}

// becomes waits until the machine is as it should be, and gives what is different
// when it does not get there. Those called (graph.called) may run although they did not.
func (o *observer) becomes(seed uint64, want snapshot, called ...string) (diff string) {
	o.t.Helper()
	deadline, tick := time.After(20*time.Second), time.NewTicker(500*time.Millisecond)
	defer tick.Stop()
	for {
		now := o.calm(seed)
		now.drop(slices.DeleteFunc(slices.Clone(called), func(unit string) bool { return want.Units[unit] != "" }))
		if diff = cmp.Diff(want, now); diff == "" {
			return ""
		}
		select {
		case <-deadline:
			return diff
		case <-tick.C:
		}
	}
}

// drop takes units and their containers out of the snapshot.
func (s snapshot) drop(units []string) {
	for _, unit := range units {
		delete(s.Units, unit)
		delete(s.Containers, "systemd-"+strings.TrimSuffix(unit, ".service"))
		delete(s.Containers, "systemd-"+strings.TrimSuffix(unit, "-pod.service")+"-infra")
	}
}

// until waits until what gives "".
func (o *observer) until(what string, check func() string) {
	o.t.Helper()
	deadline, tick := time.After(2*time.Minute), time.NewTicker(300*time.Millisecond)
	defer tick.Stop()
	for {
		left := check()
		if left == "" {
			return
		}
		select {
		case <-deadline:
			o.t.Fatalf("%s: not within two minutes:\n%s", what, left)
		case <-tick.C:
		}
	}
}

// journal is what the units of a graph, and systemd about them, have said lately, or since
// the boot.
func (o *observer) journal(seed uint64) string {
	return o.output("journalctl", "--user", "--no-pager", "--lines=200", "--output=short-precise",
		fmt.Sprintf("--since=@%d", max(o.since.Unix(), 0)), fmt.Sprintf("--user-unit=g%d-*", seed))
}

// boots gives the units of a graph that systemd starts together with
// default.target, by following its dependencies as it would.
func (o *observer) boots(seed uint64) []string {
	o.t.Helper()
	seen, next := map[string]bool{"default.target": true}, []string{"default.target"}
	for len(next) > 0 {
		args := []string{"--user", "show", "--property=Wants,Requires,BindsTo,Upholds", "--"}
		out := o.output("systemctl", append(args, next...)...)
		next = nil
		for line := range strings.Lines(out) {
			_, names, _ := strings.Cut(strings.TrimSpace(line), "=")
			for name := range strings.FieldsSeq(names) {
				if !seen[name] && (strings.HasSuffix(name, ".target") || strings.HasPrefix(name, fmt.Sprintf("g%d-", seed))) {
					seen[name], next = true, append(next, name)
				}
			}
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(seen)), func(s string) bool { return strings.HasSuffix(s, ".target") })
}

// startMissed starts what a boot should have started when a unit failed with
// "protocol" (see install): that unit, unless its Restart= did, and those whose start
// failed with it, which nothing tries again.
func (o *observer) startMissed(seed uint64, now snapshot) {
	o.t.Helper()
	missed := slices.DeleteFunc(o.boots(seed), func(unit string) bool { return now.Units[unit] == "active" })
	if len(missed) == 0 || !strings.Contains(o.journal(seed), "Failed with result 'protocol'") {
		return
	}
	o.t.Logf("graph %d: systemd missed Podman's message at the boot: %v started again", seed, missed)
	for _, unit := range missed {
		o.output("systemctl", "--user", "start", unit)
	}
}
