package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/safefile"
)

// settings are the choices that are no secrets.
type settings struct {
	listen    []address
	data      string
	publicURL string // "" where the node's name in the tailnet is to be asked for
	rateLimit float64
	auth      []leger.SignInMethod
	// needsGrant: the tailnet's policy says who may sign in (LEGER_TAILNET_ACCESS).
	needsGrant    bool
	trustLoopback bool
	tailscale     string // tailscaled's socket; "" is the usual one
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
	where, err := p.choose(listen, "LEGER_LISTEN", "127.0.0.1:8787")
	if err != nil {
		return s, err
	}
	if s.listen, err = parseListen(where); err != nil {
		return s, err
	}
	if s.data, err = p.dataDir(data); err != nil {
		return s, err
	}
	own := ""
	if s.listen[0].front == frontTCP {
		own = "http://" + s.listen[0].where
	}
	if s.publicURL, err = p.choose(publicURL, "LEGER_PUBLIC_URL", own); err != nil {
		return s, err
	}
	s.publicURL = strings.TrimSuffix(s.publicURL, "/")
	if s.publicURL != "" {
		if err := httpapi.CheckPublicURL(s.publicURL); err != nil {
			return s, err
		}
	}
	limit, err := p.choose(rateLimit, "LEGER_RATE_LIMIT", "100")
	if err != nil {
		return s, err
	}
	s.rateLimit, err = strconv.ParseFloat(limit, 64)
	if err != nil || s.rateLimit < 0 || s.rateLimit > 1e6 {
		return s, leger.Invalid("rate-limit", "the rate limit %q is not a number from 0 to 1000000", limit)
	}
	return s, p.authSettings(&s)
}

// authSettings settles how callers prove who they are.
func (p program) authSettings(s *settings) error {
	auth, err := p.choose("", "LEGER_AUTH", string(leger.SignInSharedSecret))
	if err != nil {
		return err
	}
	if s.auth, err = parseAuth(auth); err != nil {
		return err
	}
	access, err := p.choose("", "LEGER_TAILNET_ACCESS", "everyone")
	if err != nil {
		return err
	}
	if access != "everyone" && access != "granted" {
		return leger.Invalid("LEGER_TAILNET_ACCESS", "LEGER_TAILNET_ACCESS is %q: it is everyone or granted", access)
	}
	s.needsGrant = access == "granted"
	trust, err := p.choose("", "LEGER_TRUST_LOOPBACK_PROXY", "0")
	if err != nil {
		return err
	}
	if s.trustLoopback, err = strconv.ParseBool(trust); err != nil {
		return leger.Invalid("LEGER_TRUST_LOOPBACK_PROXY", "LEGER_TRUST_LOOPBACK_PROXY is %q: it is 0 or 1", trust)
	}
	if s.tailscale, err = p.lookup("LEGER_TAILSCALE_SOCKET"); err != nil {
		return err
	}
	return s.checkFronts()
}

// parseAuth reads LEGER_AUTH. A machine's own key is always taken; the others are how
// one begins.
func parseAuth(text string) ([]leger.SignInMethod, error) {
	var list []leger.SignInMethod
	for one := range strings.SplitSeq(text, ",") {
		m := leger.SignInMethod(strings.TrimSpace(one))
		if m != leger.SignInTailnet && m != leger.SignInSharedSecret && m != leger.SignInMachine {
			return nil, leger.Invalid("LEGER_AUTH", "LEGER_AUTH has %q: it takes tailnet and shared-secret, with a comma between", string(m))
		}
		list = append(list, m)
	}
	tailnet, secret := slices.Contains(list, leger.SignInTailnet), slices.Contains(list, leger.SignInSharedSecret)
	if !tailnet && !secret {
		return nil, leger.Invalid("LEGER_AUTH", "LEGER_AUTH names no way to begin: nobody could sign in the first machine").
			WithHint("LEGER_AUTH=tailnet, or LEGER_AUTH=shared-secret")
	}
	// In the order in which a client should try them.
	list = nil
	if tailnet {
		list = append(list, leger.SignInTailnet)
	}
	list = append(list, leger.SignInMachine)
	if secret {
		list = append(list, leger.SignInSharedSecret)
	}
	return list, nil
}

// checkFronts refuses to ask Tailscale where nothing can tell who is calling.
func (s settings) checkFronts() error {
	if !slices.Contains(s.auth, leger.SignInTailnet) || s.trustLoopback {
		return nil
	}
	for _, a := range s.listen {
		if a.front != frontTCP {
			return nil
		}
	}
	return leger.Invalid("listen", "LEGER_AUTH has tailnet, but at a TCP address any program of this machine could say that it is anybody").
		WithHint("--listen unix:/run/leger/server.sock with tailscale serve --bg unix:/run/leger/server.sock, or --listen tailnet:443")
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
