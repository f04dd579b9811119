package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"leger.run/leger"
	"leger.run/leger/internal/cli"
)

// canary is the secret value of every script: it may come out of "secrets get"
// and nowhere else.
const canary = "canary-5d41402abc4b2a76"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"leger": legerMain})
}

// legerMain is cmd/leger with what it says copied to $CAPTURE.
func legerMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	e := cli.OSEnv("0.0.0-test", rand.Reader)
	e.SystemConfig = os.Getenv("SYSTEM_CONFIG")
	e.Executable = ""
	if dir := os.Getenv("CAPTURE"); dir != "" { // a terminal keeps its own streams
		capture, err := os.CreateTemp(dir, "said-*")
		if err != nil {
			panic(err)
		}
		e.Stderr = io.MultiWriter(os.Stderr, capture)
		if !slices.Contains(e.Args, "get") {
			e.Stdout = io.MultiWriter(os.Stdout, capture)
		}
	}
	var code int
	if file := os.Getenv("UNITS"); file == "" {
		e.Hostname = func() (string, error) { return "machine-of-the-test", nil }
		code = cli.Main(ctx, e)
	} else {
		code = mainOnUnits(ctx, e, file)
	}
	stop()
	os.Exit(code)
}

// Each script of testdata/script runs the leger command on a machine of its own:
// see rig. Besides testscript's commands it may use:
//
//	server up|down|ahead DURATION     the server hangs up; its clock is ahead
//	server refuse|accept              it takes no reports, or again
//	server methods [NAME…]            the ways to sign in that it names; none: it lacks the route
//	server backup                     keeps a copy of its database
//	server move                       it is at another address, with the same data
//	server damage NAME                the secret's row in the database loses its value
//	[!] reported REGEXP               what the server knows of the machines, as JSON
//	systemd                           there is a user session from now on
//	unit NAME STATE SUBSTATE          its word on a unit
//	legerd start|stop
//	tailscale STATE                   a fixture of internal/tailnet
//	podman version V | break N | put NAME VALUE | drop NAME | has NAME VALUE | lacks NAME
//	standin NAME                      the program NAME, from testdata/standin
//	restore [back]                    the server starts on an empty database, or on what "server backup" kept
//	run CODE ARGS…                    leger ARGS… is to end with CODE
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_GOLDEN") != "",
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": cmdServer, "legerd": cmdLegerd, "tailscale": cmdTailscale, "podman": cmdPodman,
			"reported": cmdReported, "systemd": cmdSystemd, "unit": cmdUnit, "standin": cmdStandin, "run": cmdRun, "restore": cmdRestore,
		},
	})
}

type rigKey struct{}

func setup(e *testscript.Env) error {
	t := e.T().(testing.TB) //nolint:forcetypeassert // testscript.Run was given a *testing.T
	r := newRig(t)
	e.Values[rigKey{}] = r
	home := filepath.Join(e.WorkDir, "home")
	leger := filepath.Dir(lookPath(e.Getenv("PATH"), "leger"))
	for name, value := range r.env(home) {
		e.Setenv(name, value)
	}
	capture := filepath.Join(e.WorkDir, ".capture")
	bin := filepath.Join(e.WorkDir, "bin")
	for _, dir := range []string{capture, bin} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(e.WorkDir, "binary"), []byte{0xff, 0xfe, 0}, 0o600); err != nil {
		return err
	}
	e.Setenv("CAPTURE", capture)
	e.Setenv("CANARY", canary)
	e.Setenv("SYSTEM_CONFIG", filepath.Join(e.WorkDir, "etc", "config.toml"))
	e.Setenv("NO_COLOR", "1")
	// The machine's own systemctl and the like are out of reach.
	e.Setenv("PATH", bin+string(filepath.ListSeparator)+leger)
	e.Defer(func() { searchCanary(t, e.WorkDir) })
	return nil
}

func lookPath(path, name string) string {
	for _, dir := range filepath.SplitList(path) {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// searchCanary looks through all that leger said and wrote.
func searchCanary(t testing.TB, dir string) {
	t.Helper()
	said := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		own := strings.HasPrefix(filepath.Base(path), "value") // the script's own input, and its .stdin
		if !own && bytes.Contains(b, []byte(canary)) {
			t.Errorf("the secret value is in %s:\n%s", path, b)
		}
		if strings.Contains(path, ".capture") {
			said++
		}
		return nil
	})
	if err != nil || said == 0 {
		t.Errorf("nothing was searched for the secret value (%v)", err)
	}
}

func rigOf(ts *testscript.TestScript) *rig {
	return ts.Value(rigKey{}).(*rig) //nolint:forcetypeassert // setup put it there
}

func need(ts *testscript.TestScript, args []string, n int) {
	if len(args) < n {
		ts.Fatalf("too few arguments")
	}
}

// notFound is what a server from before a route answers.
const notFound = `{"success":false,"error":{"code":"not_found","message":"there is no such route","request_id":"0"}}`

func cmdServer(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1)
	r := rigOf(ts)
	switch args[0] {
	case "up":
		r.down.Store(false)
	case "down":
		r.down.Store(true)
	case "refuse", "accept":
		r.refuseReports(args[0] == "refuse")
	case "methods":
		answer := notFound
		if len(args) > 1 {
			answer = `{"success":true,"data":{"methods":[{"name":"` + strings.Join(args[1:], `"},{"name":"`) + `","of":"the future"}]}}`
		}
		r.methods.Store(&answer)
	case "backup":
		r.kept = r.backUp()
	case "move":
		r.move()
		ts.Setenv("LEGER_SERVER", r.api.URL)
	case "saved":
		need(ts, args, 2)
		r.says(map[string]leger.BackupState{
			"never": {}, "database": {MadeAt: time.Unix(1764250000, 0)}, "all": {MadeAt: time.Unix(1764250000, 0), KeysSaved: true},
		}[args[1]])
	case "damage":
		need(ts, args, 2)
		r.damage(args[1])
	case "ahead":
		need(ts, args, 2)
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		r.ahead.Store(int64(d))
	default:
		ts.Fatalf("server does not know %s", args[0])
	}
}

func cmdRestore(ts *testscript.TestScript, _ bool, args []string) {
	r := rigOf(ts)
	if len(args) > 0 && args[0] == "back" {
		r.putBack(r.kept)
		return
	}
	r.restoreServer()
}

func cmdLegerd(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1)
	switch args[0] {
	case "start":
		rigOf(ts).startLegerd()
	case "stop":
		rigOf(ts).stopLegerd()
	default:
		ts.Fatalf("legerd does not know %s", args[0])
	}
}

func cmdTailscale(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1)
	rigOf(ts).setTailscale(args[0])
}

func cmdPodman(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 2)
	fake := rigOf(ts).podman
	if args[0] == "version" {
		fake.SetVersion(args[1])
		return
	}
	s, there := fake.Secret(args[1])
	switch args[0] {
	case "break":
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		fake.Break(n)
	case "put":
		need(ts, args, 3)
		fake.Put(args[1], args[2], nil)
	case "drop":
		fake.Drop(args[1])
	case "has":
		need(ts, args, 3)
		if !there || string(s.Value) != args[2] {
			ts.Fatalf("Podman's %s is not what it should be (there: %v)", args[1], there)
		}
	case "lacks":
		if there {
			ts.Fatalf("Podman has %s", args[1])
		}
	default:
		ts.Fatalf("podman does not know %s", args[0])
	}
}

// cmdStandin installs programs of testdata/standin in PATH.
func cmdStandin(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		b, err := os.ReadFile(filepath.Join("testdata", "standin", name))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(filepath.Join("bin", name)), b, 0o700))
	}
}

// cmdRun runs leger and checks its exit code: run CODE ARGS…
func cmdRun(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 1)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("leger", args[1:]...)
	got := 0
	if err != nil {
		var exit interface{ ExitCode() int }
		if !asExit(err, &exit) {
			ts.Fatalf("leger did not run: %v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("leger %s ended with code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

func asExit(err error, into *interface{ ExitCode() int }) bool {
	e, ok := err.(interface{ ExitCode() int })
	*into = e
	return ok
}
