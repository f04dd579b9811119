package main // the functions under test are a program's own

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// measured is a report in which the TypeScript worker takes 10 ms for everything.
func measured(leger time.Duration) *report {
	r := newReport()
	for _, op := range []string{opList, opListMany, opCreate, opLedger, opFirst} {
		for _, off := range []time.Duration{-1, 0, 9} { // the ends must not matter
			r.add(op, nameTypeScript, 10*time.Millisecond+off*time.Millisecond)
			r.add(op, nameLeger, leger+off*leger/10)
		}
	}
	return r
}

func TestPromises(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		leger time.Duration
		wants []string // parts of what fails
	}{
		{12 * time.Millisecond, nil},
		{13 * time.Millisecond, []string{"1 client: at least 0.8", "8 clients: at least 0.8"}},
		{15 * time.Millisecond, []string{"create one secret, 1 client: at least 0.7"}},
		{111 * time.Millisecond, []string{"at most 100ms more"}},
	} {
		err := measured(c.leger).failure()
		if (err == nil) != (c.wants == nil) {
			t.Errorf("Leger takes %s: %v", c.leger, err)
		}
		for _, want := range c.wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Leger takes %s: no %q in %v", c.leger, want, err)
			}
		}
	}
}

func TestTablesReplaceOnlyWhatIsBetweenTheMarks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time finds what the first wrote
		if err := measured(time.Millisecond).writeInto(path); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	if !strings.HasPrefix(got, "before\n"+beginMark) || !strings.HasSuffix(got, endMark+"\nafter\n") ||
		strings.Contains(got, "old") || strings.Count(got, "| promise |") != 1 {
		t.Error(got)
	}
}

func TestFileWithoutMarksIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "other.md")
	if err := os.WriteFile(path, []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := measured(time.Millisecond).writeInto(path); err == nil {
		t.Error("it was written")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine\n" {
		t.Error(string(text), err)
	}
}
