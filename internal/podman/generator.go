package podman

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// Check runs Podman's own systemd generator over the files, in a scratch
// directory and without writing units, and gives what it complains about. One
// file that cannot be read makes it stop before it looks at the others.
// ErrMissingPart when there is no generator: it comes with Podman.
func (q *Quadlets) Check(ctx context.Context, files map[string][]byte) ([]leger.Problem, error) {
	generator, err := q.generator()
	if err != nil {
		return nil, err
	}
	dir, remove, err := q.layOut("check", files)
	if err != nil {
		return nil, err
	}
	defer remove()
	env := slices.DeleteFunc(slices.Clone(q.cfg.Env), func(pair string) bool { return strings.HasPrefix(pair, "QUADLET_UNIT_DIRS=") })
	res, err := q.cfg.Runner.Run(ctx, run.Command{
		Path: generator, Args: []string{"-dryrun", "-user"},
		Env: append(env, "QUADLET_UNIT_DIRS="+dir),
	})
	if err != nil || res.Code == 0 {
		return nil, err
	}
	problems := complaints(string(res.Stderr), dir, files)
	if len(problems) == 0 {
		problems = []leger.Problem{{Message: "Podman's generator ended with " + strconv.Itoa(res.Code) + ": " + lastLine(res.Stderr)}}
	}
	return problems, nil
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
			Message: "Podman: " + printable(strings.ReplaceAll(match[2], dir+"/", "")),
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
