package quadlet_test

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"leger.run/leger/internal/quadlet"
)

// fixture is a release in testdata/fixtures with what is to be found in it. Its
// head has a sentence, then lines of
//
//	podman: accepts | refuses      what Podman 5.8.6 does with it: its generator, or
//	                               "podman quadlet install" for .quadlets files
//	leger: refuses: REASON         where we are stricter on purpose, and why
//	version: 5.6.2                 the Podman that we are to read it for
//	link: NAME -> TARGET           a symbolic link beside the files
//	units: a.service b.service     the units, sorted; those of Podman where it accepts
//	podman-units: a.service        those of Podman where it accepts and names others
//	problem: FILE:LINE: TEXT       each problem that we find
//
// TestMachineFixturesAgreeWithPodman holds all but the problems against Podman
// itself.
type fixture struct {
	path    string
	head    []string // without units and problems
	podman  string
	leger   string
	options quadlet.Options
	files   map[string][]byte
	units   []string
	podmans []string // units
	found   []string // problems
}

// fixtures are in the binary so that it runs where the repository is not.
//
//go:embed testdata/fixtures
var fixtures embed.FS

func readFixtures(t testing.TB) []fixture {
	t.Helper()
	paths, err := fs.Glob(fixtures, "testdata/fixtures/*/*.txtar")
	if err != nil || len(paths) < 150 {
		t.Fatalf("%d fixtures, %v", len(paths), err)
	}
	var all []fixture
	for _, path := range paths {
		data, err := fixtures.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archive := txtar.Parse(data)
		f := fixture{path: path, files: map[string][]byte{}, options: quadlet.Options{Links: map[string]string{}}}
		for _, file := range archive.Files {
			f.files[file.Name] = file.Data
		}
		for line := range strings.Lines(string(archive.Comment)) {
			f.line(t, strings.TrimSuffix(line, "\n"))
		}
		all = append(all, f)
	}
	return all
}

func (f *fixture) name() string {
	return strings.TrimSuffix(strings.TrimPrefix(f.path, "testdata/fixtures/"), ".txtar")
}

func (f *fixture) line(t testing.TB, line string) {
	t.Helper()
	key, value, _ := strings.Cut(line, ": ")
	switch strings.TrimSuffix(key, ":") {
	case "units":
		f.units = strings.Fields(value)
		return
	case "podman-units":
		f.podmans = strings.Fields(value)
	case "problem":
		f.found = append(f.found, value)
		return
	case "podman":
		f.podman = value
	case "leger":
		f.leger = value
	case "version":
		v, err := quadlet.ParseVersion(value)
		if err != nil {
			t.Fatal(err)
		}
		f.options.Podman = v
	case "link":
		name, target, _ := strings.Cut(value, " -> ")
		f.options.Links[name] = target
	}
	f.head = append(f.head, line)
}

// TestFixtures holds our verdict on each fixture, the units, and every problem
// with its place against what the fixture says. UPDATE_GOLDEN=1 writes units and
// problems anew; the verdicts are written by hand.
func TestFixtures(t *testing.T) {
	t.Parallel()
	for _, f := range readFixtures(t) {
		t.Run(f.name(), func(t *testing.T) {
			t.Parallel()
			s := quadlet.LoadFilesWith(f.files, f.options)
			units, found := []string{}, []string{}
			for _, u := range s.Units {
				units = append(units, u.Service)
			}
			slices.Sort(units)
			for _, p := range s.Problems {
				found = append(found, fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message))
				if p.Hint == "" {
					t.Errorf("no hint: %+v", p)
				}
			}
			if os.Getenv("UPDATE_GOLDEN") != "" {
				f.update(t, units, found)
			} else if diff := cmp.Diff(fixture{units: f.units, found: f.found}, fixture{units: units, found: found}, cmp.AllowUnexported(fixture{}), equalEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			switch {
			case f.podman != "accepts" && f.podman != "refuses":
				t.Errorf("the fixture does not say what Podman does")
			case f.podman == "refuses" && f.leger != "":
				t.Errorf("Podman refuses it, too: nothing is stricter about us")
			case f.leger != "" && !strings.HasPrefix(f.leger, "refuses: "):
				t.Errorf("leger: %s", f.leger)
			}
			if refuses := f.podman == "refuses" || f.leger != ""; refuses != (len(found) > 0) {
				t.Errorf("refused should be %v, and the problems are %q", refuses, found)
			}
		})
	}
}

func equalEmpty() cmp.Option {
	return cmp.FilterValues(func(x, y []string) bool { return len(x) == 0 && len(y) == 0 }, cmp.Ignore())
}

func (f *fixture) update(t *testing.T, units, found []string) {
	t.Helper()
	archive, err := txtar.ParseFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	head := slices.Clone(f.head)
	head = append(head, strings.TrimSpace("units: "+strings.Join(units, " ")))
	for _, p := range found {
		head = append(head, "problem: "+p)
	}
	archive.Comment = []byte(strings.Join(head, "\n") + "\n")
	if err := os.WriteFile(f.path, txtar.Format(archive), 0o600); err != nil {
		t.Fatal(err)
	}
}
