package main

import (
	"flag"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/safefile"
)

// settings are the choices that are no secrets.
type settings struct {
	listen    string
	data      string
	publicURL string
	rateLimit float64
}

// settingFlags adds the flags shared by the commands that use the data directory.
func settingFlags(set *flag.FlagSet) (listen, data, publicURL, rateLimit *string) {
	return set.String("listen", "", ""), set.String("data", "", ""),
		set.String("public-url", "", ""), set.String("rate-limit", "", "")
}

// settings settles flags, variables and defaults.
func (p program) settings(listen, data, publicURL, rateLimit string) (settings, error) {
	var s settings
	var err error
	if s.listen, err = p.choose(listen, "LEGER_LISTEN", "127.0.0.1:8787"); err != nil {
		return s, err
	}
	if _, _, err := net.SplitHostPort(s.listen); err != nil {
		return s, leger.Invalid("listen", "the listen address %q is not HOST:PORT", s.listen)
	}
	if s.data, err = p.dataDir(data); err != nil {
		return s, err
	}
	if s.publicURL, err = p.choose(publicURL, "LEGER_PUBLIC_URL", "http://"+s.listen); err != nil {
		return s, err
	}
	s.publicURL = strings.TrimSuffix(s.publicURL, "/")
	if err := httpapi.CheckPublicURL(s.publicURL); err != nil {
		return s, err
	}
	limit, err := p.choose(rateLimit, "LEGER_RATE_LIMIT", "100")
	if err != nil {
		return s, err
	}
	s.rateLimit, err = strconv.ParseFloat(limit, 64)
	if err != nil || s.rateLimit < 0 || s.rateLimit > 1e6 {
		return s, leger.Invalid("rate-limit", "the rate limit %q is not a number from 0 to 1000000", limit)
	}
	auth, err := p.choose("", "LEGER_AUTH", "shared-secret")
	if err != nil {
		return s, err
	}
	if auth != "shared-secret" {
		return s, leger.Invalid("LEGER_AUTH", "LEGER_AUTH is %q: this version knows shared-secret", auth)
	}
	return s, nil
}

// dataDir settles the data directory, as an absolute path.
func (p program) dataDir(flagged string) (string, error) {
	data, err := p.choose(flagged, "LEGER_DATA", p.defaultData())
	if err != nil {
		return "", err
	}
	if data == "" {
		return "", leger.Invalid("data", "there is no home directory to keep the data in").WithHint("name one with --data DIR")
	}
	if data, err = filepath.Abs(data); err != nil {
		return "", leger.Wrap(leger.CodeInvalid, err, "resolve the data directory")
	}
	return data, checkData(data)
}

// checkData refuses a data directory, or a database in it, that others may change: who
// puts a file of their own in its place has the server's word. Others may look into the
// directory: what is secret in it has its own rule.
func checkData(data string) error {
	for _, path := range []string{data, filepath.Join(data, databaseFile)} {
		if err := guarded(path, safefile.Holds); err != nil {
			return err
		}
	}
	return nil
}

// guarded holds a file or directory to a rule. One that is not there, or cannot be
// looked at, is told of by who reads it; pipes and terminals are their opener's.
func guarded(path string, rule safefile.Rule) error {
	info, err := os.Stat(path)
	if err != nil || (!info.Mode().IsRegular() && !info.IsDir()) {
		return nil //nolint:nilerr // see above
	}
	return safefile.CheckInfo(path, info, rule)
}

func (p program) defaultData() string {
	if dir := p.getenv("STATE_DIRECTORY"); dir != "" {
		return dir
	}
	if dir := p.getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "leger-server")
	}
	if home := p.getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "leger-server")
	}
	return ""
}

// choose gives the first of flag, variable, variable's file, credential, default.
func (p program) choose(flagged, name, fallback string) (string, error) {
	if flagged != "" {
		return flagged, nil
	}
	v, err := p.lookup(name)
	if err != nil || v != "" {
		return v, err
	}
	return fallback, nil
}

// lookup gives a setting from the environment, "" when it is not there.
func (p program) lookup(name string) (string, error) {
	found, err := p.find(name)
	if err != nil {
		return "", err
	}
	return found.Read()
}

// lookupSecret gives a setting that is secret, "" when it is not there.
func (p program) lookupSecret(name string) (string, error) {
	found, err := p.find(name)
	if err != nil {
		return "", err
	}
	return found.ReadSecret()
}

func (p program) find(name string) (environ.Source, error) {
	return environ.Lookup(func(name string) (string, bool) { return p.getenv(name), true }).Find(name)
}
