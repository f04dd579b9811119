package podman

import (
	"bytes"
	"context"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/terminal"
)

// Check runs Podman's own systemd generator over the files, in a scratch
// directory and without writing units, and gives what it complains about. One
// file that cannot be read makes it stop before it looks at the others.
// ErrMissingPart when there is no generator: it comes with Podman.
func (q *Quadlets) Check(ctx context.Context, files map[string][]byte) ([]leger.Problem, error) {
	_, problems, err := q.Generate(ctx, files)
	return problems, err
}

// Generate is Check that also gives the units that the generator makes, by name:
// "web.service". With problems there are none. Errors as Check's.
func (q *Quadlets) Generate(ctx context.Context, files map[string][]byte) (units map[string][]byte, problems []leger.Problem, err error) {
	generator, err := q.generator()
	if err != nil {
		return nil, nil, err
	}
	dir, remove, err := q.layOut("check", files)
	if err != nil {
		return nil, nil, err
	}
	defer remove()
	env := slices.DeleteFunc(slices.Clone(q.cfg.Env), func(pair string) bool { return strings.HasPrefix(pair, "QUADLET_UNIT_DIRS=") })
	res, err := q.cfg.Runner.Run(ctx, run.Command{
		Path: generator, Args: []string{"-dryrun", "-user"},
		Env: append(env, "QUADLET_UNIT_DIRS="+dir),
	})
	if err != nil {
		return nil, nil, err
	}
	if res.Code == 0 {
		return splitUnits(res.Stdout), nil, nil
	}
	problems = complaints(string(res.Stderr), dir, files)
	if len(problems) == 0 {
		problems = []leger.Problem{{Message: "Podman's generator ended with " + strconv.Itoa(res.Code) + ": " + lastLine(res.Stderr)}}
	}
	return nil, problems, nil
}

var unitHead = regexp.MustCompile(`(?m)^---([^/\n]+)---$`)

// splitUnits takes the dry run's output apart: each unit comes after its name
// between dashes.
func splitUnits(stdout []byte) map[string][]byte {
	units := map[string][]byte{}
	heads := unitHead.FindAllSubmatchIndex(stdout, -1)
	for i, h := range heads {
		end := len(stdout)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		units[string(stdout[h[2]:h[3]])] = bytes.TrimLeft(stdout[h[1]:end], "\n")
	}
	return units
}

func (q *Quadlets) generator() (string, error) {
	for _, place := range q.cfg.Generators {
		if found, err := q.cfg.Runner.LookPath(place); err == nil {
			return found, nil
		}
	}
	return "", leger.Errorf(leger.CodeMissingPart, "Podman's systemd generator is not on this machine").
		WithHint("install Podman 4.4 or newer")
}

var (
	converting = regexp.MustCompile(`converting "([^"]+)": (.*)$`)
	loading    = regexp.MustCompile(`error loading "([^"]+)", (.*)$`)
	lineNumber = regexp.MustCompile(`\bline (\d+)\b`)
)

// complaints reads the generator's report. Its exit code says that something is
// wrong; which file, and what, is in its lines alone.
func complaints(stderr, dir string, files map[string][]byte) []leger.Problem {
	var problems []leger.Problem
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		match := converting.FindStringSubmatch(line)
		if match == nil {
			match = loading.FindStringSubmatch(line)
		}
		if match == nil {
			continue
		}
		p := leger.Problem{
			File:    inSet(strings.TrimPrefix(match[1], dir+"/"), files),
			Message: "Podman: " + terminal.Line(strings.ReplaceAll(match[2], dir+"/", ""), maxLine),
		}
		if n := lineNumber.FindStringSubmatch(match[2]); n != nil {
			p.Line, _ = strconv.Atoi(n[1]) // a number too large stays 0: the file as a whole
		}
		problems = append(problems, p)
	}
	return problems
}

// inSet finds the file that the generator names without its directory.
func inSet(name string, files map[string][]byte) string {
	if _, ok := files[name]; ok {
		return name
	}
	for file := range files {
		if path.Base(file) == name {
			return file
		}
	}
	return name
}
