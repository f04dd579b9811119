package signin

import (
	"net/url"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

// Choose gives the way to sign in that the server prefers, of those that it accepts
// and that this version of leger knows. CodeForbidden when there is none.
func Choose(server string, accepted []leger.SignInMethod) (leger.SignInMethod, error) {
	if i := slices.IndexFunc(accepted, known); i >= 0 {
		return accepted[i], nil
	}
	if len(accepted) == 0 {
		return "", leger.Errorf(leger.CodeForbidden, "%s accepts no way to sign in", server).
			WithHint("whoever runs the server decides which ways it accepts")
	}
	return "", leger.Errorf(leger.CodeForbidden,
		"%s asks you to sign in by %s, which this version of leger does not know", server, Words(accepted)).
		WithHint("update leger: the server may be newer")
}

// CheckName compares the address by which this machine knows a server with the origin
// that the server goes by, "" if it does not say. CodeInvalid when they differ: tokens
// name the server that they are for, and it would refuse them. A loopback address is
// always the server's.
func CheckName(server, origin string) error {
	own, err := token.Origin(server)
	if err != nil {
		return err
	}
	u, err := url.Parse(own)
	if err != nil || origin == "" || own == origin || token.LoopbackOrigin(u.Host) != "" {
		return nil //nolint:nilerr // Origin gives what Parse takes
	}
	return leger.Invalid("server", "the server at %s calls itself %q, and takes no sign-in under another name", own, origin).
		WithHint("sign in under its own name, or tell the server that it has this one: leger-server --public-url %s", own)
}

// known is by which one can begin: a machine's own key by a code, an invitation, or
// Tailscale's word.
func known(m leger.SignInMethod) bool {
	return m == leger.SignInTailnet || m == leger.SignInMachine || m == leger.SignInSharedSecret
}

// Words lists ways to sign in, in words.
func Words(methods []leger.SignInMethod) string {
	names := make([]string, 0, len(methods))
	for _, m := range methods {
		names = append(names, string(m))
	}
	return strings.Join(names, " or ")
}
