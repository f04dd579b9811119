package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// projectFile names, in a directory or one above it, the secrets that commands there need.
const projectFile = ".leger.toml"

// maxProjectFile bounds it, in bytes.
const maxProjectFile = 64 << 10

// trustedFile lists, in the state directory, the project files that the user has read: a
// line of hexadecimal for each.
const trustedFile = "trusted-projects"

// project is what a project file says.
type project struct {
	path string
	choice
	digest string // of path and content
}

// projectTOML is the file.
type projectTOML struct {
	Secrets []string          `toml:"secrets"`
	Prefix  []string          `toml:"prefix"`
	Env     map[string]string `toml:"env"` // secrets by variable
}

// findProject gives the project file of the directory dir or the nearest one above it; nil
// where there is none.
func findProject(dir string) (*project, error) {
	for {
		p, err := readProject(filepath.Join(dir, projectFile))
		if !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		above := filepath.Dir(dir)
		if above == dir {
			return nil, nil
		}
		dir = above
	}
}

// readProject reads one; the cause is fs.ErrNotExist where there is none.
func readProject(path string) (*project, error) {
	// One that is a pipe must not hold the command up: it is refused below.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // G304: a name of our own
	if err != nil {
		return nil, leger.Wrap(leger.CodeInvalid, err, "read %s", path)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, leger.Wrap(leger.CodeInvalid, err, "read %s", path)
	}
	if err := safefile.CheckInfo(path, info, safefile.Decides); err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxProjectFile {
		return nil, leger.Invalid("project", "%s is no file of at most %d bytes", path, maxProjectFile)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxProjectFile)) // the file that was checked
	if err != nil {
		return nil, leger.Wrap(leger.CodeInvalid, err, "read %s", path)
	}
	return parseProject(path, text)
}

func parseProject(path string, text []byte) (*project, error) {
	var in projectTOML
	strict := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := strict.Decode(&in); err != nil {
		return nil, leger.Invalid("project", "%s cannot be read%s", path, whereTOML(err)).
			WithHint(`it may have: secrets = ["openai_key"], prefix = ["OPENAI_"], and a table [env] with lines such as PGPASSWORD = "db_password"`)
	}
	p := &project{path: path, choice: choice{only: in.Secrets, prefix: in.Prefix}}
	for _, name := range slices.Sorted(maps.Keys(in.Env)) {
		p.as = append(p.as, name+"="+in.Env[name])
	}
	if p.all() {
		return nil, leger.Invalid("project", "%s names no secret", path).WithHint(`for example: secrets = ["openai_key"]`)
	}
	if _, err := p.read(); err != nil {
		e, _ := errors.AsType[*leger.Error](err)
		return nil, leger.Invalid("project", "%s: %s", path, e.Message)
	}
	sum := sha256.Sum256([]byte(path + "\x00" + string(text)))
	p.digest = hex.EncodeToString(sum[:])
	return p, nil
}

// whereTOML says where a file is wrong, and nothing of what it holds.
func whereTOML(err error) string {
	if d, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(d.Errors) > 0 {
		row, _ := d.Errors[0].Position()
		return fmt.Sprintf(": line %d has a name that is not known", row)
	}
	if d, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := d.Position()
		return fmt.Sprintf(": line %d is wrong", row)
	}
	return ""
}

// ofProject is the choice of the project that the command is run in, where nothing was
// chosen. A project that the user has not read may be anybody's, and what it runs gets what
// it asks for: it is asked about once, and again when its file has changed.
func (a *app) ofProject(ctx context.Context, trust bool) (choice, error) {
	dir, err := os.Getwd()
	if err != nil {
		return choice{}, leger.Wrap(leger.CodeInvalid, err, "find the working directory")
	}
	p, err := findProject(dir)
	if p == nil || err != nil {
		return choice{}, err
	}
	known, err := a.trusted()
	if err != nil {
		return choice{}, err
	}
	if !slices.Contains(known, p.digest) {
		if err := a.askTrust(ctx, p, trust); err != nil {
			return choice{}, err
		}
		if err := a.keepTrust(append(known, p.digest)); err != nil {
			return choice{}, err
		}
	}
	a.detail("as %s says", p.path)
	return p.choice, nil
}

// askTrust shows what the project wants.
func (a *app) askTrust(ctx context.Context, p *project, trust bool) error {
	wants := p.words()
	a.say("%s asks for secrets for what is run below it: %s", p.path, wants)
	if trust {
		return nil
	}
	if !a.mayAsk() {
		return leger.Errorf(leger.CodeConflict, "%s is new here, or has changed, and there is nobody to ask", p.path).
			WithHint("read it, then: leger run --trust -- COMMAND; or choose by yourself, with --only, --prefix, --env or --all")
	}
	ok, err := a.confirm(ctx, "Give them to commands that you run there?")
	if err == nil && !ok {
		err = leger.Errorf(leger.CodeDeclined, "you answered no: nothing was run")
	}
	return err
}

// words names what a choice takes.
func (c choice) words() string {
	list := slices.Clone(c.only)
	for _, p := range c.prefix {
		list = append(list, strings.ToUpper(p)+"…")
	}
	for _, text := range c.as {
		name, secret, _ := strings.Cut(text, "=")
		list = append(list, secret+" as "+name)
	}
	return strings.Join(list, ", ")
}

func (a *app) trustPath() (string, error) {
	dir, err := a.env.stateDir()
	return filepath.Join(dir, trustedFile), err
}

func (a *app) trusted() ([]string, error) {
	path, err := a.trustPath()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path) //nolint:gosec // G304: a file of our own
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, leger.WrapFile(leger.CodeDisk, err, "read which projects you trust")
	}
	if err := safefile.Check(path, safefile.Decides); err != nil {
		return nil, err
	}
	return strings.Fields(string(text)), nil
}

// maxTrusted is how many project files are remembered, the newest.
const maxTrusted = 1000

func (a *app) keepTrust(list []string) error {
	path, err := a.trustPath()
	if err != nil {
		return err
	}
	list = list[max(0, len(list)-maxTrusted):]
	err = safefile.MakeDir(filepath.Dir(path), 0o700)
	if err == nil {
		err = safefile.Write(path, []byte(strings.Join(list, "\n")+"\n"), 0o600)
	}
	if err != nil {
		return leger.WrapFile(leger.CodeDisk, err, "remember that you trust this project")
	}
	return nil
}
