package cli_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"leger.run/leger/internal/cli"
)

// TestCommandsOfTheWebApp holds the commands that the web app shows to what leger
// takes: people copy them into a terminal. None is run.
func TestCommandsOfTheWebApp(t *testing.T) {
	t.Parallel()
	inFull := regexp.MustCompile("(?:text=\"|<code[^>]*>|`)leger\\s([a-z][^\"<`]+)")
	inProse := regexp.MustCompile(`leger\s+((?:auth|secrets|releases|deploy|config)\s+[a-z-]+)`)
	variable := regexp.MustCompile(`\$\{[a-z]+\}`)

	shown := map[string]bool{}
	each := func(source string, kind *regexp.Regexp, check func(command string, args []string)) {
		for _, m := range kind.FindAllStringSubmatch(source, -1) {
			args := strings.Fields(variable.ReplaceAllString(m[1], "NAME"))
			command := strings.Join(args, " ")
			shown[command] = true
			check(command, args)
		}
	}
	pages := os.DirFS(filepath.Join("..", "..", "web", "src"))
	err := fs.WalkDir(pages, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".tsx") {
			return err
		}
		source, err := fs.ReadFile(pages, path)
		each(string(source), inFull, func(command string, args []string) {
			if named, err := cli.TryCommand(args); !named || err != nil {
				t.Errorf("%s shows leger %s: %v", path, command, err)
			}
		})
		each(string(source), inProse, func(command string, args []string) {
			if named, _ := cli.TryCommand(args); !named {
				t.Errorf("%s speaks of leger %s, which is no command", path, command)
			}
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"auth login", "releases create NAME --git-url URL", "deploy install --release NAME"} {
		if !shown[command] {
			t.Errorf("leger %s is not found: are the pages written in another way now?", command)
		}
	}
	if named, err := cli.TryCommand([]string{"releases", "create", "NAME", "--git", "URL"}); !named || err == nil {
		t.Errorf("an option that does not exist is taken: %v", err)
	}
}
