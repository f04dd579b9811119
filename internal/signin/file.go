// Package signin keeps who is signed in on this machine, and where: auth.json. It
// makes the tokens of a sign-in, and lets the server check them.
package signin

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
)

// FileName is the sign-in's name in the user's data directory.
const FileName = "auth.json"

// SignIn is auth.json: who is signed in where, and with what.
type SignIn struct {
	Server          string       `json:"server"`
	Token           string       `json:"token,omitempty"` // made with the shared secret; empty: Key signs
	UserUUID        leger.UserID `json:"user_uuid"`
	Email           string       `json:"email"`
	Tailnet         string       `json:"tailnet"`
	TailscaleUserID string       `json:"tailscale_user_id"`
	DeviceID        string       `json:"device_id,omitempty"`
	Local           bool         `json:"local_identity,omitempty"` // not vouched for by Tailscale
	// Method is how it was signed in; Read fills it in for files from before there
	// was a choice.
	Method    leger.SignInMethod `json:"method,omitempty"`
	IssuedAt  time.Time          `json:"issued_at"`
	ExpiresAt time.Time          `json:"expires_at,omitzero"` // of Token
	// MachineID and Key are the machine's, where the server knows it by a key of its
	// own. They are in this file so that a crash leaves both or neither.
	MachineID string `json:"machine_id,omitempty"`
	// EnrolledBy is how the machine got the key; only the shared secret and Tailscale's
	// word go with the Tailscale identity that is here now.
	EnrolledBy leger.SignInMethod `json:"enrolled_by,omitempty"`
	Key        PrivateKey         `json:"machine_key,omitzero"`
	// Role is what an enrolment just now made of the machine; it is not kept, since its
	// owner may change it.
	Role leger.MachineRole `json:"-"`
}

// Who names the user as people read it: the e-mail, and who vouches for it.
func (s SignIn) Who() string {
	if s.Local {
		return s.Email + " (local identity, not vouched for by Tailscale)"
	}
	return s.Email + " on " + s.Tailnet
}

// Holds checks that the sign-in is one at this server and has not ended.
// CodeInvalidToken, with what to do, when it is not: a token is only ever sent to
// the server it was made for.
func (s SignIn) Holds(server string, now time.Time) error {
	if server != s.Server {
		return leger.Errorf(leger.CodeInvalidToken, "you are signed in at %s, not at %s", s.Server, server).
			WithHint("leger auth login --server %s", server)
	}
	if s.Ended(now) {
		return notSignedIn("your sign-in ended on %s", s.ExpiresAt.Local().Format("2 January 2006 at 15:04"))
	}
	return nil
}

// Ended reports whether the sign-in is past its end. A machine with a key of its own
// is signed in until it is revoked.
func (s SignIn) Ended(now time.Time) bool { return s.MachineID == "" && !s.ExpiresAt.After(now) }

// notSignedIn is the one error of every command that needs a sign-in.
func notSignedIn(format string, args ...any) *leger.Error {
	return leger.Errorf(leger.CodeInvalidToken, format, args...).WithHint("leger auth login")
}

// File is the file that keeps a sign-in, by its path.
type File string

// Read gives the sign-in, ended or not. CodeInvalidToken when there is none or it is
// damaged, CodeInvalid when others may read it.
func (f File) Read() (SignIn, error) {
	b, err := os.ReadFile(string(f))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return SignIn{}, notSignedIn("you are not signed in on this machine")
	case err != nil:
		return SignIn{}, leger.WrapFile(leger.CodeInvalidToken, err, "read %s", f).WithHint("leger auth login")
	}
	if err := onlyOwner(string(f)); err != nil {
		return SignIn{}, err
	}
	var s SignIn
	if json.Unmarshal(b, &s) != nil || s.Server == "" || s.UserUUID.IsZero() ||
		(s.Token == "" && (s.MachineID == "" || s.Key.IsZero())) {
		return SignIn{}, notSignedIn("%s is damaged", f)
	}
	if s.Method == "" {
		s.Method = leger.SignInSharedSecret
	}
	return s, nil
}

// Write replaces the sign-in. CodeDisk when it cannot be written: the former one is
// then still there.
func (f File) Write(s SignIn) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "encode the sign-in")
	}
	if err := safefile.Write(string(f), append(b, '\n'), 0o600); err != nil {
		return leger.WrapFile(leger.CodeDisk, err, "write %s", f).
			WithHint("check that the disk has room and that you may write there")
	}
	return nil
}

// Remove deletes the sign-in and reports whether there was one. CodeDisk when it
// cannot be deleted.
func (f File) Remove() (bool, error) {
	switch err := os.Remove(string(f)); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, leger.WrapFile(leger.CodeDisk, err, "delete %s", f)
	}
	return true, nil
}

// onlyOwner refuses a file that others may read or change.
func onlyOwner(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return leger.WrapFile(leger.CodeInvalid, err, "read %s", file)
	case !info.Mode().IsRegular():
		return leger.Errorf(leger.CodeInvalid, "%s is not a file", file)
	}
	return safefile.CheckInfo(file, info, safefile.Hides)
}
