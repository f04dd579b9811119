package deploy_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
)

// makes is a generator that accepts everything and makes one unit.
type makes string

func (m makes) Generate(context.Context, map[string][]byte) (map[string][]byte, []leger.Problem, error) {
	if m == "" {
		return nil, nil, leger.Errorf(leger.CodeMissingPart, "no generator")
	}
	return map[string][]byte{string(m): nil}, nil, nil
}

// systemdSays is systemd with a fixed opinion; nil: there is no systemd-analyze.
type systemdSays []leger.Problem

func (s systemdSays) Verify(context.Context, map[string][]byte) ([]leger.Problem, error) {
	if s == nil {
		return nil, leger.Errorf(leger.CodeMissingPart, "no systemd-analyze")
	}
	return s, nil
}

// leger validate asked systemd about what Podman makes of the files, and plans did
// not: a set that validate refused was installed, with the misspelled key ignored.
// The lines are systemd 262's.
func TestCheckAsksSystemd(t *testing.T) {
	t.Parallel()
	text := "[Container]\nImage=x:1\nVolume=./wait.sh:/wait.sh:ro\n[Service]\nRestartSex=5\nExecStartPre=%h/app.leger/wait.sh\n"
	missing := leger.Problem{File: "web.service", Message: "systemd: Command /home/u/app.leger/wait.sh is not executable: No such file or directory"}
	for name, c := range map[string]struct {
		unit       makes
		says       systemdSays
		executable bool // wait.sh is
		want       deploy.Checked
	}{
		"nothing is wrong": {unit: "web.service", says: systemdSays{}},
		"an unknown key is found in the quadlet": {
			unit: "web.service", says: systemdSays{{File: "web.service", Line: 9, Message: "systemd: Unknown key 'RestartSex' in section [Service], ignoring."}},
			want: deploy.Checked{Problems: []leger.Problem{{File: "web.container", Line: 5, Message: "systemd: Unknown key 'RestartSex' in section [Service], ignoring."}}},
		},
		"what names no key has the unit's line": {
			unit: "web.service", says: systemdSays{{File: "web.service", Line: 9, Message: "systemd: Failed to parse x"}},
			want: deploy.Checked{Problems: []leger.Problem{{File: "web.container", Message: "systemd: Failed to parse x", Hint: "it is line 9 of the web.service that Podman makes of it"}}},
		},
		"an obsolete setting is only told": {
			unit: "web.service", says: systemdSays{{File: "web.service", Message: "systemd: it is obsolete", Unsure: true}},
			want: deploy.Checked{Notices: []leger.Problem{{File: "web.container", Message: "systemd: it is obsolete"}}},
		},
		// It is installed together with the unit. Refusing it would refuse every first
		// installation of such a release.
		"the release's own program is not there yet": {unit: "web.service", says: systemdSays{missing}, executable: true},
		"a file that cannot be executed": {
			unit: "web.service", says: systemdSays{missing},
			want: deploy.Checked{Problems: []leger.Problem{{File: "web.container", Message: missing.Message}}},
		},
		"no systemd-analyze": {unit: "web.service", want: deploy.Checked{NotChecked: []string{"systemd-analyze"}}},
		"no generator":       {says: systemdSays{}, want: deploy.Checked{NotChecked: []string{"Podman's generator", "systemd-analyze"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := quadlet.LoadFilesWith(map[string][]byte{"web.container": []byte(text), "wait.sh": []byte("#!/bin/sh\n")},
				quadlet.Options{Executable: map[string]bool{"wait.sh": c.executable}})
			set.Problems, set.Notices = nil, nil
			got, err := deploy.Check(t.Context(), set, c.unit, c.says)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v -want +got:\n%s", err, diff)
			}
			m := newMachine()
			e := deploy.New(deploy.Config{
				StateDir: t.TempDir(), Installers: []deploy.Installer{installer{m, "podman", true}}, Units: m, Generator: c.unit, Verifier: c.says,
			})
			plan, err := e.Prepare(t.Context(), deploy.Request{Release: v1(t).Release, Set: set})
			if err != nil {
				t.Fatal(err)
			}
			var refused []leger.Problem
			for _, r := range plan.Refusals {
				refused = append(refused, leger.Problem{File: r.File, Line: r.Line, Message: r.Text, Hint: r.Hint})
			}
			if diff := cmp.Diff(c.want.Problems, refused); diff != "" {
				t.Errorf("the plan judges otherwise: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(c.want.NotChecked, plan.NotChecked); diff != "" || len(plan.Notices) != len(c.want.Notices) {
				t.Errorf("the plan tells otherwise: %v %s", plan.Notices, diff)
			}
		})
	}
}

// picky is a generator that makes units only when no file has "Bad=" in it, as
// Podman's does, and complains about what names a quadlet that is not there.
type picky struct{}

func (picky) Generate(_ context.Context, files map[string][]byte) (map[string][]byte, []leger.Problem, error) {
	var found []leger.Problem
	units := map[string][]byte{}
	for name, text := range files {
		network, names := "", strings.Contains(string(text), "Network=")
		if names {
			_, network, _ = strings.Cut(string(text), "Network=")
			network, _, _ = strings.Cut(network, "\n")
		}
		switch _, there := files[network]; {
		case strings.Contains(string(text), "Bad="):
			found = append(found, leger.Problem{File: name, Message: "unsupported key 'Bad'"})
		case names && !there:
			found = append(found, leger.Problem{File: name, Message: "the requested Quadlet source " + network + " was not found"})
		default:
			units[strings.TrimSuffix(name, ".container")+".service"] = text
		}
	}
	if len(found) > 0 {
		return nil, found, nil
	}
	return units, nil, nil
}

// knownUnits is a systemd that complains about each unit it is shown.
type knownUnits struct{}

func (knownUnits) Verify(_ context.Context, units map[string][]byte) ([]leger.Problem, error) {
	var found []leger.Problem
	for name := range units {
		found = append(found, leger.Problem{File: name, Message: "systemd: Unknown key 'RestartSex' in section [Service], ignoring."},
			leger.Problem{File: name, Message: "systemd: Unit a.service not found."})
	}
	return found, nil
}

// One key that Podman does not know kept systemd from being asked about all the other
// quadlets: whoever had mended the first problem was told the next.
func TestAllProblemsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	const image, odd = "[Container]\nImage=x:1\n", "[Service]\nRestartSex=5\n"
	set := quadlet.LoadFiles(map[string][]byte{
		"a.container": []byte(image + "Bad=1\n"), "net.network": []byte("[Network]\nBad=1\n"),
		"b.container": []byte(image + "Network=net.network\n" + odd), "c.container": []byte(image + odd), "d.container": []byte(image + odd),
	})
	set.Problems = nil
	got, err := deploy.Check(t.Context(), set, picky{}, knownUnits{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range got.Problems {
		lines = append(lines, p.File+": "+p.Message)
	}
	want := []string{
		"a.container: unsupported key 'Bad'",
		"c.container: systemd: Unknown key 'RestartSex' in section [Service], ignoring.",
		"d.container: systemd: Unknown key 'RestartSex' in section [Service], ignoring.",
		"net.network: unsupported key 'Bad'", // b.container needs it, and is not judged without it
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
