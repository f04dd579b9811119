package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"leger.run/leger"
)

const configName = "config.toml"

// configFile is what one settings file says. A file that does not exist says
// nothing.
type configFile struct {
	values  map[string]string // by key, as in "auth.shared_secret_file"
	unknown []string          // keys leger does not know, sorted
}

func readConfig(path string) (configFile, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the user's own settings file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return configFile{}, nil
	case err != nil:
		return configFile{}, leger.WrapFile(leger.CodeInvalid, err, "read the settings file %s", path)
	}
	c, err := parseConfig(b)
	if err != nil {
		where := path
		if d, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, _ := d.Position()
			where = fmt.Sprintf("%s:%d", path, row)
		}
		return configFile{}, leger.Wrap(leger.CodeInvalid, err, "the settings file is not valid: %s", where).
			WithHint("mend that line, or move the file away")
	}
	return c, nil
}

// parseConfig reads TOML.
func parseConfig(b []byte) (configFile, error) {
	var tree map[string]any
	if err := toml.Unmarshal(b, &tree); err != nil {
		return configFile{}, err
	}
	c := configFile{values: map[string]string{}}
	flatten(&c, "", tree)
	slices.Sort(c.unknown)
	return c, nil
}

func flatten(c *configFile, prefix string, tree map[string]any) {
	for name, v := range tree {
		full := prefix + name
		if sub, ok := v.(map[string]any); ok {
			flatten(c, full+".", sub)
			continue
		}
		k, known := keyNamed(full)
		text, isText := v.(string)
		flag, isFlag := v.(bool)
		switch {
		case !known:
			c.unknown = append(c.unknown, full)
		case k.kind == kindBool && isFlag:
			c.values[full] = fmt.Sprint(flag)
		case isText:
			c.values[full] = text
		default:
			c.values[full] = fmt.Sprint(v) // valid says what it should be
		}
	}
}

var (
	tableLine = regexp.MustCompile(`^\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?$`)
	keyLine   = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*=`)
)

// setTOML sets one key in the text of a settings file and leaves every other
// line, comments too, as it is. It fails where that cannot be done by lines.
func setTOML(text []byte, k key, value string) ([]byte, error) {
	table, name, nested := strings.Cut(k.name, ".")
	if !nested {
		table, name = "", k.name
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
	return out, sameBut(text, out, k.name, value)
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

func tomlLine(name string, k key, value string) (string, error) {
	if k.kind == kindBool {
		return name + " = " + value, nil
	}
	if !strings.ContainsFunc(value, func(r rune) bool { return r == '"' || r == '\\' || !unicode.IsPrint(r) }) {
		return name + ` = "` + value + `"`, nil
	}
	b, err := toml.Marshal(map[string]string{name: value})
	if err != nil {
		return "", leger.Wrap(leger.CodeInvalid, err, "write %s as TOML", k.name)
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}

// sameBut checks that two texts say the same but for one key.
func sameBut(before, after []byte, name, value string) error {
	byHand := leger.Errorf(leger.CodeConflict, "the settings file is written in a way leger cannot change without disturbing the rest").
		WithHint("edit it: %s", name)
	old, err := parseConfig(before)
	if err != nil {
		return byHand
	}
	now, err := parseConfig(after)
	if err != nil || now.values[name] != value || !slices.Equal(old.unknown, now.unknown) {
		return byHand
	}
	delete(old.values, name)
	delete(now.values, name)
	if len(old.values) != len(now.values) {
		return byHand
	}
	for k, v := range old.values {
		if now.values[k] != v {
			return byHand
		}
	}
	return nil
}
