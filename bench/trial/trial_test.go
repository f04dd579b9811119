package trial_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger/bench/trial"
)

func TestTurnsBeginWithAnotherContenderEachRound(t *testing.T) {
	t.Parallel()
	var warm, counted strings.Builder
	err := trial.InTurn([]string{"A", "B", "C"}, 2, func(c string, counts bool) error {
		if counts {
			counted.WriteString(c)
		} else {
			warm.WriteString(c)
		}
		return nil
	})
	if err != nil || warm.String() != "ABCBCACAB" || counted.String() != "ABCBCA" {
		t.Errorf("warm %q, counted %q, %v", warm.String(), counted.String(), err)
	}
}

func TestClientThatFailsEndsTheMeasurement(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	done, _, err := trial.AtOnce(3, time.Hour, func(client, call int) error {
		if call == client {
			return broken
		}
		return nil
	})
	if done != 0+1+2 || !errors.Is(err, broken) {
		t.Errorf("%d calls, %v", done, err)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	samples := []float64{9, 1, 4, 2}
	if got := trial.Summarize(samples); got != (trial.Summary[float64]{Median: 3, Least: 1, Most: 9}) {
		t.Errorf("of four: %+v", got)
	}
	if !slices.Equal(samples, []float64{9, 1, 4, 2}) {
		t.Errorf("the samples were changed: %v", samples)
	}
	if got := trial.Summarize([]time.Duration{5, 7, 1}); got.Median != 5 {
		t.Errorf("of three: %+v", got)
	}
	if got := trial.Summarize[time.Duration](nil); got != (trial.Summary[time.Duration]{}) {
		t.Errorf("of none: %+v", got)
	}
}

func TestAdvisoryVerdictFailsNothing(t *testing.T) {
	t.Parallel()
	all := []trial.Verdict{{Promise: "fast", Measured: "yes", Kept: true}, {Promise: "small", Measured: "no", Advisory: true}}
	if err := trial.Failure(all); err != nil {
		t.Error(err)
	}
	all = append(all, trial.Verdict{Promise: "durable", Measured: "no"})
	if err := trial.Failure(all); err == nil || err.Error() != "promise missed: durable: no" {
		t.Errorf("%v", err)
	}
	want := "| promise | measured | verdict |\n|---|---|---|\n| fast | yes | kept |\n" +
		"| small | no | missed on this machine |\n| durable | no | **MISSED** |\n"
	if got := trial.VerdictTable(all); got != want {
		t.Error(got)
	}
}

func TestTablesReplaceOnlyWhatIsBetweenTheMarks(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- make bench writes from here -->", "<!-- make bench writes to here -->"
	path := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(path, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time finds what the first wrote
		if err := trial.WriteInto(path, "bench", "| new |\n"); err != nil {
			t.Fatal(err)
		}
	}
	want := "before\n" + begin + "\n\n| new |\n\n" + end + "\nafter\n"
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%v: %q", err, text)
	}
}

func TestFileWithoutMarksIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "other.md")
	// Another benchmark's marks are not this one's.
	mine := "<!-- make bench-worker writes from here -->\n<!-- make bench-worker writes to here -->\n"
	if err := os.WriteFile(path, []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := trial.WriteInto(path, "bench", "| new |\n"); err == nil {
		t.Error("it was written")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != mine {
		t.Error(string(text), err)
	}
}
