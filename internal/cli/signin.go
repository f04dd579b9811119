package cli

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/settings"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/token"
)

// settings are the user's and the machine's; the files are read at first use.
func (a *app) settings() (*settings.Settings, error) {
	if a.known != nil {
		return a.known, nil
	}
	file, err := a.configPath()
	if err != nil {
		return nil, err
	}
	a.known = settings.New(settings.Config{
		Env: environ.Lookup(a.env.LookupEnv), UserFile: file, SystemFile: a.env.SystemConfig, Flag: a.flags.server,
		SignedIn: func() string {
			in, _ := a.readSignIn()
			return in.Server
		},
	})
	return a.known, nil
}

func (a *app) configPath() (string, error) {
	dir, err := a.env.configDir()
	return filepath.Join(dir, settings.FileName), err
}

func (a *app) setting(name string) (settings.Value, error) {
	s, err := a.settings()
	if err != nil {
		return settings.Value{}, err
	}
	return s.Get(name)
}

func (a *app) value(name string) (string, error) {
	s, err := a.setting(name)
	return s.Value, err
}

// client makes a client of the configured server; token may be empty.
func (a *app) client(server, tok string) (*client.Client, error) {
	return client.New(client.Config{Server: server, Token: tok, UserAgent: "leger/" + a.env.Version})
}

// clientOf makes a client that asks a server as whoever is signed in.
func (a *app) clientOf(server string, in signin.SignIn) (*client.Client, error) {
	cfg := client.Config{Server: server, Token: in.Token, UserAgent: "leger/" + a.env.Version}
	if in.MachineID != "" {
		cfg.Sign = a.tokens(in).Token
	}
	return client.New(cfg)
}

// tokens signs with the machine's own key.
func (a *app) tokens(in signin.SignIn) *signin.Tokens {
	return &signin.Tokens{In: in, Now: a.env.Now, Random: a.env.Random, Version: a.env.Version}
}

func (a *app) signInFile() (signin.File, error) {
	dir, err := a.env.dataDir()
	return signin.File(filepath.Join(dir, signin.FileName)), err
}

// readSignIn gives the sign-in, ended or not.
func (a *app) readSignIn() (signin.SignIn, error) {
	file, err := a.signInFile()
	if err != nil {
		return signin.SignIn{}, err
	}
	return file.Read()
}

// signedIn gives the sign-in and a client for it.
func (a *app) signedIn() (signin.SignIn, *client.Client, error) {
	in, err := a.readSignIn()
	if err != nil {
		return signin.SignIn{}, nil, err
	}
	server, err := a.value(settings.Server)
	if err != nil {
		return signin.SignIn{}, nil, err
	}
	c, err := a.clientOf(server, in)
	if err != nil {
		return signin.SignIn{}, nil, err
	}
	if err := in.Holds(c.Server(), a.env.Now()); err != nil {
		return signin.SignIn{}, nil, err
	}
	return in, c, nil
}

func (a *app) sharedSecretSource() (environ.Source, error) {
	s, err := a.settings()
	if err != nil {
		return environ.Source{}, err
	}
	return signin.SharedSecretSource(environ.Lookup(a.env.LookupEnv), s)
}

func (a *app) sharedSecret() (token.Secret, error) {
	s, err := a.settings()
	if err != nil {
		return token.Secret{}, err
	}
	return signin.SharedSecret(environ.Lookup(a.env.LookupEnv), s)
}

// signer makes tokens with the shared secret.
func (a *app) signer(secret token.Secret) signin.Signer {
	return signin.Signer{Secret: secret, Now: a.env.Now, Random: a.env.Random, Version: a.env.Version, Client: a.client}
}

// acceptedMethods gives the ways to sign in that the server of a sign-in accepts
// now, none when it does not answer. asked is what it said about the sign-in: one that
// it refuses is the error to show, unless this leger could not sign in again either.
func (a *app) acceptedMethods(ctx context.Context, in signin.SignIn, c *client.Client, asked error) ([]leger.SignInMethod, error) {
	refused := errors.Is(asked, leger.ErrInvalidToken)
	if asked != nil && !refused {
		return nil, nil
	}
	accepted, _, err := c.AuthMethods(ctx)
	switch {
	case errors.Is(err, leger.ErrInterrupted):
		return nil, err
	case refused && err == nil:
		if _, err := signin.Choose(in.Server, accepted); err != nil {
			return nil, err
		}
		return nil, asked
	case refused:
		return nil, asked
	case err != nil:
		a.detail("the ways to sign in at %s are not known: %v", in.Server, err)
	case !slices.Contains(accepted, in.Method):
		a.warn("you signed in by %s, which %s no longer accepts: when this sign-in ends, sign in by %s",
			in.Method, in.Server, signin.Words(accepted))
	}
	return accepted, nil
}
