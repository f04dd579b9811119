package leger

import "strings"

// What package regexp could say in a line each is said in code here: compiling patterns
// is work at every cold start of a Worker, and the package is a twentieth of its size.

// consists reports whether s has only bytes that ok takes.
func consists(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLowerHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' }

func isAlphanumeric(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

func isFindingKind(s string) bool {
	return len(s) >= 1 && len(s) <= 32 && consists(s, func(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' })
}

// isCommit: a commit of a repository of SHA-1, or of SHA-256 (gitformat-pack(5), "object
// names").
func isCommit(s string) bool { return (len(s) == 40 || len(s) == 64) && consists(s, isLowerHex) }

func isReleaseName(s string) bool {
	return len(s) >= 1 && len(s) <= MaxReleaseName && isAlphanumeric(s[0]) &&
		consists(s, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("._-", c) >= 0 })
}

// isTailscaleUserID: "u" and a number of at most 20 digits.
func isTailscaleUserID(s string) bool {
	return len(s) >= 2 && len(s) <= maxTailscaleIDBytes && s[0] == 'u' && s[1] != '0' && consists(s[1:], isDigit)
}

// isUUID: 8-4-4-4-12 digits in lower case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isLowerHex(s[i]) {
				return false
			}
		}
	}
	return true
}

const whitespace = "\t\n\f\r "

// isSCPAddress: user@host:path, where path does not start with "//" or "-", and host has
// no "/" and may be an IPv6 address in brackets: what git itself takes for ssh
// (git-clone(1), "Git URLs").
func isSCPAddress(s string) bool {
	user, rest, ok := strings.Cut(s, "@")
	if !ok || user == "" || !isAlphanumeric(user[0]) && user[0] != '_' ||
		!consists(user, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("._-", c) >= 0 }) {
		return false
	}
	var host, path string
	if strings.HasPrefix(rest, "[") {
		if host, path, ok = strings.Cut(rest[1:], "]:"); !ok || host == "" || !consists(host, isIPv6Byte) {
			return false
		}
	} else {
		if host, path, ok = strings.Cut(rest, ":"); !ok || host == "" || !isAlphanumeric(host[0]) ||
			!consists(host, func(c byte) bool { return isAlphanumeric(c) || c == '.' || c == '-' }) {
			return false
		}
	}
	if path == "" || path == "/" || path[0] == '-' || strings.HasPrefix(path, "//") {
		return false
	}
	return !strings.ContainsAny(path, whitespace)
}

func isIPv6Byte(c byte) bool { return isLowerHex(c) || 'A' <= c && c <= 'F' || c == ':' || c == '.' }

// authorityEnds are the bytes that end a URL's authority, or the URL.
const authorityEnds = whitespace + `"'<>/?#`

// afterScheme is where the authority of a web address begins, of which all before the
// '@' may be a credential. at is that of "://".
func afterScheme(text string, at int) (start int, ok bool) {
	for _, scheme := range []string{"https", "http", "ftp"} {
		begin := at - len(scheme)
		if begin < 0 || !strings.EqualFold(text[begin:at], scheme) {
			continue
		}
		word := begin > 0 && (isAlphanumeric(text[begin-1]) || text[begin-1] == '_')
		return at + len("://"), !word
	}
	return 0, false
}

// afterUser is where what follows a user's name and a colon begins. at is that of "://".
func afterUser(text string, at int) (start int, ok bool) {
	start = at + len("://")
	end := strings.IndexAny(text[start:], authorityEnds+"@:")
	if end < 0 || text[start+end] != ':' {
		return 0, false
	}
	return start + end + 1, true
}

// withoutCredentials puts "…" in the place of what stands before the last '@' of an
// authority, from where begin says.
func withoutCredentials(text string, begin func(text string, at int) (start int, ok bool)) string {
	var out strings.Builder
	copied := 0
	for at := 0; ; {
		i := strings.Index(text[at:], "://")
		if i < 0 {
			break
		}
		i += at
		at = i + len("://")
		start, ok := begin(text, i)
		if !ok {
			continue
		}
		run := text[start:]
		if end := strings.IndexAny(run, authorityEnds); end >= 0 {
			run = run[:end]
		}
		if last := strings.LastIndexByte(run, '@'); last >= 0 {
			out.WriteString(text[copied:start])
			out.WriteString("…@")
			copied = start + last + 1
			at = copied
		}
	}
	out.WriteString(text[copied:])
	return out.String()
}
