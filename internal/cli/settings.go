package cli

import (
	"os"
	"path/filepath"
	"strconv"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/token"
)

// DefaultServer is asked when no other is named anywhere.
const DefaultServer = "https://app.leger.run"

// key is one setting.
type key struct {
	name     string // as in config.toml
	env      string // "" none
	kind     kind
	fallback string
	about    string
	check    func(string) error // nil: any text
}

type kind int

const (
	kindText kind = iota
	kindPath      // absolute, or beginning with ~/
	kindBool
)

// keys lists every setting, in the order in which they are shown.
func keys() []key {
	return []key{
		{name: "server", env: "LEGER_SERVER", fallback: DefaultServer, about: "address of the Leger server", check: checkServer},
		{name: "auth.shared_secret_file", kind: kindPath, about: "file with the secret this installation shares with its server"},
		{name: "podman", kind: kindPath, fallback: "podman", about: "the podman program"},
		{name: "git.user_settings", kind: kindBool, fallback: "false", about: "let git use your credential helpers, ssh configuration and ssh agent"},
	}
}

func keyNamed(name string) (key, bool) {
	for _, k := range keys() {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

func checkServer(s string) error {
	_, err := client.New(client.Config{Server: s})
	return err
}

// valid checks a value for a key: CodeInvalid, with the key's name as field.
func (k key) valid(v string) error {
	switch k.kind {
	case kindBool:
		if _, err := strconv.ParseBool(v); err != nil {
			return leger.Invalid(k.name, "%s takes true or false", k.name)
		}
	case kindPath:
		if v == "" {
			return leger.Invalid(k.name, "%s needs a path", k.name)
		}
	case kindText:
	}
	if k.check != nil {
		return k.check(v)
	}
	return nil
}

// setting is a key's value and where it came from.
type setting struct {
	key
	value string
	from  string // "--server", a variable, a file, "signed in", "default"
}

// settings are the files, read once.
type settings struct {
	user, system         configFile
	userPath, systemPath string
}

func (a *app) settings() (*settings, error) {
	if a.known != nil {
		return a.known, nil
	}
	dir, err := a.env.configDir()
	if err != nil {
		return nil, err
	}
	s := &settings{userPath: filepath.Join(dir, configName), systemPath: a.env.SystemConfig}
	if s.user, err = readConfig(s.userPath); err != nil {
		return nil, err
	}
	if s.system, err = readConfig(s.systemPath); err != nil {
		return nil, err
	}
	a.known = s
	return s, nil
}

// setting gives a key's value: flag, then variable, then the user's file, then
// the machine's, then where the user is signed in, then the default.
func (a *app) setting(name string) (setting, error) {
	k, ok := keyNamed(name)
	if !ok {
		return setting{}, unknownKey(name)
	}
	if name == "server" && a.flags.server != "" {
		return setting{k, a.flags.server, "--server"}, nil
	}
	if k.env != "" {
		if v, from, err := a.env.lookup(k.env); err != nil || v != "" {
			return setting{k, v, from}, err
		}
	}
	s, err := a.settings()
	if err != nil {
		return setting{}, err
	}
	if v, ok := s.user.values[name]; ok {
		return setting{k, v, s.userPath}, k.valid(v)
	}
	if v, ok := s.system.values[name]; ok {
		return setting{k, v, s.systemPath}, k.valid(v)
	}
	if name == "server" {
		if f, err := a.readAuth(); err == nil {
			return setting{k, f.Server, "signed in"}, nil
		}
	}
	return setting{k, k.fallback, "default"}, nil
}

func (a *app) value(name string) (string, error) {
	s, err := a.setting(name)
	return s.value, err
}

// path expands ~/ in a setting that names a file.
func (a *app) path(v string) string {
	if len(v) > 1 && v[:2] == "~/" {
		return filepath.Join(a.env.get("HOME"), v[2:])
	}
	return v
}

// client makes a client of the configured server; token may be empty.
func (a *app) client(server, tok string) (*client.Client, error) {
	return client.New(client.Config{Server: server, Token: tok, UserAgent: "leger/" + a.env.Version})
}

// sharedSecretSource tells where the secret is: in the environment, else in the file
// of the settings. From is "" when it is configured nowhere.
func (a *app) sharedSecretSource() (environ.Source, error) {
	src, err := environ.Lookup(a.env.LookupEnv).Find("LEGER_SHARED_SECRET")
	if err != nil || src.From != "" {
		return src, err
	}
	s, err := a.setting("auth.shared_secret_file")
	if err != nil || s.value == "" {
		return environ.Source{}, err
	}
	return environ.Source{From: s.from, File: a.path(s.value)}, nil
}

// sharedSecret reads the installation's secret: without one trailing newline, and
// never from a file that others may read.
func (a *app) sharedSecret() (token.Secret, error) {
	src, err := a.sharedSecretSource()
	switch {
	case err != nil:
		return token.Secret{}, err
	case src.From == "":
		return token.Secret{}, leger.Errorf(leger.CodeInvalid, "no shared secret is configured, and it is what the server knows you by").
			WithHint("copy the server's jwt.secret into a file only you can read, then: leger config set auth.shared_secret_file FILE")
	case src.File != "" && !src.Credential: // systemd guards its credentials
		if err := onlyOwner(src.File); err != nil {
			return token.Secret{}, err
		}
	}
	text, err := src.Read()
	if err != nil {
		return token.Secret{}, err
	}
	return token.ParseSecret([]byte(text))
}

// onlyOwner refuses a file that others may read or change.
func onlyOwner(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return leger.WrapFile(leger.CodeInvalid, err, "read %s", file)
	case !info.Mode().IsRegular():
		return leger.Errorf(leger.CodeInvalid, "%s is not a file", file)
	case info.Mode().Perm()&0o077 != 0:
		return leger.Errorf(leger.CodeInvalid, "%s can be read or changed by other users of this machine", file).
			WithHint("chmod 600 %s", file)
	}
	return nil
}
