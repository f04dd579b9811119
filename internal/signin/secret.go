package signin

import (
	"context"
	"errors"
	"io"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/settings"
	"leger.run/leger/internal/token"
)

// SharedSecretSource tells where the secret that this installation shares with its
// server is: in the environment, else in the file of the settings. From is "" when it
// is configured nowhere.
func SharedSecretSource(env environ.Lookup, s *settings.Settings) (environ.Source, error) {
	src, err := env.Find("LEGER_SHARED_SECRET")
	if err != nil || src.From != "" {
		return src, err
	}
	file, err := s.Path(settings.SharedSecretFile)
	if err != nil || file.Value == "" {
		return environ.Source{}, err
	}
	return environ.Source{From: file.From, File: file.Value}, nil
}

// SharedSecret reads the installation's secret, without one trailing newline.
// CodeInvalid when there is none, when it is too short, or when others may read its file.
func SharedSecret(env environ.Lookup, s *settings.Settings) (token.Secret, error) {
	src, err := SharedSecretSource(env, s)
	switch {
	case err != nil:
		return token.Secret{}, err
	case src.From == "":
		return token.Secret{}, leger.Errorf(leger.CodeInvalid, "no shared secret is configured, and it is what the server knows you by").
			WithHint("copy the server's jwt.secret into a file only you can read, then: leger config set auth.shared_secret_file FILE")
	case src.File != "" && !src.Credential: // systemd guards its credentials
		if err := onlyOwner(src.File); err != nil {
			return token.Secret{}, err
		}
	}
	text, err := src.ReadSecret()
	if err != nil {
		return token.Secret{}, err
	}
	return token.ParseSecret([]byte(text))
}

// Signer makes tokens with the shared secret.
type Signer struct {
	Secret  token.Secret
	Now     func() time.Time
	Random  io.Reader // cryptographically secure
	Version string    // of this program
	// Client makes a client of a server, with a token.
	Client func(server, token string) (*client.Client, error)
}

// Link makes the token of a link that signs a browser in at a server, once.
func (s Signer) Link(server string, id leger.Identity) (text string, expires time.Time, err error) {
	text, claims, err := s.sign(server, id, true, false)
	return text, claims.ExpiresAt, err
}

func (s Signer) sign(server string, id leger.Identity, link, brief bool) (string, token.Claims, error) {
	origin, err := token.Origin(server)
	if err != nil {
		return "", token.Claims{}, err
	}
	claims, err := token.New(s.Now(), s.Random, id, token.IssuerCLI, origin, link, s.Version)
	if err != nil {
		return "", claims, err
	}
	if brief {
		claims.ExpiresAt = claims.IssuedAt.Add(token.MachineLifetime)
	}
	text, err := token.Sign(s.Secret, claims)
	return text, claims, err
}

// In makes the token of a sign-in at a server, and lets the server check it. brief:
// the token is only needed to enrol the machine, and lives as long as a machine's own.
// CodeInvalidToken when the server refuses it or takes the user for another one.
func (s Signer) In(ctx context.Context, server string, id leger.Identity, brief bool) (SignIn, error) {
	text, claims, err := s.sign(server, id, false, brief)
	if err != nil {
		return SignIn{}, err
	}
	c, err := s.Client(server, text)
	if err != nil {
		return SignIn{}, err
	}
	user, err := c.Validate(ctx)
	if err != nil {
		return SignIn{}, err
	}
	if user.UserUUID != id.UserID() {
		return SignIn{}, leger.Errorf(leger.CodeInvalidToken, "%s takes you for another user than you are", server).
			WithHint("is this the address of your own server? leger config get server")
	}
	return SignIn{
		Server: server, Token: text, UserUUID: user.UserUUID, Email: id.Email, Tailnet: id.Tailnet,
		TailscaleUserID: id.TailscaleUserID.String(), DeviceID: id.DeviceID, Method: leger.SignInSharedSecret,
		IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt,
	}, nil
}

// ErrNotTried says why a shared secret was not tried at the server.
var ErrNotTried = errors.New("you are not signed in")

// Try asks the server of a sign-in whether it takes a token made with the secret.
// ErrInvalidToken: it does not. ErrNotTried: the sign-in names no Tailscale user.
func (s Signer) Try(ctx context.Context, in SignIn) error {
	user, err := leger.ParseTailscaleUserID(in.TailscaleUserID)
	if err != nil {
		return ErrNotTried
	}
	id := leger.Identity{TailscaleUserID: user, Email: in.Email, Tailnet: in.Tailnet, DeviceID: in.DeviceID}
	text, _, err := s.sign(in.Server, id, false, false)
	if err != nil {
		return err
	}
	c, err := s.Client(in.Server, text)
	if err != nil {
		return err
	}
	_, err = c.User(ctx)
	return err
}
