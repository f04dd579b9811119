package gitrepo

import (
	"bytes"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"leger.run/leger"
)

// tokenUser is the user name that goes with a token. GitHub documents it, and
// GitLab, Gitea and Forgejo take any.
const tokenUser = "x-access-token"

// maxToken is far more than any token has, and less than a pipe holds (pipe(7):
// 64 KiB), so that writing to one never waits for a reader.
const maxToken = 4096

// helper is a credential helper (gitcredentials(7)) that hands on what comes from
// descriptor 3. It needs nothing but the shell that git starts it with: a token
// is in no argument.
const helper = `!f() { test "$1" = get && while IFS= read -r l; do printf '%s\n' "$l"; done <&3; }; f`

// Origin is the scheme, host and port of an http or https URL, "https://host:443"
// with the port always there: what a token is given for. It is empty for what has
// none, an ssh URL or a directory.
func Origin(remote string) string {
	u, err := url.Parse(remote)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	switch {
	case scheme != "https" && scheme != "http":
		return ""
	case port == "" && scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port)
}

// tokenSettings make git ask the helper, for the source's host and no other.
func (s *session) tokenSettings() ([][2]string, error) {
	if s.client.cfg.Token.Len() == 0 {
		return nil, nil
	}
	u, err := url.Parse(s.remote)
	if p := s.protocol(); err != nil || (p != "https" && p != "http") {
		return nil, leger.Invalid("git_url", "a token goes with an https URL, which %s is not", s.name).
			WithHint("use the repository's https URL, or leave the token out: ssh has keys")
	}
	origin := url.URL{Scheme: u.Scheme, Host: u.Host}
	return [][2]string{
		{"credential.helper", ""}, // forgets the user's own
		{"credential." + origin.String() + ".helper", helper},
	}, nil
}

// credentials is the reading end of a pipe with what the helper hands on, nil
// without a token. Each git command that may ask has one of its own.
func (s *session) credentials() (*os.File, error) {
	if s.client.cfg.Token.Len() == 0 {
		return nil, nil //nolint:nilnil // no token, no pipe
	}
	token := bytes.TrimSuffix(s.client.cfg.Token.Reveal(), []byte("\n"))
	if len(token) == 0 || len(token) > maxToken || bytes.ContainsAny(token, "\n\r\x00") {
		return nil, leger.Errorf(leger.CodeInvalid, "the secret with the token does not hold one: a token is one line of at most %d bytes", maxToken).
			WithHint("store the token alone: leger secrets set")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, leger.WrapFile(leger.CodeUnavailable, err, "make a pipe for git")
	}
	text := slices.Concat([]byte("username="+tokenUser+"\npassword="), token, []byte("\n"))
	defer clear(text)
	_, err = w.Write(text)
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = r.Close()
		return nil, leger.Wrap(leger.CodeUnavailable, err, "hand the token to git")
	}
	return r, nil
}
