package quadlet_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger/internal/quadlet"
)

// TestDescriptions holds the account of each real-world release against the golden
// file beside it. UPDATE_GOLDEN=1 writes them anew.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, f := range readFixtures(t) {
		name, ok := strings.CutPrefix(f.name(), "world/")
		if !ok {
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			s := quadlet.LoadFilesWith(f.files, f.options)
			for _, d := range s.Describe() {
				got.WriteString(d.String())
			}
			got.WriteString("start: " + strings.Join(s.ToStart(), " ") + "\nsecrets: " + strings.Join(s.SecretNames(), " ") + "\n")
			golden := "testdata/described/" + name + ".golden"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			risks := 0
			for _, u := range s.Units {
				risks += len(u.Risks)
			}
			if risks != len(s.Risks) {
				t.Errorf("the units have %d risks, the set has %d", risks, len(s.Risks))
			}
		})
	}
	if seen < 8 {
		t.Errorf("only %d releases", seen)
	}
}

func TestDescriptionAsJSON(t *testing.T) {
	t.Parallel()
	s := quadlet.LoadFiles(map[string][]byte{"x.container": []byte("[Container]\nImage=example.com/a:1\nSecret=k,type=env\nPublishPort=80:80\n")})
	got, err := json.Marshal(s.Units[0].Describe())
	const want = `{"file":"x.container","kind":"container","units":["x.service"],"resource":"systemd-x","images":["example.com/a:1"],` +
		`"ports":["80→80/tcp"],"secrets":["k → $k"],"risks":[{"file":"x.container","line":2,"kind":"image",` +
		`"text":"example.com/a:1 has a tag but no digest: the registry may put another image behind it",` +
		`"key":"image x.container [Container] Image=example.com/a","asks":false}]}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
