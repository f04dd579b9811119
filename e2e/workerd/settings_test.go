package workerd_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"leger.run/leger/e2e/workerd"
)

func settings(t *testing.T, text string) (workerd.Settings, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "wrangler.jsonc")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return workerd.ReadSettings(file)
}

func TestSettingsMeanTheSameInAnotherDirectory(t *testing.T) {
	t.Parallel()
	s, err := settings(t, `{
		// what runs
		"main": "src/index.ts", /* and "this", too */
		"assets": {"directory": "../web/dist", "binding": "ASSETS",},
		"d1_databases": [{"binding": "DB", "database_name": "db", "migrations_dir": "../migrations"},],
		"vars": {"A": "// no comment, \" }"},
	}`)
	if err != nil {
		t.Fatal(err)
	}
	main, _ := s["main"].(string)
	if !filepath.IsAbs(main) || filepath.Base(main) != "index.ts" {
		t.Errorf("main is %q", main)
	}
	assets, _ := s["assets"].(map[string]any)
	if dir, _ := assets["directory"].(string); !filepath.IsAbs(dir) {
		t.Errorf("the directory of assets is %q", dir)
	}
	if vars, _ := s["vars"].(map[string]any); vars["A"] != `// no comment, " }` {
		t.Errorf("vars are %v", vars)
	}
}

func TestUnbindTakesOneBindingAway(t *testing.T) {
	t.Parallel()
	s, err := settings(t, `{"kv_namespaces": [{"binding": "A"}, {"binding": "B"}], "vars": {"C": "1"}}`)
	if err != nil {
		t.Fatal(err)
	}
	s.Unbind("A")
	s.Unbind("C")
	s.SetVar("D", "2")
	got, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != `{"kv_namespaces":[{"binding":"B"}],"vars":{"D":"2"}}` {
		t.Errorf("got %s", got)
	}
}

// FuzzSettings: JSON is read as it is; anything else is an error or settings, and
// never a panic.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":[1,],}`, `{"a":"\"//"}`, `{//`, `{/*`, `{"a":"\`, `/`, `{"a":1}/**/`, `{"a":[,]}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want map[string]any
		plain := json.Unmarshal([]byte(text), &want) == nil
		if _, err := settings(t, text); plain && err != nil {
			t.Errorf("%q is JSON but gives %v", text, err)
		}
	})
}
