//go:build machine

package quadlet_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/run"
)

// How long quadlets are composed for, and from which seed on.
var (
	fuzzFor  = flag.Duration("fuzz.for", 20*time.Second, "how long to compose quadlets for Podman's generator")
	fuzzSeed = flag.Uint64("fuzz.seed", 1, "the first seed")
)

// The command lines that Podman's generator and systemd make of composed quadlets
// have nothing of the machine that the report does not name.
func TestMachineReportNamesWhatPodmanDoes(t *testing.T) {
	b := bench{t: t, runner: run.New(run.Config{}), env: run.MinimalEnv(os.LookupEnv)}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	b.machine = machine{home: home, runtime: os.Getenv("XDG_RUNTIME_DIR")}
	b.dir = filepath.Join(home, ".config", "containers", "systemd", "composed")
	defer func() {
		_ = os.RemoveAll(b.dir)
		b.run("/usr/bin/systemctl", "--user", "daemon-reload")
	}()
	end := time.Now().Add(*fuzzFor)
	seed := *fuzzSeed
	for ; time.Now().Before(end) && !t.Failed(); seed++ {
		b.batch(seed)
	}
	t.Logf("%d quadlets of seeds %d to %d: %d refused by Leger, %d by Podman or systemd, %d held against their command lines with %d mounts, %d of which were moved",
		b.composed, *fuzzSeed, seed-1, b.refused, b.unmade, b.held, b.mounts, b.moved)
	if !t.Failed() && (b.held < 50 || b.held < b.composed/4 || b.moved == 0) {
		t.Errorf("only %d of %d quadlets were held against Podman, with %d mounts that were moved", b.held, b.composed, b.moved)
	}
}

type bench struct {
	t       *testing.T
	runner  *run.Runner
	env     []string
	machine machine
	dir     string

	composed, refused, unmade, held, mounts, moved int
}

func (b *bench) run(path string, args ...string) string {
	b.t.Helper()
	res, err := b.runner.Run(b.t.Context(), run.Command{Path: path, Args: args, Env: b.env})
	if err != nil {
		b.t.Fatal(err)
	}
	return string(res.Stdout)
}

// batch has Podman and systemd read some quadlets at once, each in a directory of
// its own. In every other batch what their containers write is moved, as it is when
// they are installed.
func (b *bench) batch(seed uint64) {
	const size = 40
	r := composer{rand.New(rand.NewPCG(seed, 0))}
	if err := os.RemoveAll(b.dir); err != nil {
		b.t.Fatal(err)
	}
	var all []composed
	names := composedNames()
	for i := range size {
		name := fmt.Sprintf("c%d-x.container", i)
		if i < len(names) {
			name = names[i]
		}
		c := r.compose(name)
		b.composed++
		set := c.load(b.data(seed, c))
		if len(set.Problems) > 0 {
			b.refused++
			continue
		}
		files := c.files()
		maps.Copy(files, set.Files)
		f := fixture{files: files}
		f.layOut(b.t, b.where(c))
		all = append(all, c)
	}
	b.run("/usr/bin/systemctl", "--user", "daemon-reload")
	for _, c := range all {
		b.hold(seed, c)
	}
}

func (b *bench) where(c composed) string {
	return filepath.Join(b.dir, strings.TrimSuffix(c.name, ".container"))
}

// data is where what a container writes is moved to; "" moves nothing.
func (b *bench) data(seed uint64, c composed) string {
	if seed%2 == 0 {
		return ""
	}
	return filepath.Join(b.machine.home, ".local", "share", "leger", "releases", strings.TrimSuffix(c.name, ".container"))
}

func (b *bench) hold(seed uint64, c composed) {
	unit := strings.TrimSuffix(c.name, ".container") + ".service"
	commands := b.commands(unit, "ExecStart")
	if len(commands) == 0 {
		b.unmade++
		return
	}
	b.held++
	m := b.machine
	m.dir, m.data = b.where(c), b.data(seed, c)
	for _, word := range commands[0] {
		if word == "-v" || strings.HasPrefix(word, "--mount") || strings.HasPrefix(word, "--volume") {
			b.mounts++
		}
		if m.data != "" && strings.Contains(word, m.data+"/") {
			b.moved++
		}
	}
	risks := c.load(m.data).Risks
	holes := m.holes(risks, commands)
	says := func(text string) bool {
		return slices.ContainsFunc(risks, func(r quadlet.Risk) bool { return r.Danger && strings.Contains(r.Text, text) })
	}
	if before := b.commands(unit, "ExecStartPre"); len(before) > 0 && !says("ExecStartPre=") {
		holes = append(holes, fmt.Sprint(before))
	}
	if strings.Contains(c.text, "Alias=") && !says("Alias=") {
		holes = append(holes, "the alias")
	}
	for _, hole := range holes {
		b.t.Errorf("seed %d, %s:\n%s\nthe report does not name %s\n%s\n%q", seed, c.name, c.text, hole, reportText(risks), commands)
	}
}

// commands are what systemd would run, with its specifiers replaced.
func (b *bench) commands(unit, property string) [][]string {
	path := b.run("/usr/bin/busctl", "--user", "--json=short", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
		"org.freedesktop.systemd1.Manager", "LoadUnit", "s", unit)
	var loaded struct{ Data []string }
	if err := json.Unmarshal([]byte(path), &loaded); err != nil || len(loaded.Data) != 1 {
		b.t.Fatalf("%s: %v, %s", unit, err, path)
	}
	text := b.run("/usr/bin/busctl", "--user", "--json=short", "get-property", "org.freedesktop.systemd1", loaded.Data[0], "org.freedesktop.systemd1.Service", property)
	var got struct{ Data [][]json.RawMessage }
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		b.t.Fatalf("%s: %v, %s", unit, err, text)
	}
	var all [][]string
	for _, command := range got.Data {
		var argv []string
		if err := json.Unmarshal(command[1], &argv); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, argv)
	}
	return all
}
