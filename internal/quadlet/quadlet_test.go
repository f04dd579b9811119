package quadlet_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// TestSets reads each release of testdata/sets and holds what was understood
// against the golden file beside it. UPDATE_GOLDEN=1 writes them anew.
func TestSets(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/sets/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no releases to read: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string][]byte{}
			for _, f := range archive.Files {
				files[f.Name] = f.Data
			}
			got, golden := describe(quadlet.LoadFiles(files)), strings.TrimSuffix(name, "txtar")+"golden"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// describe prints a set for people.
func describe(s *quadlet.Set) string {
	var b strings.Builder
	for _, u := range s.Units {
		fmt.Fprintf(&b, "%s: %s %s", u.File, u.Kind, u.Service)
		flags := []string{}
		for _, f := range []struct {
			name string
			is   bool
		}{{"template", u.Template}, {"oneshot", u.Oneshot}, {"healthcheck", u.HealthCmd}, {"started by pod", u.StartedByPod}} {
			if f.is {
				flags = append(flags, f.name)
			}
		}
		if u.Resource != "" {
			flags = append(flags, "resource "+u.Resource)
		}
		if u.Pull != "" {
			flags = append(flags, "pull "+u.Pull)
		}
		fmt.Fprintf(&b, " (%s)\n", strings.Join(flags, ", "))
		for _, x := range u.Images {
			fmt.Fprintf(&b, "  image %s [%s:%d]\n", x.Value, x.File, x.Line)
		}
		for _, x := range u.Secrets {
			fmt.Fprintf(&b, "  secret %q %s target=%q options=%q [%s:%d]\n", x.Name, x.Type, x.Target, x.Options, x.File, x.Line)
		}
		for _, x := range u.Ports {
			fmt.Fprintf(&b, "  port %s [%s:%d]\n", x.Value, x.File, x.Line)
		}
		for _, x := range u.Volumes {
			fmt.Fprintf(&b, "  volume %q on %q options=%q [%s:%d]\n", x.Source, x.Target, x.Options, x.File, x.Line)
		}
		for _, x := range u.Networks {
			fmt.Fprintf(&b, "  network %s [%s:%d]\n", x.Value, x.File, x.Line)
		}
		for _, x := range u.Uses {
			fmt.Fprintf(&b, "  uses %s [%s:%d]\n", x.Value, x.File, x.Line)
		}
		if len(u.Parts) > 1 {
			fmt.Fprintf(&b, "  parts %s\n", strings.Join(u.Parts, " "))
		}
		if len(u.WantedBy) > 0 {
			fmt.Fprintf(&b, "  wanted by %s\n", strings.Join(u.WantedBy, " "))
		}
	}
	var runs, installed []string
	for _, u := range s.ToRun() {
		runs = append(runs, u.Service)
	}
	for name := range s.Files {
		installed = append(installed, name)
	}
	slices.Sort(installed)
	fmt.Fprintf(&b, "secrets: %s\nstart: %s\nrun: %s\ninstall: %s\nignore: %s\n",
		strings.Join(s.SecretNames(), " "), strings.Join(s.ToStart(), " "), strings.Join(runs, " "),
		strings.Join(installed, " "), strings.Join(s.Ignored, " "))
	for _, p := range s.Problems {
		unsure := ""
		if p.Unsure {
			unsure = " (unsure)"
		}
		fmt.Fprintf(&b, "problem %s:%d: %s%s\n   hint: %s\n", p.File, p.Line, p.Message, unsure, p.Hint)
	}
	for _, r := range s.Risks {
		fmt.Fprintf(&b, "risk %s:%d: [%s] %s\n", r.File, r.Line, r.Kind, r.Text)
	}
	return b.String()
}

// The names are those that Podman 5.8.6 gave.
func TestServiceNames(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"x.container": "x.service", "x.kube": "x.service", "x.pod": "x-pod.service",
		"x.volume": "x-volume.service", "x.network": "x-network.service", "x.image": "x-image.service",
		"x.build": "x-build.service", "x.artifact": "x-artifact.service", "a.b.container": "a.b.service",
		"x@.container": "x@.service", "dir/x.container": "x.service",
	} {
		s := quadlet.LoadFiles(map[string][]byte{file: nil})
		if len(s.Units) != 1 || s.Units[0].Service != want {
			t.Errorf("%s: got %+v, want %s", file, s.Units, want)
		}
	}
}

func TestWordsAreSplitAsPodmanSplitsThem(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		`a,type=env b`:          {"a", "b"},
		`"a,target=x y",uid=1`:  {"a"},
		`'a b'`:                 {"a b"},
		`a\x2db`:                {"a-b"},
		`"never closed`:         {"never closed"},
		`a\`:                    {"a"}, // the line's end
		`b "" c`:                {"b"}, // Podman reads nothing after an empty word
		`\x41\102`:              {"AB"},
		`tab	separated`:         {"tab", "separated"},
		`unknown\q is skipped`:  nil,
		`quote"in the"middle,x`: {"quotein themiddle"},
	} {
		s := quadlet.LoadFiles(map[string][]byte{"x.container": []byte("[Container]\nImage=a:1\nSecret=" + value + "\n")})
		var got []string
		for _, secret := range s.Units[0].Secrets {
			got = append(got, secret.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
	}
}

func TestCarriageReturnsDoNotCount(t *testing.T) {
	t.Parallel()
	s := quadlet.LoadFiles(map[string][]byte{"x.container": []byte("[Container]\r\nImage=example.com/a:1\r\n")})
	if len(s.Problems) != 0 || s.Units[0].Images[0].Value != "example.com/a:1" {
		t.Errorf("problems %v, images %v", s.Problems, s.Units[0].Images)
	}
}

func TestLinksAreProblemsAndNeverFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.container"), []byte("[Container]\nImage=a:1\nEnvironmentFile=passwd\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "passwd")); err != nil {
		t.Fatal(err)
	}
	s, err := quadlet.Load(os.DirFS(dir), quadlet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Files["passwd"]; ok {
		t.Error("the link's target is among the files")
	}
	if !slices.ContainsFunc(s.Problems, func(p leger.Problem) bool {
		return p.File == "passwd" && p.Message == "it is a symbolic link that leaves the release's directory"
	}) {
		t.Errorf("the link is not reported: %+v", s.Problems)
	}
}

// A work tree has Git's directory in it; files such as .env are ordinary ones.
func TestLoadLeavesOutGitsDirectory(t *testing.T) {
	t.Parallel()
	s, err := quadlet.Load(fstest.MapFS{
		".git/x.container": {Data: []byte("[Container]")},
		".env":             {Data: []byte("A=1")},
		"a.container":      {Data: []byte("[Container]\nImage=a:1\nEnvironmentFile=.env\n")},
	}, quadlet.Options{})
	if err != nil || len(s.Units) != 1 || len(s.Problems) != 0 || s.Files[".env"] == nil {
		t.Errorf("units %v, problems %v, %v", s.Units, s.Problems, err)
	}
}

func TestLoadHasLimits(t *testing.T) {
	t.Parallel()
	modes, err := quadlet.Load(fstest.MapFS{
		"a.container": {Data: []byte("[Container]\nImage=x:1\nVolume=./run.sh:/run.sh:ro\n")}, "run.sh": {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
		"unused.sh": {Data: []byte("#!/bin/sh\n"), Mode: 0o755},
	}, quadlet.Options{})
	if err != nil || len(modes.Executable) != 1 || !modes.Executable["run.sh"] {
		t.Errorf("executable are %v, %v", modes.Executable, err)
	}
	many := fstest.MapFS{}
	for i := range quadlet.MaxFiles + 1 {
		many[fmt.Sprintf("f%d", i)] = &fstest.MapFile{}
	}
	total := fstest.MapFS{}
	for i := range quadlet.MaxTotalSize/quadlet.MaxFileSize + 1 {
		total[fmt.Sprintf("f%d", i)] = &fstest.MapFile{Data: make([]byte, quadlet.MaxFileSize)}
	}
	for name, fsys := range map[string]fstest.MapFS{
		"files": many, "total": total, "one file": {"a": {Data: make([]byte, quadlet.MaxFileSize+1)}},
	} {
		if _, err := quadlet.Load(fsys, quadlet.Options{}); !errors.Is(err, leger.ErrTooLarge) {
			t.Errorf("%s: err = %v, want too_large", name, err)
		}
	}
	if _, err := quadlet.Load(os.DirFS(filepath.Join(t.TempDir(), "none")), quadlet.Options{}); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("no directory: err = %v, want not_found", err)
	}
}

// Characters that a terminal obeys or that turn the direction of text let a line
// read as something else than it is.
func TestLinesThatWouldDeceiveAreProblems(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"a\x1b[2J", "a\x00b", "a\u202eb", "a\u200bb", "\xff"} {
		if s := quadlet.LoadFiles(map[string][]byte{"x.container": []byte("[Container]\nImage=x:1\nExec=" + value + "\n")}); len(s.Problems) == 0 {
			t.Errorf("%q: is taken", value)
		}
	}
}

func TestNamesThatWouldDeceiveAreProblems(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.container", "a\nb.container", "a\x1b[2J.container", `a"b.container`, "a%h.container", "ü.container", "\xff.container", "a\u202eb.env"} {
		if s := quadlet.LoadFiles(map[string][]byte{name: []byte("[Container]\nImage=a:1\n"), "ok.volume": []byte("[Volume]\n")}); len(s.Problems) == 0 {
			t.Errorf("%q is taken", name)
		}
	}
}
