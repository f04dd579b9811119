package cli_test

import (
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// steering clears the screen with an escape sequence and with a C1 control, and
// turns the text around.
const steering = "a\x1b[2J\u009b2J\u202eb"

func wantHarmless(t *testing.T, args []string, s said) {
	t.Helper()
	for stream, text := range map[string]string{"stdout": s.stdout, "stderr": s.stderr} {
		if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }) {
			t.Errorf("leger %q writes to %s: %q", args, stream, text)
		}
	}
}

// Eight functions cleaned text in eight ways, and each caller had to remember one:
// help, completion, usage lines and JSON had none at all.
func TestNoTextSteersTheTerminal(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	config := filepath.Join(home, ".config", "leger", "config.toml")
	if err := os.MkdirAll(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	unknown := "server = \"http://127.0.0.1:1/a\\u001b[2J\\u009b\\u202e\"\n\"a\\u001b[2J\\u009b\\u202e\" = 1\n"
	if err := os.WriteFile(config, []byte(unknown), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{steering},
		{"--" + steering},
		{"help", steering},
		{"secrets", steering, "--help"},
		{"config", "get", steering},
		{"config", "set", "server", steering},
		{"config", "list"},
		{"config", "list", "--json"},
		{"secrets", "get", steering},
		{"deploy", "validate", steering},
		{"deploy", "status", steering},
		{"__complete", "secrets", "get", steering},
		{"--server", "http://" + steering, "auth", "status"},
		{"--server", "http://127.0.0.1:1/" + steering, "auth", "status", "--json"},
		{"doctor"},
	} {
		wantHarmless(t, args, r.runIn(context.Background(), home, strings.NewReader(""), args...))
	}
}

// A password in an address, of the server or of a repository, is nowhere shown.
func TestNoPasswordOfAURLIsShown(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	const server, repository = "http://u:canary-pw@127.0.0.1:1", "https://u:canary-pw@example.com/x"
	for _, args := range [][]string{
		{"--server", server, "auth", "status"},
		{"--server", server, "auth", "login"},
		{"--server", server, "status", "--json"},
		{"--server", server, "doctor"},
		{"--server", server, "doctor", "--json"},
		{"--server", server, "config", "get", "server"},
		{"--server", server, "config", "list", "--json"},
		{"--server", server, "secrets", "sync"},
		{"config", "set", "server", server},
		{server},
		{"releases", "show", repository},
		{"releases", "create", "x", "--git-url", repository},
		{"deploy", "install", repository},
		{"deploy", "install", "x", "--source", repository},
		{"deploy", "install", "--release", repository},
		{"deploy", "validate", repository},
	} {
		s := r.runIn(t.Context(), home, strings.NewReader(""), args...)
		if s.code == 0 && args[len(args)-1] != "--json" {
			t.Errorf("leger %q ends with 0", args)
		}
		if strings.Contains(s.stdout+s.stderr, "canary-pw") {
			t.Errorf("leger %q says\n%s%s", args, s.stdout, s.stderr)
		}
	}
}

// A value is data: a pipe gets its bytes, and --json the same characters, escaped.
func TestAValueKeepsItsBytes(t *testing.T) {
	t.Parallel()
	r, home := newRig(t), t.TempDir()
	r.must(home, "", "auth", "login", "--no-browser")
	r.must(home, steering, "secrets", "set", "key")
	if got := r.must(home, "", "secrets", "get", "key").stdout; got != steering {
		t.Errorf("the pipe got %q; want %q", got, steering)
	}
	args := []string{"secrets", "get", "key", "--json"}
	s := r.must(home, "", args...)
	wantHarmless(t, args, s)
	var shown struct{ Value string }
	if err := json.Unmarshal([]byte(s.stdout), &shown); err != nil || shown.Value != steering {
		t.Errorf("--json holds %q (%v); want %q", shown.Value, err, steering)
	}
}

// Env's streams are wrapped before anything runs (newApp); the process's own
// streams are named where Env is made, and nowhere else.
func TestNobodyWritesPastTheOutput(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]int{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if ok && pkg.Name == "os" && (sel.Sel.Name == "Stdout" || sel.Sel.Name == "Stderr") {
				named[name]++
			}
			return true
		})
	}
	if len(named) != 1 || named["env.go"] != 2 {
		t.Errorf("os.Stdout and os.Stderr are named in %v; want both once, in env.go", named)
	}
}
