package cli

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/safefile"
)

const authName = "auth.json"

// authFile is auth.json: who is signed in where, and with what.
type authFile struct {
	Server          string       `json:"server"`
	Token           string       `json:"token"`
	UserUUID        leger.UserID `json:"user_uuid"`
	Email           string       `json:"email"`
	Tailnet         string       `json:"tailnet"`
	TailscaleUserID string       `json:"tailscale_user_id"`
	DeviceID        string       `json:"device_id,omitempty"`
	Local           bool         `json:"local_identity,omitempty"` // not vouched for by Tailscale
	// Method is how it was signed in; files from before there was a choice lack it.
	Method    leger.SignInMethod `json:"method,omitempty"`
	IssuedAt  time.Time          `json:"issued_at"`
	ExpiresAt time.Time          `json:"expires_at"`
}

func (f authFile) method() leger.SignInMethod {
	if f.Method == "" {
		return leger.SignInSharedSecret
	}
	return f.Method
}

func (a *app) authPath() (string, error) {
	dir, err := a.env.dataDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, authName), nil
}

// notSignedIn is the one error of every command that needs a sign-in.
func notSignedIn(format string, args ...any) *leger.Error {
	return leger.Errorf(leger.CodeInvalidToken, format, args...).WithHint("leger auth login")
}

// readAuth reads auth.json, expired or not.
func (a *app) readAuth() (authFile, error) {
	path, err := a.authPath()
	if err != nil {
		return authFile{}, err
	}
	b, err := os.ReadFile(path) //nolint:gosec // the user's own file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return authFile{}, notSignedIn("you are not signed in on this machine")
	case err != nil:
		return authFile{}, leger.WrapFile(leger.CodeInvalidToken, err, "read %s", path).WithHint("leger auth login")
	}
	if err := onlyOwner(path); err != nil {
		return authFile{}, err
	}
	var f authFile
	if json.Unmarshal(b, &f) != nil || f.Token == "" || f.Server == "" || f.UserUUID.IsZero() {
		return authFile{}, notSignedIn("%s is damaged", path)
	}
	return f, nil
}

func (a *app) writeAuth(f authFile) error {
	path, err := a.authPath()
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "encode the sign-in")
	}
	if err := safefile.Write(path, append(b, '\n'), 0o600); err != nil {
		return leger.WrapFile(leger.CodeDisk, err, "write %s", path).
			WithHint("is there room, and may you write there?")
	}
	return nil
}

// signedIn gives the sign-in and a client for it. A token is only ever sent to
// the server it was made for.
func (a *app) signedIn() (authFile, *client.Client, error) {
	f, err := a.readAuth()
	if err != nil {
		return authFile{}, nil, err
	}
	server, err := a.value("server")
	if err != nil {
		return authFile{}, nil, err
	}
	c, err := a.client(server, f.Token)
	if err != nil {
		return authFile{}, nil, err
	}
	if c.Server() != f.Server {
		return authFile{}, nil, leger.Errorf(leger.CodeInvalidToken, "you are signed in at %s, not at %s", f.Server, c.Server()).
			WithHint("leger auth login --server %s", c.Server())
	}
	if !f.ExpiresAt.After(a.env.Now()) {
		return authFile{}, nil, notSignedIn("your sign-in ended on %s", f.ExpiresAt.Local().Format("2 January 2006 at 15:04"))
	}
	return f, c, nil
}
