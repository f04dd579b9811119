package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leger.run/leger/internal/deploy"
)

// verdict is what is wrong with files, and what is worth knowing about them.
type verdict struct {
	Refused           bool
	Problems, Notices []string // with file, line and hint
	NotChecked        []string
}

// "validate and plan give the same verdict for the same files", here with what
// Leger's own parser knows; e2e's TestDeploy/validate has Podman's generator and
// systemd, too.
func TestValidateAndPlanGiveTheSameVerdict(t *testing.T) {
	t.Parallel()
	const risk, boot = "PodmanArgs=--privileged", "will not start when the machine boots"
	h := newHost(t)
	for name, files := range map[string]map[string]string{
		"good":      {"web.container": noSecret(""), "README.md": "# hello\n"},
		"risky":     {"web.container": noSecret(risk)},
		"typo":      {"web.container": noSecret("Imagge=x")},
		"several":   {"web.container": noSecret("Imagge=x\nPortt=y"), "a.container": "[Container]\n", "b.volume": "[Volume]\nX=1\n"},
		"notatboot": {"web.container": "[Container]\nImage=registry.example/web" + digest + "\n[Install]\nWantedBy=multi-user.target\n"},
		"killmode":  {"web.container": noSecret("[Service]\nKillMode=none")},
		"dangling":  {"web.container": noSecret("Network=none.network")},
		"garbage":   {"web.container": "garbage\n"},
		"nothing":   {"README.md": "# hello\n"},
	} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		code := 0
		if !slices.Contains([]string{"good", "risky", "notatboot"}, name) {
			code = 2
		}
		validated, planned := h.validated(code, dir), h.planned(code, name, dir)
		if diff := cmp.Diff(validated, planned, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -validate +plan:\n%s", name, diff)
		}
		if validated.Refused != (code != 0) || validated.Refused != (len(validated.Problems) > 0) {
			t.Errorf("%s: %+v", name, validated)
		}
		// People read the same as programs.
		said, plan := h.leger(code, "validate", dir), h.leger(code, "deploy", "plan", name, "--source", dir)
		for _, p := range validated.Problems {
			var file, text string
			if _, err := fmt.Sscanf(p, "%q %q", &file, &text); err != nil {
				t.Fatal(err)
			}
			wantIn(t, said.stdout, file+"error: "+text)
			wantIn(t, plan.stderr, "error: "+file+text)
		}
		for _, what := range validated.NotChecked {
			wantIn(t, said.stderr, "not checked with "+what)
			wantIn(t, plan.stderr, "not checked with "+what)
		}
		if name == "notatboot" {
			wantIn(t, said.stdout, "web.container: note: web.service "+boot)
			wantIn(t, plan.stdout, "Note: web.service "+boot)
		}
	}
}

func described(file string, line int, text, hint string) string {
	where := ""
	switch {
	case line > 0:
		where = fmt.Sprintf("%s:%d: ", file, line)
	case file != "":
		where = file + ": "
	}
	return fmt.Sprintf("%q %q %q", where, text, hint)
}

func (h *host) validated(code int, dir string) verdict {
	h.t.Helper()
	type found struct {
		File    string
		Line    int
		Message string
		Hint    string
	}
	var out struct {
		Problems, Notices []found
		NotChecked        []string `json:"not_checked"`
	}
	if err := json.Unmarshal([]byte(h.leger(code, "validate", dir, "--json").stdout), &out); err != nil {
		h.t.Fatal(err)
	}
	v := verdict{Refused: code != 0, NotChecked: out.NotChecked}
	for _, p := range out.Problems {
		v.Problems = append(v.Problems, described(p.File, p.Line, p.Message, p.Hint))
	}
	for _, n := range out.Notices {
		v.Notices = append(v.Notices, described(n.File, n.Line, n.Message, n.Hint))
	}
	return v
}

func (h *host) planned(code int, name, dir string) verdict {
	h.t.Helper()
	var out struct{ Plan deploy.Plan }
	s := h.leger(code, "deploy", "plan", name, "--source", dir, "--json")
	if err := json.Unmarshal([]byte(s.stdout), &out); err != nil {
		h.t.Fatal(err)
	}
	v := verdict{Refused: code != 0, NotChecked: out.Plan.NotChecked}
	for _, r := range out.Plan.Refusals {
		v.Problems = append(v.Problems, described(r.File, r.Line, r.Text, r.Hint))
	}
	for _, n := range out.Plan.Notices {
		v.Notices = append(v.Notices, described(n.File, n.Line, n.Text, n.Hint))
	}
	return v
}
