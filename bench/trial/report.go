package trial

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Samples are the times that were taken, by operation and by contender.
type Samples map[string]map[string][]time.Duration

// Add appends one sample.
func (s Samples) Add(op, contender string, took time.Duration) {
	if s[op] == nil {
		s[op] = map[string][]time.Duration{}
	}
	s[op][contender] = append(s[op][contender], took)
}

// Summary is the median and the extremes of some samples; all zero of none.
type Summary[T time.Duration | float64] struct{ Median, Least, Most T }

// Summarize leaves samples as they are.
func Summarize[T time.Duration | float64](samples []T) Summary[T] {
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	if n == 0 {
		return Summary[T]{}
	}
	return Summary[T]{Median: (s[(n-1)/2] + s[n/2]) / 2, Least: s[0], Most: s[n-1]}
}

// Verdict is one promise, and whether it was kept.
type Verdict struct {
	Promise, Measured string
	Kept              bool
	// Advisory verdicts are reported and never fail a run: absolute times belong to the
	// machine.
	Advisory bool
}

func (v Verdict) mark() string {
	switch {
	case v.Kept:
		return "kept"
	case v.Advisory:
		return "missed on this machine"
	default:
		return "**MISSED**"
	}
}

// VerdictTable is the Markdown table of all verdicts.
func VerdictTable(all []Verdict) string {
	var b strings.Builder
	b.WriteString("| promise | measured | verdict |\n|---|---|---|\n")
	for _, v := range all {
		_, _ = fmt.Fprintf(&b, "| %s | %s | %s |\n", v.Promise, v.Measured, v.mark())
	}
	return b.String()
}

// Failure names the promises that were missed and are not advisory, nil where there
// are none.
func Failure(all []Verdict) error {
	var errs []error
	for _, v := range all {
		if !v.Kept && !v.Advisory {
			errs = append(errs, fmt.Errorf("promise missed: %s: %s", v.Promise, v.Measured))
		}
	}
	return errors.Join(errs...)
}

// Short writes a time with two or three digits that mean something.
func Short(d time.Duration) string {
	switch {
	case d.Abs() >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d.Abs() >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	default:
		return fmt.Sprintf("%.0f µs", float64(d)/1e3)
	}
}

// Measured is the line above the tables: the day, the machine that the figures belong
// to, how busy it was before, and what else the benchmark has to say about it.
func Measured(more ...string) string {
	parts := append([]string{
		fmt.Sprintf("%d cores shared by clients and servers", runtime.NumCPU()),
		runtime.GOOS + "/" + runtime.GOARCH, runtime.Version(),
	}, more...)
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		if one, _, found := strings.Cut(string(load), " "); found {
			parts = append(parts, "load average before it "+one)
		}
	}
	return fmt.Sprintf("Measured on %s: %s.\n", time.Now().UTC().Format(time.DateOnly), strings.Join(parts, ", "))
}

// WriteInto replaces what stands in a file between the two lines that name the make
// target, "<!-- make TARGET writes from here -->" and "... to here -->". A file
// without them is left alone, which is an error.
func WriteInto(path, target, tables string) error {
	begin, end := "<!-- make "+target+" writes from here -->", "<!-- make "+target+" writes to here -->"
	text, err := os.ReadFile(path) //nolint:gosec // the caller names it
	if err != nil {
		return err
	}
	head, rest, okBegin := bytes.Cut(text, []byte(begin))
	_, tail, okEnd := bytes.Cut(rest, []byte(end))
	if !okBegin || !okEnd {
		return fmt.Errorf("%s has no lines %q and %q", path, begin, end)
	}
	out := fmt.Appendf(nil, "%s%s\n\n%s\n%s%s", head, begin, tables, end, tail)
	return os.WriteFile(path, out, 0o644) //nolint:gosec // a page of the documentation
}
