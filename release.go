package leger

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Release names a Git repository of quadlets, at a branch or tag, perhaps below
// a subdirectory.
type Release struct {
	ID          string // UUIDv4
	User        UserID
	Name        ReleaseName
	GitURL      GitURL
	GitRef      GitRef
	GitPath     GitPath // zero: the repository's root
	Description string
	Version     Version // its own edits, from 1
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// ReleaseVersion is one line of a release's history.
type ReleaseVersion struct {
	Version     Version
	Name        ReleaseName
	GitURL      GitURL
	GitRef      GitRef
	GitPath     GitPath
	Description string
	CreatedAt   time.Time // when this version was made
}

// ReleasePage asks for a user's releases in order of name.
type ReleasePage struct {
	Name  *ReleaseName // exactly this one, case ignored; nil: all
	Limit int          // 1 to MaxPageSize
	After string       // only names after this one (in lower case); empty: from the start
}

// ReleaseStore keeps releases. Every method is about one user. Storage trouble
// is ErrUnavailable.
type ReleaseStore interface {
	// Releases gives a page; next is the After of the following page, "" at the end.
	Releases(ctx context.Context, user UserID, page ReleasePage) (rs []Release, next string, err error)
	// Release gives one, ErrNotFound if the user has none of that id.
	Release(ctx context.Context, user UserID, id string) (Release, error)
	// CreateRelease writes version 1. ErrConflict (field "name") if the user has one
	// of that name, case ignored, or owns MaxReleasesPerUser already.
	CreateRelease(ctx context.Context, r Release, audit AuditEvent) error
	// UpdateRelease replaces r.ID's content if it is at version expect, and makes
	// expect+1 of it (r.Version). ErrNotFound; ErrConflict with the version that is
	// current, or with field "name" if another release has the name.
	UpdateRelease(ctx context.Context, r Release, expect Version, audit AuditEvent) error
	// DeleteRelease removes one. ErrNotFound; ErrConflict if expect is not 0 and not
	// its version.
	DeleteRelease(ctx context.Context, user UserID, id string, expect Version, audit AuditEvent) error
	// ReleaseVersions lists the history, newest first. ErrNotFound.
	ReleaseVersions(ctx context.Context, user UserID, id string) ([]ReleaseVersion, error)
}

// Key is the name in lower case: what is unique per user.
func (n ReleaseName) Key() string { return strings.ToLower(n.s) }

// GitURL is where a release's repository is. It is never dialled by the server,
// holds no credentials and cannot be taken for an option by git.
type GitURL struct{ s string }

// ParseGitURL takes https://, ssh:// and user@host:path; http:// only for
// loopback addresses and *.ts.net. ErrInvalid, field "git_url".
func ParseGitURL(s string) (GitURL, error) {
	bad := func(format string, args ...any) (GitURL, error) { return GitURL{}, Invalid("git_url", format, args...) }
	switch {
	case s == "":
		return bad("the Git URL is empty")
	case len(s) > MaxGitURL:
		return bad("the Git URL is longer than %d bytes", MaxGitURL)
	case strings.HasPrefix(s, "-"):
		return bad("the Git URL starts with '-': git would take it for an option")
	case !printable(s) || strings.ContainsAny(s, " \\\"'`<>|^{}$;&"):
		return bad("the Git URL has a space or a character that no Git URL needs")
	}
	scheme, rest, hasScheme := strings.Cut(s, "://")
	if !hasScheme {
		// No "transport::address" gets here: what precedes the '@' has no colon.
		if isSCPAddress(s) {
			return GitURL{s}, nil
		}
		// The text is not shown: it may be user:password@host.
		return bad("this is not a Git URL Leger takes: use https://host/path, ssh://host/path or user@host:path")
	}
	if scheme != "https" && scheme != "ssh" && scheme != "http" {
		return bad("the URL's scheme is not allowed: use https or ssh")
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || strings.HasPrefix(rest, "-") || strings.HasPrefix(u.Hostname(), "-") {
		return bad("%s has no host that can be read", quoteInput(scheme+"://…"))
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return bad("the Git URL's port is not a number from 1 to 65535")
		}
	}
	return checkGitURL(s, scheme, u)
}

func checkGitURL(s, scheme string, u *url.URL) (GitURL, error) {
	bad := func(format string, args ...any) (GitURL, error) { return GitURL{}, Invalid("git_url", format, args...) }
	if u.User != nil {
		name := u.User.Username()
		if _, hasPassword := u.User.Password(); hasPassword || scheme != "ssh" || strings.HasPrefix(name, "-") {
			return GitURL{}, Invalid("git_url", "the Git URL holds credentials").
				WithHint("leave user and password out of the URL; a private repository needs a token (leger deploy install --git-token-secret NAME) or your own git credentials (leger config set git.user_settings true)")
		}
	}
	if u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return bad("the Git URL has a query or a fragment: name the branch and the path in their own fields")
	}
	// Git decodes %0a and the like before it hands them on.
	if !printable(u.Host) || !printable(u.Path) || !printable(u.User.Username()) {
		return bad("the Git URL has an encoded character that cannot be printed")
	}
	if strings.Trim(u.Path, "/") == "" {
		return bad("the Git URL names no repository: it ends after the host")
	}
	if scheme == "http" && !plainHTTPAllowed(u.Hostname()) {
		return GitURL{}, Invalid("git_url", "http:// is allowed only for this machine and *.ts.net, because anyone on the way could change the files").
			WithHint("use https:// or ssh://")
	}
	return GitURL{s}, nil
}

// plainHTTPAllowed: loopback never leaves the machine, and a tailnet is encrypted.
func plainHTTPAllowed(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".ts.net") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && net.ParseIP(host) != nil
}

func (u GitURL) String() string { return u.s }

// MarshalText gives the URL.
func (u GitURL) MarshalText() ([]byte, error) { return []byte(u.s), nil }

// UnmarshalText parses as ParseGitURL does.
func (u *GitURL) UnmarshalText(b []byte) (err error) {
	*u, err = ParseGitURL(string(b))
	return err
}

// GitRef is a branch or tag name.
type GitRef struct{ s string }

// ParseGitRef follows git-check-ref-format(1) with --branch, and takes printable
// characters only; "" gives "main".
// ErrInvalid, field "git_branch".
func ParseGitRef(s string) (GitRef, error) {
	if s == "" {
		return GitRef{DefaultGitRef}, nil
	}
	bad := len(s) > MaxGitRef || s == "@" || s == "HEAD" ||
		strings.HasPrefix(s, "-") || strings.HasSuffix(s, ".") ||
		strings.Contains(s, "..") || strings.Contains(s, "@{") ||
		strings.ContainsAny(s, " ~^:?*[\\") || !printable(s)
	for part := range strings.SplitSeq(s, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return GitRef{}, Invalid("git_branch",
			"%s is not a branch or tag name that git accepts and that can be shown", quoteInput(s))
	}
	return GitRef{s}, nil
}

func (r GitRef) String() string { return r.s }

// MarshalText gives the name.
func (r GitRef) MarshalText() ([]byte, error) { return []byte(r.s), nil }

// UnmarshalText parses as ParseGitRef does.
func (r *GitRef) UnmarshalText(b []byte) (err error) {
	*r, err = ParseGitRef(string(b))
	return err
}

// GitPath is a subdirectory of a repository, with slashes; the zero value is its root.
type GitPath struct{ s string }

// ParseGitPath takes a relative, clean path without "..", one slash at its end
// allowed; "" or "." for the root. ErrInvalid, field "git_path".
func ParseGitPath(s string) (GitPath, error) {
	if s == "" || s == "." || s == "./" {
		return GitPath{}, nil
	}
	s = strings.TrimSuffix(s, "/")
	bad := len(s) > MaxGitPath || s == "" || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "-") ||
		path.Clean(s) != s || strings.Contains(s, "\\") || !printable(s)
	for part := range strings.SplitSeq(s, "/") {
		bad = bad || part == ".." || strings.EqualFold(part, ".git")
	}
	if bad {
		return GitPath{}, Invalid("git_path", "%s is not a subdirectory: it takes a relative path without '..'", quoteInput(s))
	}
	return GitPath{s}, nil
}

func (p GitPath) String() string { return p.s }

// MarshalText gives the path.
func (p GitPath) MarshalText() ([]byte, error) { return []byte(p.s), nil }

// UnmarshalText parses as ParseGitPath does.
func (p *GitPath) UnmarshalText(b []byte) (err error) {
	*p, err = ParseGitPath(string(b))
	return err
}

// ParseDescription checks a release's description: at most 500 characters of
// text, tabs and line breaks allowed, which it gives as "\n". ErrInvalid, field
// "description".
func ParseDescription(s string) (string, error) {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	if utf8.RuneCountInString(s) > MaxDescription {
		return "", Invalid("description", "the description is longer than %d characters", MaxDescription)
	}
	if !printableLines(s) {
		return "", Invalid("description", "the description has characters that cannot be printed")
	}
	return s, nil
}
