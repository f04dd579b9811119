package main

import (
	"fmt"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

// loginLink prints a link that signs a browser in, once, within 2 minutes. Who
// can run it can read the server's keys anyway.
func (p program) loginLink(args []string) error {
	set := p.flags("login-link")
	listen, data, publicURL, rate := settingFlags(set)
	email := set.String("email", "", "")
	user := set.String("tailscale-user-id", "", "")
	tailnet := set.String("tailnet", "", "")
	if err := p.parse(set, args); err != nil {
		return err
	}
	s, err := p.settings(*listen, *data, *publicURL, *rate)
	if err != nil {
		return err
	}
	if s.publicURL == "" {
		return leger.Invalid("public-url", "login-link needs the server's address: --public-url https://…").
			WithHint("on the tailnet a browser signs in without a link: open that address")
	}
	if !slices.Contains(s.auth, leger.SignInSharedSecret) {
		return leger.Errorf(leger.CodeForbidden, "this server takes no links made with the shared secret (LEGER_AUTH)").
			WithHint("open %s on a device of your tailnet", s.publicURL)
	}
	if *email == "" {
		return leger.Invalid("email", "login-link needs --email ADDRESS").WithHint("leger-server --help")
	}
	id := leger.LocalIdentity(*email)
	if *user != "" {
		if id.TailscaleUserID, err = leger.ParseTailscaleUserID(*user); err != nil {
			return err
		}
		id.Tailnet = *tailnet
	} else if *tailnet != "" {
		id.Tailnet = *tailnet
	}
	if err := id.Validate(); err != nil {
		return err
	}
	secret, err := p.sharedSecret(s.data)
	if err != nil {
		return err
	}
	origin, err := token.Origin(s.publicURL)
	if err != nil {
		return err
	}
	claims, err := token.New(p.now(), p.random, id, token.IssuerServer, origin, true, "")
	if err != nil {
		return err
	}
	text, err := token.Sign(secret, claims)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s/auth?token=%s\n", s.publicURL, text)
	return err
}
