package web_test

import (
	"encoding/json"
	"os"
	"testing"

	"leger.run/leger"
)

// TestFormsFollowTheServersRules holds the cases that the forms' rules are tested
// with (in Vitest) to what the server says, so that a form never refuses what the
// server would take, nor lets through what it would refuse.
func TestFormsFollowTheServersRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("src/ui/rules.cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]struct{ Good, Bad []string }
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	rules := map[string]func(string) error{
		"name":         func(s string) error { _, err := leger.ParseReleaseName(s); return err },
		"git_url":      func(s string) error { _, err := leger.ParseGitURL(s); return err },
		"git_branch":   func(s string) error { _, err := leger.ParseGitRef(s); return err },
		"git_path":     func(s string) error { _, err := leger.ParseGitPath(s); return err },
		"description":  func(s string) error { _, err := leger.ParseDescription(s); return err },
		"display_name": func(s string) error { _, err := leger.ParseDisplayName(s); return err },
	}
	if len(cases) != len(rules) {
		t.Errorf("cases for %d fields, rules for %d", len(cases), len(rules))
	}
	for field, rule := range rules {
		for _, good := range cases[field].Good {
			if err := rule(good); err != nil {
				t.Errorf("%s %.60q: the form takes it, the server says: %v", field, good, err)
			}
		}
		for _, bad := range cases[field].Bad {
			if rule(bad) == nil {
				t.Errorf("%s %.60q: the form refuses it, the server takes it", field, bad)
			}
		}
	}
}
