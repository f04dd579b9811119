package systemd

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/terminal"
)

// complaint is a line of systemd-analyze verify: "/path/web.service:7: what", or
// "web.service: what".
var complaint = regexp.MustCompile(`^(?:(/[^:]*):(\d+): |([^\s:]+): )(.*)$`)

// obsolete is what systemd says of a setting that works and is to be replaced.
var obsolete = regexp.MustCompile(`is obsolete|is deprecated|will be removed`)

// Verifier asks systemd-analyze about units.
type Verifier struct {
	Runner *run.Runner
	Env    []string // of systemd-analyze (run.MinimalEnv)
	// TempDir is where the units are laid out. Empty: the system's.
	TempDir string
}

// Verify asks systemd-analyze what it thinks of units, by name, that are not
// installed: what Podman hands on unread is checked nowhere else. It ends with 0
// whatever it finds; the problems are on its stderr, each with the unit as File
// and its line there. A setting that systemd calls obsolete and obeys all the same
// is Unsure. What it says of other units of the machine is left out.
// ErrMissingPart without systemd-analyze.
func (v Verifier) Verify(ctx context.Context, units map[string][]byte) ([]leger.Problem, error) {
	dir, err := os.MkdirTemp(v.TempDir, "leger-verify-")
	if err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "make a directory for the units")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	args := []string{"--user", "--recursive-errors=no", "--man=no", "verify", "--"}
	for name, text := range units {
		if err := checkName(name); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, leger.WrapFile(leger.CodeUnavailable, err, "lay out the units")
		}
		args = append(args, path)
	}
	// The colon keeps systemd's own directories, in which what the units need is
	// (systemd.unit(5), "Unit File Load Path").
	env := append(slices.Clone(v.Env), "SYSTEMD_UNIT_PATH="+dir+":")
	res, err := v.Runner.Run(ctx, run.Command{Path: "systemd-analyze", Args: args, Env: env})
	if err != nil {
		return nil, err
	}
	return complaints(string(res.Stderr), units), nil
}

func complaints(stderr string, units map[string][]byte) []leger.Problem {
	var problems []leger.Problem
	for line := range strings.Lines(stderr) {
		match := complaint.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil {
			continue
		}
		p := leger.Problem{File: filepath.Base(match[1]), Message: "systemd: " + terminal.Line(match[4], maxLine)}
		if match[1] == "" {
			p.File = match[3]
		}
		if _, ours := units[p.File]; !ours {
			continue
		}
		p.Unsure = obsolete.MatchString(match[4])
		p.Line, _ = strconv.Atoi(match[2]) // no number: the unit as a whole
		problems = append(problems, p)
	}
	return problems
}
