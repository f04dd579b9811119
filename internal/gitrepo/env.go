package gitrepo

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// setRemote makes the operand that git gets. It is always a URL or user@host:path
// of a parsed type, so it never begins with "-" and never names a helper
// ("ext::…").
func (s *session) setRemote() error {
	switch url, dir := s.src.URL.String(), s.src.Dir; {
	case (url == "") == (dir == ""):
		return leger.Invalid("git_url", "the source has neither a URL nor a directory, or both")
	case dir != "":
		return s.setDir(dir)
	default:
		s.remote, s.name = url, url
		return nil
	}
}

func (s *session) setDir(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return leger.Wrap(leger.CodeInvalid, err, "find the directory %q", dir)
	}
	if !IsRepository(abs) {
		e := leger.Errorf(leger.CodeNotFound, "%s is not the top directory of a Git repository", abs)
		e.Field = "git_url"
		return e.WithHint("name the directory that has .git in it")
	}
	s.remote, s.name = (&url.URL{Scheme: "file", Path: abs}).String(), abs
	return nil
}

// protocol is the one transport that git may use for this source, redirects and
// whatever the repository names included.
func (s *session) protocol() string {
	switch {
	case s.src.Dir != "":
		return "file"
	case strings.HasPrefix(s.remote, "https://"):
		return "https"
	case strings.HasPrefix(s.remote, "http://"):
		return "http" // the URL's parser let only loopback and *.ts.net through
	default:
		return "ssh"
	}
}

// setEnv builds git's whole environment.
func (s *session) setEnv(ctx context.Context) error {
	for _, pair := range s.client.cfg.Env {
		switch name, _, _ := strings.Cut(pair, "="); {
		case strings.HasPrefix(name, "GIT_"), name == "LC_ALL", name == "SSH_ASKPASS", name == "SSH_ASKPASS_REQUIRE":
		case name == "SSH_AUTH_SOCK" && !s.client.cfg.UserSettings:
		default:
			s.env = append(s.env, pair)
		}
	}
	global, ssh := os.DevNull, "ssh -F /dev/null"
	if s.client.cfg.UserSettings {
		file, err := s.userSettings(ctx)
		if err != nil {
			return err
		}
		global, ssh = file, "ssh"
	}
	s.env = append(
		s.env,
		"LC_ALL=C", // explain reads git's English messages
		"GIT_ALLOW_PROTOCOL="+s.protocol(),
		"GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL="+global,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_LFS_SKIP_SMUDGE=1",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_DIR="+s.repo,
		// BatchMode: no password and no question about an unknown host.
		"GIT_SSH_COMMAND="+ssh+" -o BatchMode=yes -o ConnectTimeout=15",
	)
	settings, err := s.tokenSettings()
	if err != nil {
		return err
	}
	s.env = append(s.env, configEnv(append(settings, [][2]string{
		{"core.hooksPath", os.DevNull},
		{"core.symlinks", "false"},
		{"core.fsmonitor", "false"},
		{"core.askPass", ""},
		{"protocol.allow", "never"},
		{"protocol." + s.protocol() + ".allow", "always"},
		{"submodule.recurse", "false"},
		{"fetch.recurseSubmodules", "false"},
		{"fetch.writeCommitGraph", "false"},
		{"filter.lfs.smudge", ""},
		{"filter.lfs.process", ""},
		{"filter.lfs.required", "false"},
		{"gc.auto", "0"},
		// What comes goes to the disk, where its size is watched, and not to the
		// memory: below 100 objects git would unpack them there.
		{"fetch.unpackLimit", "1"},
		{"core.bigFileThreshold", "1m"},
		{"maintenance.auto", "false"},
		// Below 1000 bytes a second for 30 seconds nobody is there any more.
		{"http.lowSpeedLimit", "1000"},
		{"http.lowSpeedTime", "30"},
		// Plain http is trusted for one address only: it must not lead to another.
		{"http.followRedirects", map[bool]string{true: "false", false: "initial"}[s.protocol() == "http"]},
		{"gpg.ssh.allowedSignersFile", s.client.cfg.AllowedSigners},
		{"gpg.minTrustLevel", "fully"},
	}...))...)
	return nil
}

// configEnv gives settings to git through its environment (git-config(1),
// GIT_CONFIG_COUNT), where they win over every file.
func configEnv(settings [][2]string) []string {
	env := []string{fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(settings))}
	for i, kv := range settings {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return env
}

// userSettings copies the user's credential helpers and ssh command into a
// configuration file of our own, which only the user can read.
func (s *session) userSettings(ctx context.Context) (file string, err error) {
	res, err := s.client.cfg.Runner.Run(ctx, run.Command{
		// The ceiling: only the user's and the machine's files count, no repository
		// that somebody left in a directory above.
		Path: "git", Dir: s.dir, Env: append(slices.Clone(s.env), "GIT_CEILING_DIRECTORIES="+filepath.Dir(s.dir)),
		Args: []string{"config", "--includes", "-z", "--get-regexp", `^(credential\..*|core\.sshcommand|ssh\.variant)$`},
	})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for entry := range strings.SplitSeq(string(res.Stdout), "\x00") { // exit code 1: there are none
		if key, value, ok := strings.Cut(entry, "\n"); ok {
			text.WriteString(configLine(key, value))
		}
	}
	file = filepath.Join(s.dir, "user.gitconfig")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "write git's configuration")
	}
	return file, nil
}

// configLine writes one setting in the syntax of git-config(1).
func configLine(key, value string) string {
	first, last := strings.Index(key, "."), strings.LastIndex(key, ".")
	if first < 0 {
		return ""
	}
	section := "[" + key[:first]
	if last > first {
		section += ` "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key[first+1:last]) + `"`
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(value)
	return section + "]\n\t" + key[last+1:] + ` = "` + quoted + "\"\n"
}
