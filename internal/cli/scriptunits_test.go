package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"

	"leger.run/leger"
	"leger.run/leger/internal/cli"
)

// mainOnUnits is leger with a systemd that keeps its units in a file between the
// commands of a script.
func mainOnUnits(ctx context.Context, e cli.Env, file string) int {
	states, err := loadUnits(file)
	if err != nil {
		panic(err)
	}
	u := &units{dir: filepath.Join(os.Getenv("HOME"), ".config", "containers", "systemd"), states: states}
	code := cli.MainOn(ctx, e, u)
	if err := saveUnits(file, u.states); err != nil {
		panic(err)
	}
	return code
}

func loadUnits(file string) (states map[string]leger.UnitState, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return states, json.Unmarshal(b, &states)
}

func saveUnits(file string, states map[string]leger.UnitState) error {
	b, err := json.Marshal(states)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

func cmdSystemd(ts *testscript.TestScript, _ bool, _ []string) {
	file := ts.MkAbs(".units")
	ts.Check(saveUnits(file, map[string]leger.UnitState{}))
	ts.Setenv("UNITS", file)
}

func cmdUnit(ts *testscript.TestScript, _ bool, args []string) {
	need(ts, args, 3)
	states, err := loadUnits(ts.Getenv("UNITS"))
	ts.Check(err)
	s := states[args[0]]
	s.ActiveState, s.SubState = args[1], args[2]
	states[args[0]] = s
	ts.Check(saveUnits(ts.Getenv("UNITS"), states))
}

// cmdReported looks for a text in the server's list of machines.
func cmdReported(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1)
	b, err := json.MarshalIndent(rigOf(ts).hosts(ts.Getenv("HOME")), "", "  ")
	ts.Check(err)
	if regexp.MustCompile(args[0]).Match(b) == neg {
		ts.Fatalf("the server knows (want %q: %v):\n%s", args[0], !neg, b)
	}
}
