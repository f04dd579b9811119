package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/client"
)

// signInMethod asks the server how one signs in there, and gives the way it prefers
// of those that this version of leger knows. CodeForbidden when there is none.
func (a *app) signInMethod(ctx context.Context, c *client.Client) (leger.SignInMethod, error) {
	accepted, err := c.AuthMethods(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range accepted {
		if knownMethod(m) {
			return m, nil
		}
	}
	return "", unknownMethods(c.Server(), accepted)
}

func knownMethod(m leger.SignInMethod) bool { return m == leger.SignInSharedSecret }

// unknownMethods is the error of a server that accepts nothing this leger can do.
func unknownMethods(server string, accepted []leger.SignInMethod) error {
	if len(accepted) == 0 {
		return leger.Errorf(leger.CodeForbidden, "%s accepts no way to sign in", server).
			WithHint("whoever runs the server decides which ways it accepts")
	}
	return leger.Errorf(leger.CodeForbidden,
		"%s asks you to sign in by %s, which this version of leger does not know", server, methodList(accepted)).
		WithHint("update leger: the server may be newer")
}

func methodList(methods []leger.SignInMethod) string {
	names := make([]string, 0, len(methods))
	for _, m := range methods {
		names = append(names, string(m))
	}
	return strings.Join(names, " or ")
}

// acceptedMethods gives the ways to sign in that the server of the sign-in f accepts
// now, none when it does not answer. asked is what it said about f: one that it
// refuses is the error to show, unless this leger could not sign in again either.
func (a *app) acceptedMethods(ctx context.Context, f authFile, c *client.Client, asked error) ([]leger.SignInMethod, error) {
	refused := errors.Is(asked, leger.ErrInvalidToken)
	if asked != nil && !refused {
		return nil, nil
	}
	accepted, err := c.AuthMethods(ctx)
	switch {
	case errors.Is(err, leger.ErrInterrupted):
		return nil, err
	case refused && err == nil && !slices.ContainsFunc(accepted, knownMethod):
		return nil, unknownMethods(f.Server, accepted)
	case refused:
		return nil, asked
	case err != nil:
		a.detail("the ways to sign in at %s are not known: %v", f.Server, err)
	case !slices.Contains(accepted, f.method()):
		a.warn("you signed in by %s, which %s no longer accepts: when this sign-in ends, sign in by %s",
			f.method(), f.Server, methodList(accepted))
	}
	return accepted, nil
}
