package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/settings"
)

func (a *app) configCmd() *cobra.Command {
	var names []string
	for _, k := range settings.Keys() {
		names = append(names, k.Name)
	}
	get := &cobra.Command{
		Use: "get KEY", Short: "Print one setting as it is in force",
		Example: "  leger config get server",
		Args:    exactArgs("the name of a setting"), ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error { return a.configGet(args[0]) },
	}
	set := &cobra.Command{
		Use: "set KEY VALUE", Short: "Write a setting to your own settings file",
		Example: `  leger config set server https://leger.example.ts.net
  leger config set auth.shared_secret_file ~/.config/leger/shared-secret`,
		Args: exactArgs("the name of a setting", "its value"), ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error { return a.configSet(args[0], args[1]) },
	}
	list := &cobra.Command{
		Use: "list", Short: "Print all settings and where each comes from",
		Long: `Print all settings and where each comes from: a flag, a LEGER_ variable, your own
settings file, the machine's (` + DefaultSystemConfig + `), or the default.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return a.configList() },
	}
	path := &cobra.Command{
		Use: "path", Short: "Print where your own settings file is",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := a.configPath()
			if err != nil {
				return err
			}
			return a.print(path + "\n")
		},
	}
	return group("config", "Read and change leger's settings", get, set, list, path)
}

// settingJSON is a setting in --json.
type settingJSON struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

func (a *app) configGet(name string) error {
	s, err := a.setting(name)
	if err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(settingJSON{s.Name, s.Value, s.From})
	}
	return a.print(s.Value + "\n")
}

func (a *app) configList() error {
	var list []settingJSON
	var rows [][]string
	for _, k := range settings.Keys() {
		s, err := a.setting(k.Name)
		if err != nil {
			return err
		}
		list = append(list, settingJSON{s.Name, s.Value, s.From})
		rows = append(rows, []string{s.Name, s.Value, s.From})
	}
	if a.flags.json {
		return a.printJSON(map[string]any{"settings": list})
	}
	return a.table([]string{"KEY", "VALUE", "FROM"}, rows)
}

func (a *app) configSet(name, value string) error {
	k, err := settings.Named(name)
	if err != nil {
		return err
	}
	if k.Kind == settings.KindPath && strings.HasPrefix(value, ".") {
		abs, err := filepath.Abs(value)
		if err != nil {
			return leger.Wrap(leger.CodeInvalid, err, "find out the whole path")
		}
		value = abs
	}
	if err := k.Valid(value); err != nil {
		return err
	}
	path, err := a.configPath()
	if err != nil {
		return err
	}
	if err := settings.CheckFile(path); err != nil {
		return err // written anew, it would be the user's word
	}
	before, err := os.ReadFile(path) //nolint:gosec // the user's own settings file
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return leger.WrapFile(leger.CodeInvalid, err, "read the settings file %s", path)
	}
	after, err := settings.Set(before, k, value)
	if err != nil {
		return err
	}
	if err := safefile.Write(path, after, 0o600); err != nil {
		return leger.WrapFile(leger.CodeDisk, err, "write the settings file %s", path)
	}
	a.say("%s is set in %s", name, path)
	if s, err := a.setting(name); err == nil && s.From != path && s.Value != value {
		a.warn("%s still wins over it, with %s", s.From, s.Value)
	}
	return nil
}
