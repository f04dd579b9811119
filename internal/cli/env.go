package cli

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/environ"
)

// DefaultSystemConfig is the settings file of the whole machine.
const DefaultSystemConfig = "/etc/leger/config.toml"

// DefaultMachineID is the file with the machine's id (machine-id(5)).
const DefaultMachineID = "/etc/machine-id"

// Env is everything a run of leger takes from outside.
type Env struct {
	Args           []string // without the program's name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	LookupEnv      func(string) (string, bool)
	Environ        func() []string // what a command that is run gets beside secrets; nil: os.Environ
	Now            func() time.Time
	Random         io.Reader // cryptographically secure
	Version        string
	// Executable is this program's path; legerd is looked for beside it. Empty:
	// only PATH is searched.
	Executable string
	// Terminal tells what the streams are and asks questions; nil: found out from
	// the streams themselves.
	Terminal Terminal
	// SystemConfig is the settings file of the whole machine; empty:
	// DefaultSystemConfig.
	SystemConfig string
	// Hostname is what the machine calls itself; nil: os.Hostname.
	Hostname func() (string, error)
	// Username is the name of the Unix user who runs this; nil: from the system.
	Username func() (string, error)
	// MachineID is the file with the machine's id; empty: DefaultMachineID.
	MachineID string
	// After is what the command waits by; nil: time.After.
	After func(time.Duration) <-chan time.Time
}

// OSEnv is the environment of a real process.
func OSEnv(version string, random io.Reader) Env {
	exe, err := os.Executable()
	if err != nil {
		exe = ""
	}
	return Env{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		LookupEnv: os.LookupEnv, Now: time.Now, Random: random, Version: version, Executable: exe,
	}
}

// get gives a variable, "" when it is not set.
func (e Env) get(name string) string {
	v, _ := e.LookupEnv(name)
	return v
}

// lookup gives a setting, and where it is from, in words.
func (e Env) lookup(name string) (value, from string, err error) {
	return environ.Lookup(e.LookupEnv).Value(name)
}

// xdg gives a base directory of the XDG specification with leger's part in it;
// a relative value is to be ignored, it says.
func (e Env) xdg(variable, fallback string) (string, error) {
	if dir := e.get(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "leger"), nil
	}
	home := e.get("HOME")
	if !filepath.IsAbs(home) {
		return "", leger.Invalid("HOME", "neither %s nor HOME names a directory", variable).
			WithHint("export HOME=/home/you")
	}
	return filepath.Join(home, fallback, "leger"), nil
}

func (e Env) configDir() (string, error) { return e.xdg("XDG_CONFIG_HOME", ".config") }
func (e Env) dataDir() (string, error)   { return e.xdg("XDG_DATA_HOME", ".local/share") }
func (e Env) stateDir() (string, error)  { return e.xdg("XDG_STATE_HOME", ".local/state") }
