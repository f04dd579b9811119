// Package settings holds what a user may set: the settings' names, the files that
// hold them, and which of flag, variable, file and default is in force.
package settings

import (
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/client"
)

// The settings' names, as in config.toml.
const (
	Server           = "server"
	SharedSecretFile = "auth.shared_secret_file" //nolint:gosec // the name of a setting
	Podman           = "podman"
	GitUserSettings  = "git.user_settings"
)

// Kind is what a setting's value may be.
type Kind int

// The kinds of settings.
const (
	KindText Kind = iota
	KindPath      // absolute, or beginning with ~/
	KindBool
)

// Key is one setting.
type Key struct {
	Name    string // as in config.toml
	Kind    Kind
	Default string
	env     string             // the variable that sets it; "": none
	check   func(string) error // nil: any text
}

// Keys lists every setting, in the order in which they are shown.
func Keys() []Key {
	return []Key{
		{Name: Server, env: "LEGER_SERVER", check: checkServer},
		{Name: SharedSecretFile, Kind: KindPath},
		{Name: Podman, Kind: KindPath, Default: "podman"},
		{Name: GitUserSettings, Kind: KindBool, Default: "false"},
	}
}

// Named gives the setting of this name: CodeInvalid when there is none.
func Named(name string) (Key, error) {
	var names []string
	for _, k := range Keys() {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Key{}, leger.Invalid("key", "leger has no setting %q", name).WithHint("one of: %s", strings.Join(names, ", "))
}

func checkServer(s string) error {
	_, err := client.New(client.Config{Server: s})
	return err
}

// Valid checks a value for the setting: CodeInvalid, with the setting's name as field.
func (k Key) Valid(v string) error {
	switch k.Kind {
	case KindBool:
		if _, err := strconv.ParseBool(v); err != nil {
			return leger.Invalid(k.Name, "%s takes true or false", k.Name)
		}
	case KindPath:
		if v == "" {
			return leger.Invalid(k.Name, "%s needs a path", k.Name)
		}
	case KindText:
	}
	if k.check != nil {
		return k.check(v)
	}
	return nil
}
