package systemd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"leger.run/leger/internal/run"
	"leger.run/leger/internal/terminal"
)

// journalDepth is how many entries Why looks at for each line that it is to give:
// Podman and systemd write several about each start.
const journalDepth = 20

// Why gives the newest lines that a unit's program has written, oldest first, since
// a time (zero: since boot): a container's own, each once, and Podman's errors. When
// there are none it gives what systemd says of the unit. They are for the user's own
// terminal: a program may print anything. ErrMissingPart without journalctl; no
// journal is no lines.
func (m *Manager) Why(ctx context.Context, unit string, since time.Time, lines int) ([]string, error) {
	if err := checkName(unit); err != nil {
		return nil, err
	}
	args := []string{
		"--user", "--no-pager", "--quiet", "--output=json", "--lines=" + strconv.Itoa(lines*journalDepth),
		"--output-fields=MESSAGE,CONTAINER_NAME,_TRANSPORT,SYSLOG_IDENTIFIER",
	}
	if since.IsZero() {
		args = append(args, "--boot")
	} else {
		args = append(args, fmt.Sprintf("--since=@%d", since.Unix()))
	}
	args = append(args, matches(unit)...)
	for asked := 1; ; asked++ {
		res, err := m.cfg.Runner.Run(ctx, run.Command{Path: "journalctl", Args: args, Env: m.cfg.Env})
		if err != nil {
			return nil, err
		}
		found, own := said(res.Stdout)
		if own || asked == whyTries || !pause(ctx, whyPause) {
			return found[max(0, len(found)-lines):], nil
		}
	}
}

// A program that failed just now may have words on their way to the journal: it is
// asked again, for a second on the whole.
const (
	whyTries = 6
	whyPause = 200 * time.Millisecond
)

// pause reports whether the context held.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// matches are those of journalctl(1) for what a unit's processes wrote and systemd says
// of it. --unit= alone lacks the last words of a process that ended before journald
// looked which unit it was in. They are found by the name that Podman's generator
// gives a unit's output (SyslogIdentifier=%N), or its container.
func matches(unit string) []string {
	name := strings.TrimSuffix(unit, path.Ext(unit))
	return []string{
		"_SYSTEMD_USER_UNIT=" + unit,
		"+", "USER_UNIT=" + unit,
		"+", "_TRANSPORT=stdout", "SYSLOG_IDENTIFIER=" + name,
		"+", "CONTAINER_NAME=systemd-" + strings.ReplaceAll(name, "@", "_"),
	}
}

// entry is a journal entry (systemd.journal-fields(7)).
type entry struct {
	Message   message `json:"MESSAGE"`
	Container string  `json:"CONTAINER_NAME"` // of a container's own output, Podman's journald driver
	Transport string  `json:"_TRANSPORT"`     // "stdout": what a unit's process printed
	Program   string  `json:"SYSLOG_IDENTIFIER"`
}

// message is text, or a list of bytes where it is not UTF-8.
type message string

// UnmarshalJSON takes both, and null for one that is too long.
func (m *message) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		*m = message(text)
		return nil
	}
	var numbers []int
	if err := json.Unmarshal(data, &numbers); err != nil {
		return err
	}
	raw := make([]byte, 0, len(numbers))
	for _, n := range numbers {
		raw = append(raw, byte(n)) //nolint:gosec // G115: journalctl writes numbers of 0 to 255
	}
	*m = message(raw)
	return nil
}

// said picks the lines of a journal in JSON that tell why a unit is down, and says
// whether they are the program's own. The output of a program that Podman is attached
// to (a job) is in the journal twice: as the container's and as Podman's.
func said(journal []byte) (found []string, own bool) {
	var container, printed, systemd []string
	lines := bufio.NewScanner(bytes.NewReader(journal))
	lines.Buffer(nil, len(journal)+1)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		for text := range strings.Lines(string(e.Message)) {
			text = terminal.Line(text, maxLine)
			switch {
			case text == "":
			case e.Container != "":
				container = append(container, text)
			case e.Transport == "stdout" && !noNews(text, e.Program):
				printed = append(printed, text)
			case e.Program == "systemd":
				systemd = append(systemd, text)
			}
		}
	}
	printed = slices.DeleteFunc(printed, func(line string) bool { return slices.Contains(container, line) })
	if all := slices.Concat(container, printed); len(all) > 0 {
		return all, true
	}
	return systemd, false
}

// noNews: Podman prints the id of a container, or its name, when all is well.
func noNews(line, program string) bool {
	isID, err := regexp.MatchString(`^([0-9a-f]{64}|systemd-`+regexp.QuoteMeta(program)+`)$`, line)
	return err == nil && isID
}
