package gitrepo

import (
	"regexp"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/terminal"
)

// explain turns a failure of git into an error.
//
// It is the one place that reads git's messages. git ends with 128 for every
// trouble with a remote and tells them apart only in English text on stderr, so
// there is no other evidence; the messages are those of git 2.39 to 2.53, libcurl
// and OpenSSH under LC_ALL=C, and the tests produce each of them with the real
// programs where that is possible. A message that is not known here is shown as
// it is, never guessed at.
func (s *session) explain(subcommand string, res run.Result) error {
	text := withoutRemote(string(res.Stderr))
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	field := func(e *leger.Error, hint string) error {
		e.Field = "git_url"
		return e.WithHint("%s", hint)
	}
	switch {
	case has("Host key verification failed"):
		return field(leger.Errorf(leger.CodeForbidden, "the host of %s is not known to ssh, or its key has changed", s.name),
			"connect once by hand, compare the key's fingerprint, and let ssh remember it")
	case has("terminal prompts disabled", "Authentication failed", "Permission denied", "could not read Username", "could not read Password", "returned error: 401", "returned error: 403"):
		return field(leger.Errorf(leger.CodeForbidden, "%s wants credentials, or refuses those it got", s.name),
			"check the URL (some hosts say this of repositories that do not exist); for a private one store a token (--git-token-secret NAME), or let Leger use your git credentials (leger config set git.user_settings true)")
	case has("Could not resolve", "Name or service not known", "Temporary failure in name resolution"):
		return field(leger.Errorf(leger.CodeUnreachable, "the host of %s does not exist, or this machine has no name service", s.name),
			"check the URL and the network")
	case has("Failed to connect", "Couldn't connect", "Connection refused", "Connection timed out", "No route to host", "Network is unreachable", "Operation timed out", "Operation too slow", "Connection reset"):
		return field(leger.Errorf(leger.CodeUnreachable, "the host of %s does not answer", s.name), "check the network, and try again")
	case has("SSL", "certificate", "TLS"):
		return field(leger.Errorf(leger.CodeUnreachable, "no trusted connection to %s can be made%s", s.name, lastWords(text)),
			"check the host's certificate and this machine's clock")
	case has("not found", "does not appear to be a git repository", "does not exist", "returned error: 404"):
		e := leger.Errorf(leger.CodeNotFound, "there is no Git repository at %s", s.name)
		return field(e, "check the URL: it must be the one that git clone takes")
	case has("dubious ownership"):
		return field(leger.Errorf(leger.CodeForbidden, "%s belongs to another user", s.name), "clone it as your own first")
	case has("transport '", "not allowed"):
		return field(leger.Errorf(leger.CodeInvalid, "%s leads to a protocol that is not allowed", s.name), "use an https or ssh URL that does not redirect")
	case has("No space left on device"):
		return leger.Errorf(leger.CodeUnavailable, "the disk is full").WithHint("make room and try again")
	default:
		return field(leger.Errorf(leger.CodeUnavailable, "git %s of %s ended with %d%s", subcommand, s.name, res.Code, lastWords(text)),
			"try the same with git clone by hand")
	}
}

// withoutRemote leaves out the lines that the other side wrote: they say what it
// likes.
func withoutRemote(stderr string) string {
	var b strings.Builder
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "remote:") {
			b.WriteString(line)
		}
	}
	return b.String()
}

var userinfoPattern = regexp.MustCompile(`://[^/@\s]*@`)

// lastWords is git's last line of its own, made safe to print; "remote:" lines
// are the other side's words and stay out.
func lastWords(stderr string) string {
	last := ""
	for line := range strings.Lines(stderr) {
		for _, prefix := range []string{"fatal: ", "error: "} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				last = rest
			}
		}
	}
	if last == "" {
		return ""
	}
	return ": " + showName(userinfoPattern.ReplaceAllString(strings.TrimSpace(last), "://"))
}

// showName makes a name from outside fit for an error.
func showName(s string) string { return terminal.Line(s, 200) }
