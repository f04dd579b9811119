package signin

import (
	"slices"
	"strings"

	"leger.run/leger"
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

// known is by which one can begin: a machine's own key by a code or an invitation.
func known(m leger.SignInMethod) bool {
	return m == leger.SignInMachine || m == leger.SignInSharedSecret
}

// Words lists ways to sign in, in words.
func Words(methods []leger.SignInMethod) string {
	names := make([]string, 0, len(methods))
	for _, m := range methods {
		names = append(names, string(m))
	}
	return strings.Join(names, " or ")
}
