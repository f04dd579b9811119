package leger_test

import (
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows says which of the module's packages each package may import: the map of
// ARCHITECTURE.md. What is not listed is forbidden, for a new package too.
func arrows() map[string][]string {
	return map[string][]string{
		"":                           {},
		"api":                        {},
		"migrations":                 {},
		"web":                        {},
		"internal/vault":             {""},
		"internal/token":             {""},
		"internal/wire":              {""},
		"internal/chain":             {},
		"internal/ledger":            {"", "internal/chain"},
		"internal/backup":            {"", "internal/safefile"},
		"internal/sqlite":            {"", "internal/ledger", "migrations", "internal/safefile", "internal/lockfile"},
		"internal/cloudflare":        {"", "internal/ledger", "migrations"},
		"internal/storetest":         {"", "internal/chain"},
		"internal/killtest":          {},
		"internal/prompt":            {""},
		"internal/prompt/prompttest": {},
		"internal/httpapi":           {"", "internal/vault", "internal/token", "internal/wire"},
		"internal/client":            {"", "internal/wire"},
		"internal/quadlet":           {""},
		"internal/run":               {""},
		"internal/terminal":          {""},
		"internal/environ":           {"", "internal/safefile"},
		"internal/lockfile":          {},
		"internal/procnet":           {},
		"internal/peercred":          {},
		"internal/keysheet":          {""},
		"internal/safefile":          {""},
		"internal/podman":            {"", "internal/peercred", "internal/run", "internal/safefile", "internal/terminal"},
		"internal/podman/podmantest": {},
		"internal/systemd":           {"", "internal/lockfile", "internal/run", "internal/terminal"},
		"internal/gitrepo":           {"", "internal/run", "internal/terminal"},
		"internal/tailnet":           {"", "internal/peercred"},
		"internal/localvault":        {"", "internal/safefile", "internal/environ", "internal/lockfile", "internal/procnet", "internal/peercred"},
		"internal/secretsync":        {"", "internal/safefile", "internal/lockfile"},
		"internal/deploy":            {"", "internal/quadlet", "internal/safefile", "internal/lockfile", "internal/procnet"},
		"internal/deploy/redteam":    {},
		"internal/daemon":            {"", "internal/localvault", "internal/podman", "internal/run", "internal/safefile", "internal/terminal", "internal/environ"},
		"internal/settings":          {"", "internal/client", "internal/environ", "internal/safefile"},
		"internal/signin":            {"", "internal/client", "internal/environ", "internal/safefile", "internal/settings", "internal/token", "internal/wire"},
		"internal/report": {
			"", "internal/deploy", "internal/environ", "internal/localvault", "internal/safefile", "internal/secretsync", "internal/signin",
			"internal/terminal", "internal/wire",
		},
		"internal/report/reporttest": {"internal/wire"},
		"internal/cli": {
			"", "internal/secretsync", "internal/deploy", "internal/client", "internal/wire", "internal/quadlet", "internal/podman",
			"internal/systemd", "internal/gitrepo", "internal/tailnet", "internal/localvault", "internal/run", "internal/token", "internal/safefile", "internal/terminal", "internal/environ",
			"internal/settings", "internal/signin", "internal/report", "internal/prompt",
		},
		"cmd/leger":        {"internal/cli"},
		"cmd/legerd":       {"internal/daemon"},
		"cmd/leger-worker": {"", "api", "internal/httpapi", "internal/wire", "internal/vault", "internal/token", "internal/cloudflare"},
		"cmd/leger-server": {"", "api", "web", "internal/httpapi", "internal/vault", "internal/token", "internal/sqlite", "internal/safefile", "internal/terminal", "internal/environ", "internal/backup", "internal/chain", "internal/lockfile", "internal/peercred", "internal/keysheet", "internal/tailnet", "internal/prompt"},
		"worker/headers":   {"web"},
		"e2e/image":        {},
		"e2e/githttp":      {},
		"e2e/rig":          {},
		"e2e/workerd":      {},
		"e2e/workerbench":  {"bench/trial", "e2e/workerd"},
		"bench":            {"bench/trial"},
		"bench/trial":      {"", "internal/token"},
		"e2e/differ":       {"", "internal/token"},
		"scripts":          {},
		"packaging":        {},
	}
}

const module = "leger.run/leger"

// TestImportArrows reads the import graph as the compiler sees it, without tests,
// here and for WebAssembly, and fails on any arrow that arrows does not list, and on
// any that it lists and nobody uses: an unused entry would let a wrong import pass unnoticed.
func TestImportArrows(t *testing.T) {
	t.Parallel()
	allowed := arrows()
	seen := map[string][]string{}
	checkArrows(t, allowed, seen, nil, module+"/...")
	checkArrows(t, allowed, seen, []string{"GOOS=js", "GOARCH=wasm"}, "-deps", module+"/cmd/leger-worker")
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		used, there := seen[name]
		if !there {
			t.Errorf("arrows lists %q, which is not there", name)
			continue
		}
		for _, to := range allowed[name] {
			if !slices.Contains(used, to) {
				t.Errorf("arrows lets %q import %q, which it does not: remove that", name, to)
			}
		}
	}
}

func checkArrows(t *testing.T, allowed map[string][]string, seen map[string][]string, env []string, packages ...string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports"}, packages...)...)
	list.Env = append(list.Environ(), env...)
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != module && !strings.HasPrefix(p.ImportPath, module+"/") {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if _, known := seen[name]; !known {
			seen[name] = nil
		}
		may, known := allowed[name]
		if !known {
			t.Errorf("package %q is on no list: add it to arrows, with what it may import, and to ARCHITECTURE.md", name)
		}
		for _, imp := range p.Imports {
			if imp != module && !strings.HasPrefix(imp, module+"/") {
				continue
			}
			to := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
			seen[name] = append(seen[name], to)
			if !slices.Contains(may, to) {
				t.Errorf("%q imports %q: not an arrow of ARCHITECTURE.md", name, to)
			}
		}
	}
}
