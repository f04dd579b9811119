package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// FileName is the settings file's name in the user's configuration directory.
const FileName = "config.toml"

// File is what one settings file says. A file that does not exist says nothing.
type File struct {
	Values  map[string]string // by the settings' names
	Unknown []string          // names that are no setting, sorted
}

// ReadFile reads a settings file. CodeInvalid, with the line, when it is not valid; and
// when others may change it, since it names the program that is run as Podman.
func ReadFile(path string) (File, error) {
	if err := CheckFile(path); err != nil {
		return File{}, err
	}
	b, err := os.ReadFile(path) //nolint:gosec // the user's own settings file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return File{}, nil
	case err != nil:
		return File{}, leger.WrapFile(leger.CodeInvalid, err, "read the settings file %s", path)
	}
	c, err := Parse(b)
	if err != nil {
		where := path
		if d, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, _ := d.Position()
			where = fmt.Sprintf("%s:%d", path, row)
		}
		return File{}, leger.Wrap(leger.CodeInvalid, err, "the settings file is not valid: %s", where).
			WithHint("correct that line, or move the file away")
	}
	return c, nil
}

// CheckFile refuses a settings file that others may change. One that is not there, or
// cannot be looked at, is told of by who reads it.
func CheckFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return safefile.CheckInfo(path, info, safefile.Decides)
}

// Parse reads the text of a settings file.
func Parse(b []byte) (File, error) {
	var tree map[string]any
	if err := toml.Unmarshal(b, &tree); err != nil {
		return File{}, err
	}
	c := File{Values: map[string]string{}}
	flatten(&c, "", tree)
	slices.Sort(c.Unknown)
	return c, nil
}

func flatten(c *File, prefix string, tree map[string]any) {
	for name, v := range tree {
		full := prefix + name
		if sub, ok := v.(map[string]any); ok {
			flatten(c, full+".", sub)
			continue
		}
		k, err := Named(full)
		text, isText := v.(string)
		flag, isFlag := v.(bool)
		switch {
		case err != nil:
			c.Unknown = append(c.Unknown, full)
		case k.Kind == KindBool && isFlag:
			c.Values[full] = fmt.Sprint(flag)
		case isText:
			c.Values[full] = text
		default:
			c.Values[full] = fmt.Sprint(v) // Valid says what it should be
		}
	}
}

var (
	tableLine = regexp.MustCompile(`^\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?$`)
	keyLine   = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*=`)
)

// Set sets one key in the text of a settings file and leaves every other line,
// comments too, as it is. CodeConflict where that cannot be done by lines.
func Set(text []byte, k Key, value string) ([]byte, error) {
	table, name, nested := strings.Cut(k.Name, ".")
	if !nested {
		table, name = "", k.Name
	}
	line, err := tomlLine(name, k, value)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(text) == 0 {
		lines = nil
	}
	out := []byte(strings.Join(placeLine(lines, table, name, line), "\n") + "\n")
	return out, sameBut(text, out, k.Name, value)
}

// placeLine puts line in the place of the key, else at the end of its table, else
// at the end in a table of its own.
func placeLine(lines []string, table, name, line string) []string {
	in, found, end := "", table == "", 0
	for i, l := range lines {
		if m := tableLine.FindStringSubmatch(l); m != nil {
			in = m[1]
			if in == table {
				found, end = true, i+1
			}
			continue
		}
		if in != table {
			continue
		}
		if m := keyLine.FindStringSubmatch(l); m != nil && m[1] == name {
			lines[i] = line
			return lines
		}
		if strings.TrimSpace(l) != "" {
			end = i + 1
		}
	}
	if found {
		return slices.Insert(lines, end, line)
	}
	if len(lines) > 0 {
		lines = append(lines, "")
	}
	return append(lines, "["+table+"]", line)
}

func tomlLine(name string, k Key, value string) (string, error) {
	if k.Kind == KindBool {
		return name + " = " + value, nil
	}
	if !strings.ContainsFunc(value, func(r rune) bool { return r == '"' || r == '\\' || !leger.Printable(r) }) {
		return name + ` = "` + value + `"`, nil
	}
	b, err := toml.Marshal(map[string]string{name: value})
	if err != nil {
		return "", leger.Wrap(leger.CodeInvalid, err, "write %s as TOML", k.Name)
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

// sameBut checks that two texts say the same but for one key.
func sameBut(before, after []byte, name, value string) error {
	byHand := leger.Errorf(leger.CodeConflict, "the settings file is written in a way leger cannot change without disturbing the rest").
		WithHint("edit it: %s", name)
	old, err := Parse(before)
	if err != nil {
		return byHand
	}
	now, err := Parse(after)
	if err != nil || now.Values[name] != value || !slices.Equal(old.Unknown, now.Unknown) {
		return byHand
	}
	delete(old.Values, name)
	delete(now.Values, name)
	if len(old.Values) != len(now.Values) {
		return byHand
	}
	for k, v := range old.Values {
		if now.Values[k] != v {
			return byHand
		}
	}
	return nil
}
