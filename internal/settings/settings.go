package settings

import (
	"errors"
	"path/filepath"

	"leger.run/leger"
	"leger.run/leger/internal/environ"
)

// Value is what a setting is set to, and where that is said.
type Value struct {
	Key
	Value string
	From  string // "--server", a variable, a file, "signed in", "default"
}

// Config says where settings are looked for.
type Config struct {
	Env environ.Lookup
	// UserFile and SystemFile are the settings files of the user and of the whole
	// machine; neither need exist.
	UserFile, SystemFile string
	// Flag is the value of --server; "" when it was not given.
	Flag string
	// SignedIn gives the server at which the user is signed in; "": nowhere.
	SignedIn func() string
}

// Settings reads the settings files once, when it first needs them.
type Settings struct {
	cfg          Config
	read         bool
	user, system File
}

// New makes Settings; it reads nothing yet.
func New(cfg Config) *Settings { return &Settings{cfg: cfg} }

// Files reads the settings files of the user and of the machine. CodeInvalid when
// one cannot be read.
func (s *Settings) Files() (user, system File, err error) {
	if s.read {
		return s.user, s.system, nil
	}
	if s.user, err = ReadFile(s.cfg.UserFile); err != nil {
		return user, system, err
	}
	if s.system, err = ReadFile(s.cfg.SystemFile); err != nil {
		return user, system, err
	}
	s.read = true
	return s.user, s.system, nil
}

// Get gives a setting: the flag, then the variable, then the user's file, then the
// machine's, then where the user is signed in, then the default. CodeInvalid when
// there is no such setting, when a file cannot be read, or when the value is not valid.
func (s *Settings) Get(name string) (Value, error) {
	k, err := Named(name)
	if err != nil {
		return Value{}, err
	}
	if name == Server && s.cfg.Flag != "" {
		return k.from("--server", s.cfg.Flag)
	}
	if k.env != "" {
		if v, from, err := s.cfg.Env.Value(k.env); err != nil {
			return Value{}, err
		} else if v != "" {
			return k.from(from, v)
		}
	}
	user, system, err := s.Files()
	if err != nil {
		return Value{}, err
	}
	if v, ok := user.Values[name]; ok {
		return k.from(s.cfg.UserFile, v)
	}
	if v, ok := system.Values[name]; ok {
		return k.from(s.cfg.SystemFile, v)
	}
	if name == Server && s.cfg.SignedIn != nil {
		if v := s.cfg.SignedIn(); v != "" {
			return Value{k, v, "signed in"}, nil
		}
	}
	return Value{k, k.Default, "default"}, nil
}

// from gives a value that is valid, and nothing of one that is not: it may hold a
// password, and what is printed of settings is the value.
func (k Key) from(place, v string) (Value, error) {
	err := k.Valid(v)
	if e, ok := errors.AsType[*leger.Error](err); ok {
		c := *e
		c.Message += " (" + place + ")"
		return Value{}, &c
	}
	return Value{k, v, place}, err
}

// Path gives a setting that names a file, with ~/ in front of it resolved.
func (s *Settings) Path(name string) (Value, error) {
	v, err := s.Get(name)
	if len(v.Value) > 1 && v.Value[:2] == "~/" {
		home, _ := s.cfg.Env("HOME")
		v.Value = filepath.Join(home, v.Value[2:])
	}
	return v, err
}
