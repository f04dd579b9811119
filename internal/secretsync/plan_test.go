package secretsync_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"leger.run/leger"
	"leger.run/leger/internal/secretsync"
)

// Each file of testdata/plan is a server, a machine and the plan between them.
// A line of the machine is: name, active version, value, kept versions.
// UPDATE_GOLDEN=1 writes the plans anew.
func TestPlan(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no plans to test", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			server, local := sides(t, a)
			got := plan(t, server, local).String()
			if os.Getenv("UPDATE_GOLDEN") != "" {
				a.Files[2].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[2].Data), got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

type localSecret struct {
	held  secretsync.Held
	value string
}

func plan(t *testing.T, server []secretsync.Value, local []localSecret) secretsync.Plan {
	t.Helper()
	var held []secretsync.Held
	values := map[leger.SecretName]string{}
	for _, l := range local {
		held = append(held, l.held)
		values[l.held.Name] = l.value
	}
	theirs := map[leger.SecretName]string{}
	for _, v := range server {
		theirs[v.Name] = string(v.Value.Reveal())
	}
	return secretsync.NewPlan(secretsync.Sides{Server: server, Local: held, Same: func(n leger.SecretName) bool {
		return theirs[n] == values[n]
	}})
}

func sides(t *testing.T, a *txtar.Archive) (server []secretsync.Value, local []localSecret) {
	t.Helper()
	version := func(s string) leger.Version {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return leger.Version(n)
	}
	for line := range strings.Lines(string(a.Files[0].Data)) {
		f := strings.Fields(line)
		server = append(server, value(t, f[0], version(f[1]), f[2]))
	}
	for line := range strings.Lines(string(a.Files[1].Data)) {
		f := strings.Fields(line)
		l := localSecret{value: f[2], held: secretsync.Held{Name: secretName(t, f[0]), Active: version(f[1])}}
		for k := range strings.SplitSeq(f[3], ",") {
			l.held.Kept = append(l.held.Kept, version(k))
		}
		local = append(local, l)
	}
	return server, local
}

func TestReasonOfAReplacement(t *testing.T) {
	t.Parallel()
	back := secretsync.Step{Action: secretsync.ActionReplaced, From: 7, To: 2}.Reason()
	if !strings.Contains(back, "went back from version 7 to 2") {
		t.Errorf("reason = %q", back)
	}
	same := secretsync.Step{Action: secretsync.ActionReplaced, From: 2, To: 2}.Reason()
	if !strings.Contains(same, "another value under the same version 2") {
		t.Errorf("reason = %q", same)
	}
	if r := (secretsync.Step{Action: secretsync.ActionChanged}).Reason(); r != "" {
		t.Errorf("reason of a change = %q", r)
	}
}
