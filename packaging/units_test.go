// Package packaging_test holds the units of systemd to what is promised of them.
package packaging_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// unit is one of packaging/systemd.
type unit struct {
	name string
	user bool // of the user's systemd
	// most is the exposure that "systemd-analyze security" may give it, from 0 to 10, and
	// asSystemUnit what is left of it once it knows what a unit of a user's systemd has not:
	// systemd-analyze takes every unit for one that root runs, with all capabilities.
	most, asSystemUnit float64
}

func units() []unit {
	return []unit{
		{name: "leger-server.service", most: 1.1},
		{name: "leger-litestream.service", most: 1.4},
		{name: "legerd.service", user: true, most: 3.1, asSystemUnit: 1.2},
		{name: "legerd.socket", user: true},
	}
}

// ofAUser says what holds for each process of a user that got no new privileges.
const ofAUser = "[Service]\nUser=someone\nCapabilityBoundingSet=\n"

// TestUnitsAreHardened: nobody takes a restriction away unnoticed.
func TestUnitsAreHardened(t *testing.T) {
	t.Parallel()
	for _, u := range units() {
		if u.most == 0 {
			continue // a socket runs nothing
		}
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			within(t, "", exposure(t, u.name, ""), u.most)
			if u.user {
				within(t, " as a user's", exposure(t, u.name, ofAUser), u.asSystemUnit)
			}
		})
	}
}

func within(t *testing.T, as string, got, most float64) {
	t.Helper()
	if got > most {
		t.Errorf("systemd-analyze security gives%s %.1f, more than %.1f", as, got, most)
	}
	if got < most-0.3 {
		t.Errorf("systemd-analyze security gives%s %.1f: lower the limit of %.1f", as, got, most)
	}
}

// exposure is what systemd-analyze thinks of a unit with some more lines.
func exposure(t *testing.T, name, more string) float64 {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, name), read(t, name)+"\n"+more)
	text := analyze(t, dir, "security", "--offline=yes", filepath.Join(dir, name))
	found := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+) `).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no overall exposure level:\n%s", text)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestUnitsAreWellFormed: systemd has nothing to say about them.
func TestUnitsAreWellFormed(t *testing.T) {
	t.Parallel()
	for _, u := range units() {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, one := range units() {
				write(t, filepath.Join(dir, one.name), runnable(read(t, one.name)))
			}
			args := []string{"verify", "--man=no", "--recursive-errors=no", filepath.Join(dir, u.name)}
			if u.user {
				args = append([]string{"--user"}, args...)
			}
			if out := known(analyze(t, dir, args...)); out != "" {
				t.Errorf("systemd-analyze says:\n%s", out)
			}
		})
	}
}

// runnable puts a program that is here in the place of one that is not installed.
func runnable(text string) string {
	return regexp.MustCompile(`(?m)^ExecStart=\S+`).ReplaceAllString(text, "ExecStart=/bin/sh")
}

// known leaves out what a systemd before 254 says about a key that it does without.
func known(out string) string {
	return regexp.MustCompile(`(?m)^.*Unknown key (name )?'ImportCredential'.*\n?`).ReplaceAllString(out, "")
}

// analyze runs systemd-analyze, which complains about more than it fails for.
func analyze(t *testing.T, dir string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Fatal("systemd-analyze is missing: sudo apt-get install systemd (or: scripts/need systemd)")
	}
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"--no-pager"}, args...)...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "SYSTEMD_COLORS=0", "SYSTEMD_EMOJI=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if stderr.Len() == 0 && len(out) == 0 && err != nil {
		return fmt.Sprintf("%v\n", err)
	}
	return stderr.String() + string(out)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("systemd", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
