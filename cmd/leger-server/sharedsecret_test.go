package main_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/killtest"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/wire"
)

// caller makes tokens of one person, for whichever server.
type caller struct {
	id     leger.Identity
	secret token.Secret
}

// holder is who has the shared secret that a data directory has now, at a device.
func holder(t *testing.T, data, email, device string) caller {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(data, "jwt.secret"))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := token.ParseSecret(bytes.TrimSpace(raw))
	if err != nil {
		t.Fatal(err)
	}
	id := leger.LocalIdentity(email)
	id.DeviceID = device
	return caller{id, secret}
}

func (c caller) at(t *testing.T, s *server) *client.Client {
	t.Helper()
	claims, err := token.New(time.Now(), rand.Reader, c.id, token.IssuerCLI, s.url, false, "test")
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.Sign(c.secret, claims)
	if err != nil {
		t.Fatal(err)
	}
	return clientWith(t, client.Config{Server: s.url, Token: text})
}

func clientWith(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signs reports whether a client is let in.
func signs(t *testing.T, c *client.Client) bool {
	t.Helper()
	_, err := c.Validate(t.Context())
	if err != nil && !errors.Is(err, leger.ErrInvalidToken) {
		t.Fatal(err)
	}
	return err == nil
}

// enrol gives the device a key, and what makes clients that sign with it.
func (c caller) enrol(t *testing.T, s *server) func(*server) *client.Client {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.at(t, s).EnrolMachine(t.Context(), wire.MachineEnrolment{
		Name: c.id.DeviceID, UnixUser: "u", DeviceID: c.id.DeviceID, PublicKey: leger.MachineKeyOf(private).String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(s *server) *client.Client {
		return clientWith(t, client.Config{Server: s.url, Sign: func() (string, error) {
			claims, err := token.NewMachine(time.Now(), rand.Reader, m.ID, c.id.UserID(), s.url, false, "test")
			if err != nil {
				return "", err
			}
			return token.SignMachine(private, claims)
		}})
	}
}

// rotations counts the accounts' events about the shared secret.
func rotations(t *testing.T, data string) (n int) {
	t.Helper()
	for line := range strings.Lines(succeeds(t, "audit", "export", "--data", data)) {
		if strings.Contains(line, `"key.rotate"`) && strings.Contains(line, `"shared secret"`) {
			n++
		}
	}
	return n
}

// A new shared secret, while the server runs and while it does not: what was made with the
// former one is refused at once and after a restart, browsers are signed out, machines with
// keys go on, and who has none is named.
func TestChangeOfTheSharedSecret(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"), nil)
	for round, running := range []bool{true, false} {
		alice := holder(t, s.data, "alice@example.com", "laptop")
		bob := holder(t, s.data, "bob@example.com", "nokey")
		if !signs(t, alice.at(t, s)) || !signs(t, bob.at(t, s)) {
			t.Fatal("the secret does not sign in")
		}
		set(t, bob.at(t, s), "k", "v")
		machine := alice.enrol(t, s)
		before, cookie := alice.at(t, s), signInBrowser(t, s)
		if !running {
			s.kill()
		}
		out := succeeds(t, "rekey", "--shared-secret", "--data", s.data)
		wantText(t, out, "Made a new shared secret: "+filepath.Join(s.data, "jwt.secret"), "bob@example.com", "nokey", "leger auth login")
		if strings.Contains(out, "laptop") {
			t.Errorf("a machine with a key is named:\n%s", out)
		}
		after := holder(t, s.data, "alice@example.com", "laptop")
		raw, err := os.ReadFile(filepath.Join(s.data, "jwt.secret"))
		if err != nil || strings.Contains(out+s.output(), strings.TrimSpace(string(raw))) {
			t.Errorf("the secret is shown: %v", err)
		}
		if !running {
			s = start(t, s.data, nil)
		} else if signs(t, before) {
			t.Error("a token from before is taken")
		}
		for range 2 {
			if signs(t, alice.at(t, s)) {
				t.Errorf("round %d: the former secret signs in", round)
			}
			if !signs(t, after.at(t, s)) {
				t.Errorf("round %d: the new secret does not sign in", round)
			}
			if _, err := machine(s).Secrets(t.Context()); err != nil {
				t.Errorf("round %d: the machine with a key noticed: %v", round, err)
			}
			if status := s.getUser(cookie); status != http.StatusUnauthorized {
				t.Errorf("round %d: a browser is still signed in: %d", round, status)
			}
			s.kill()
			s = start(t, s.data, nil)
		}
		if n := rotations(t, s.data); n != 2*(round+1) {
			t.Errorf("round %d: %d events for two accounts", round, n)
		}
		if info, err := os.Stat(filepath.Join(s.data, "jwt.secret")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the file is %v, %v", info, err)
		}
	}
	fails(t, 2, nil, []string{"rekey", "--shared-secret", "--forget-old", "--data", s.data}, "hint: ")
	if !auditVerify(t, s.data).Fits {
		t.Error("the audit log does not fit")
	}
}

// A secret that is set outside is the operator's to change.
func TestChangeOfASharedSecretFromOutside(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	start(t, data, []string{"JWT_SECRET=" + strings.Repeat("s", 40)})
	fails(t, 1, nil, []string{"rekey", "--shared-secret", "--data", data},
		"set outside the data directory (JWT_SECRET)", "restart the server", "sign out everywhere")
	if exists(filepath.Join(data, "jwt.secret.new")) {
		t.Error("a secret was made all the same")
	}
}

// A change that was cut after it was decided is finished by the next start.
func TestStartFinishesAChangeOfTheSharedSecret(t *testing.T) {
	t.Parallel()
	s := start(t, filepath.Join(t.TempDir(), "data"), nil)
	former := holder(t, s.data, "alice@example.com", "laptop")
	if !signs(t, former.at(t, s)) {
		t.Fatal("the secret does not sign in")
	}
	s.kill()
	writeKey(t, s.data, "jwt.secret.new", strings.Repeat("n", 64))
	s = start(t, s.data, nil)
	if signs(t, former.at(t, s)) || !signs(t, holder(t, s.data, "alice@example.com", "laptop").at(t, s)) {
		t.Error("the former secret is still the one")
	}
	if exists(filepath.Join(s.data, "jwt.secret.new")) || rotations(t, s.data) != 1 {
		t.Error("the change is not finished")
	}
}

// The server or the command is killed, again and again, while the secret changes. What a
// command has reported holds, and what is in the file is what signs in.
func TestKilledChangeOfTheSharedSecret(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, nil)
	for round := range killtest.Times(t, 8) {
		former := holder(t, data, "alice@example.com", "laptop")
		delay := time.Duration(5+7*(round%8)) * time.Millisecond
		if round%2 == 0 {
			killedAfter(t, delay, "rekey", "--shared-secret", "--data", data)
		} else {
			killed := time.AfterFunc(delay, s.kill)
			err := command(t, nil, "rekey", "--shared-secret", "--data", data).Run()
			killed.Stop()
			s.kill()
			s = start(t, data, nil)
			if err == nil && signs(t, former.at(t, s)) {
				t.Errorf("round %d: reported as done, and the former secret signs in", round)
			}
			if exists(filepath.Join(data, "jwt.secret.new")) {
				t.Errorf("round %d: the change is not finished", round)
			}
		}
		// A server whose command was killed goes on with what it was asked.
		in := false
		for tries := 0; tries < 200 && !in; tries++ {
			in = signs(t, holder(t, data, "alice@example.com", "laptop").at(t, s))
		}
		if !in {
			t.Errorf("round %d: the secret in the file does not sign in", round)
		}
	}
	former := holder(t, data, "alice@example.com", "laptop")
	succeeds(t, "rekey", "--shared-secret", "--data", data)
	if signs(t, former.at(t, s)) || rotations(t, data) == 0 {
		t.Error("the last change did nothing")
	}
}
