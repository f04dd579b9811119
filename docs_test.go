package leger_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEvidenceExists: the tests and files that these pages name as evidence are there.
func TestEvidenceExists(t *testing.T) {
	t.Parallel()
	tests := testNames(t)
	for _, page := range []string{"docs/asvs.md", "docs/server.md"} {
		text := readPage(t, page)
		names := regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`").FindAllStringSubmatch(text, -1)
		if len(names) < 10 {
			t.Errorf("%s names %d tests", page, len(names))
		}
		for _, m := range names {
			if !tests[m[1]] {
				t.Errorf("%s names %s, which is no test", page, m[1])
			}
		}
		for _, name := range filesNamed(text) {
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s names a file that is not there: %v", page, err)
			}
		}
	}
}

// Files as a page names them: in backquotes, below docs/, and scripts of the API.
var (
	quotedFile = regexp.MustCompile("`([a-z][\\w./-]*\\.(?:go|ts|tsx|md|yaml|yml|json|mod|sql|service))`")
	docsFile   = regexp.MustCompile(`\bdocs/[a-z-]+\.md`)
	scriptFile = regexp.MustCompile(`\b[a-z-]+\.txt\b`)
)

func filesNamed(text string) []string {
	all := docsFile.FindAllString(text, -1)
	for _, m := range quotedFile.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	for _, m := range scriptFile.FindAllString(text, -1) {
		all = append(all, filepath.Join("internal", "httpapi", "testdata", "script", m))
	}
	return all
}

// TestASVSIsWhole: the page has each requirement of levels 1 and 2 once, and counts right.
func TestASVSIsWhole(t *testing.T) {
	t.Parallel()
	text := readPage(t, "docs/asvs.md")
	var got []string
	counts := map[string]int{}
	rows := regexp.MustCompile(`(?m)^\| (\d+\.\d[^|]*) \|[^|]*\| ([^|]*) \|`)
	for _, m := range rows.FindAllStringSubmatch(text, -1) {
		ids := requirements(t, m[1])
		got = append(got, ids...)
		counts[strings.Trim(m[2], "*")] += len(ids)
	}
	var want []string
	for _, section := range asvsSections() {
		name, last, _ := strings.Cut(section, ":")
		want = append(want, requirements(t, fmt.Sprintf("%s.1–%s.%s", name, name, last))...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page has %d requirements, the standard %d:\n%v\n%v", len(got), len(want), got, want)
	}
	sentence := fmt.Sprintf("Of %d requirements %d are met, %d are not, %d do not apply.",
		len(want), counts["met"], counts["not met"], counts["not applicable"])
	if !strings.Contains(text, sentence) {
		t.Errorf("the page does not say: %s", sentence)
	}
}

// asvsSections are those of the standard that have requirements of levels 1 and 2, with the
// number of the last one. Those of level 3 come after them in each.
func asvsSections() []string {
	return strings.Fields(`1.1:2 1.2:9 1.3:11 1.4:3 1.5:2 2.1:3 2.2:3 2.3:4 2.4:1 3.2:2 3.3:4 3.4:6 3.5:5 3.7:2
		4.1:3 4.2:1 4.3:2 4.4:4 5.1:1 5.2:3 5.3:2 5.4:3 6.1:3 6.2:12 6.3:4 6.4:4 6.5:5 6.6:3 6.8:4
		7.1:3 7.2:4 7.3:2 7.4:5 7.5:2 7.6:2 8.1:2 8.2:3 8.3:1 8.4:1 9.1:3 9.2:4
		10.1:2 10.2:2 10.3:4 10.4:11 10.5:5 10.6:2 10.7:3 11.1:2 11.2:3 11.3:3 11.4:4 11.5:1 11.6:1
		12.1:3 12.2:2 12.3:4 13.1:1 13.2:5 13.3:2 13.4:5 14.1:2 14.2:4 14.3:3
		15.1:3 15.2:3 15.3:7 16.1:1 16.2:5 16.3:4 16.4:3 16.5:3 17.1:1 17.2:4 17.3:2`)
}

// requirements reads "4.3.1–4.3.2, 5.1.1".
func requirements(t *testing.T, text string) (ids []string) {
	t.Helper()
	for part := range strings.SplitSeq(text, ", ") {
		from, to, ranged := strings.Cut(part, "–")
		if !ranged {
			to = from
		}
		var chapter, section, first, last int
		if _, err := fmt.Sscanf(from, "%d.%d.%d", &chapter, &section, &first); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := fmt.Sscanf(to, fmt.Sprintf("%d.%d.%%d", chapter, section), &last); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		for n := first; n <= last; n++ {
			ids = append(ids, fmt.Sprintf("%d.%d.%d", chapter, section, n))
		}
	}
	return ids
}

// testNames finds the tests of all packages, under any build tag.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	test := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || (path != "." && strings.HasPrefix(d.Name(), "."))):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		for _, m := range test.FindAllStringSubmatch(readPage(t, path), -1) {
			names[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
