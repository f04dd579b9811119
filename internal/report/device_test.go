package report_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/report"
	"leger.run/leger/internal/signin"
)

// Without Tailscale a machine has an id of its own: always the same, another on
// another machine, and not the one that machine-id(5) says to keep private.
func TestTheIDOfAMachineWithoutTailscale(t *testing.T) {
	t.Parallel()
	const someID, otherID = "0123456789abcdef0123456789abcdef\n", "fedcba9876543210fedcba9876543210\n"
	id := func(name, machineID string, in signin.SignIn) (string, error) {
		file := filepath.Join(t.TempDir(), "machine-id")
		if err := os.WriteFile(file, []byte(machineID), 0o600); err != nil {
			t.Fatal(err)
		}
		return report.DeviceID(file, func() (string, error) { return name, nil }, in)
	}
	seen := map[string]string{}
	for _, m := range []struct{ name, machineID, same string }{
		{"one", someID, "first"},
		{"renamed", someID, "first"},
		{"two", otherID, "second"},
		{"three", "uninitialized\n", "third"},
		{"four", "", "fourth"},
		{"four", "uninitialized\n", "fourth"},
	} {
		got, err := id(m.name, m.machineID, signin.SignIn{})
		if err != nil || !regexp.MustCompile(`^local-[0-9a-f]{32}$`).MatchString(got) || strings.Contains(got, strings.TrimSpace(someID)) {
			t.Errorf("%s has the id %q, %v", m.name, got, err)
		}
		if before, known := seen[m.same]; known && before != got {
			t.Errorf("%s has the id %s, and had %s", m.name, got, before)
		}
		seen[m.same] = got
	}
	ids := map[string]bool{}
	for _, id := range seen {
		ids[id] = true
	}
	if len(ids) != len(seen) {
		t.Errorf("two machines share an id: %v", seen)
	}
	if got, err := id("one", someID, signin.SignIn{DeviceID: "nABC"}); err != nil || got != "nABC" {
		t.Errorf("with Tailscale: %q, %v", got, err)
	}
	if _, err := id("", "", signin.SignIn{}); !errors.Is(err, leger.ErrMissingPart) {
		t.Errorf("a machine with neither id nor name: %v", err)
	}
}
