package quadlet_test

import (
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
)

// A script of the release that only ExecStartPre= named was not installed: the plan
// showed its hash, and the start failed for want of it.
func TestScriptsOfCommandsAreInstalled(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{
		"ExecStartPre=%h/.config/containers/systemd/run.sh":                               "run.sh at run.sh",
		"ExecStartPre=-@%E/containers/systemd/app.leger/run.sh arg":                       "run.sh at app.leger/run.sh",
		"ExecStartPost=/bin/sh -c '%h/.config/containers/systemd/app.leger/more/run2.sh'": "more/run2.sh at app.leger/more/run2.sh",
		"ExecStop=/home/ada/.config/containers/systemd/run.sh":                            "run.sh at run.sh",
		"ExecStopPost=/bin/sh %h/.config/containers/systemd/../systemd/run.sh":            "run.sh at run.sh",
		"ExecStartPre=/usr/local/bin/run.sh":                                              "",
		"ExecStartPre=run.sh":                                                             "", // systemd looks in its PATH
		"ExecStartPre=%h/.config/containers/systemd/theirs/run.sh":                        "",
		"ExecStartPre=%h/.config/containers/systemd/none.sh":                              "",
		"ExecStartPre=${DIR}/.config/containers/systemd/run.sh":                           "",
	} {
		s := quadlet.LoadFiles(map[string][]byte{
			"web.container": []byte("[Container]\nImage=x:1\n[Service]\n" + command + "\n"), "run.sh": []byte("#!/bin/sh\n"), "more/run2.sh": []byte("#!/bin/sh\n"),
		})
		if len(s.Problems) > 0 || len(s.Units) != 1 {
			t.Fatalf("%s: %v", command, s.Problems)
		}
		var got []string
		for _, script := range s.Units[0].Scripts {
			got = append(got, script.Name+" at "+script.At)
			if _, installed := s.Files[script.Name]; !installed || slices.Contains(s.Ignored, script.Name) || !slices.Contains(s.Units[0].Parts, script.Name) {
				t.Errorf("%s: %s is not installed, or no part of the unit: %v", command, script.Name, s.Units[0].Parts)
			}
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}

	s := quadlet.LoadFiles(map[string][]byte{"web.container": []byte("[Container]\nImage=x:1\n[Service]\nExecStartPre=-./run.sh a\n"), "run.sh": nil})
	if len(s.Problems) != 1 || s.Problems[0].Line != 4 || !strings.Contains(s.Problems[0].Message, "relative path") || !strings.Contains(s.Problems[0].Hint, "%h/.config/containers/systemd/NAME.leger/run.sh") {
		t.Errorf("a relative path: %+v", s.Problems)
	}
}
