package quadlet_test

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
)

//go:embed testdata/redteam
var redTeam embed.FS

// attack is one case of testdata/redteam, whose README says how they are written.
type attack struct {
	where   string
	verdict string
	text    string
	shows   []string
}

func (a attack) files() map[string][]byte {
	name, text := "app.container", a.text
	if before, after, ok := strings.Cut(text, ": ["); ok && !strings.ContainsAny(before, " =[|") {
		name, text = before, "["+after
	}
	beside := map[string]map[string]string{
		"@conf":       {"conf/app.conf": "a = 1\n"},
		"@ssh":        {".ssh/config": "Host x\n"},
		"@volume":     {"data.volume": "[Volume]\n"},
		"@script":     {"run.sh": "#!/bin/sh\necho\n"},
		"@module":     {"evil.conf": "[engine]\n"},
		"@env":        {"app.env": "A=1\n"},
		"@kube":       {"app.yaml": "kind: Pod\n"},
		"@build":      {"Containerfile": "FROM scratch\n"},
		"@alldropin":  {"container.d/x.conf": "[Container]\nMemory=1g\n"},
		"@dropin":     {"app.container.d/x.conf": "[Container]\nMemory=1g\n"},
		"@evildropin": {"app.container.d/x.conf": "[Service]\nExecStartPre=/bin/x\n"},
	}
	files := map[string][]byte{}
	for mark, more := range beside {
		if rest, ok := strings.CutSuffix(text, mark); ok {
			text = strings.TrimSuffix(strings.TrimSpace(rest), " |")
			for file, content := range more {
				files[file] = []byte(content)
			}
		}
	}
	if !strings.HasPrefix(text, "[") {
		image := "Image=docker.io/a@sha256:0 | "
		if strings.Contains(text, "Rootfs=") {
			image = ""
		}
		text = "[Container] | " + image + text
	}
	files[name] = []byte(strings.ReplaceAll(text, " | ", "\n") + "\n")
	return files
}

func readAttacks(t testing.TB) []attack {
	t.Helper()
	paths, err := fs.Glob(redTeam, "testdata/redteam/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []attack
	for _, file := range paths {
		data, err := redTeam.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSuffix(line, "\n")
			verdict, text, _ := strings.Cut(line, " ")
			switch verdict {
			case "", "#":
			case ">":
				last := &all[len(all)-1]
				last.shows = append(last.shows, text)
			default:
				all = append(all, attack{where: path.Base(file), verdict: verdict, text: text})
			}
		}
	}
	return all
}

func verdictOf(r quadlet.Risk) string {
	return map[int]string{2: "danger", 1: "asks", 0: "informs"}[r.Weight()]
}

// Of 252 variants of one quadlet 147 reached the machine without a line in the
// report, because it listed what is dangerous instead of what is harmless. Each of
// these must be shown, and must ask where it is not harmless.
func TestRedTeam(t *testing.T) {
	t.Parallel()
	attacks := readAttacks(t)
	if len(attacks) < 250 {
		t.Fatalf("only %d cases", len(attacks))
	}
	seen := map[string]bool{}
	for _, a := range attacks {
		t.Run(a.where+"/"+a.text, func(t *testing.T) {
			if seen[a.text] {
				t.Error("the case is there twice")
			}
			seen[a.text] = true
			s := quadlet.LoadFiles(a.files())
			gravest := slices.MaxFunc(append([]quadlet.Risk{{Kind: "none"}}, s.Risks...), func(x, y quadlet.Risk) int { return x.Weight() - y.Weight() })
			got := verdictOf(gravest)
			if len(s.Risks) == 0 {
				got = "nothing"
			}
			if got != a.verdict {
				t.Errorf("the verdict is %s, want %s", got, a.verdict)
			}
			for _, want := range a.shows {
				if !slices.ContainsFunc(s.Risks, func(r quadlet.Risk) bool {
					return strings.Contains(r.Text, want) && verdictOf(r) == a.verdict
				}) {
					t.Errorf("no risk of that verdict says %q", want)
				}
			}
			for i, r := range s.Risks {
				if r.Key == "" || slices.ContainsFunc(s.Risks[:i], func(o quadlet.Risk) bool { return o.Key == r.Key }) {
					t.Errorf("the key %q is empty or there twice", r.Key)
				}
				if t.Failed() {
					t.Logf("%s: %s", verdictOf(r), r.Text)
				}
			}
		})
	}
}
