package main // the functions under test are a program's own

import (
	"strings"
	"testing"
	"time"

	"leger.run/leger/bench/trial"
)

// measured is a report in which the TypeScript worker takes 10 ms for everything.
func measured(leger time.Duration) *report {
	r := newReport()
	for _, op := range []string{opList, opListMany, opCreate, opLedger, opFirst} {
		for _, off := range []time.Duration{-1, 0, 9} { // the ends must not matter
			r.samples.Add(op, nameTypeScript, 10*time.Millisecond+off*time.Millisecond)
			r.samples.Add(op, nameLeger, leger+off*leger/10)
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
		err := trial.Failure(measured(c.leger).verdicts())
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
