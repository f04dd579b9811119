package cloudflare_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/cloudflare"
)

// away is a platform that does not answer.
type away struct{}

func (away) Do(context.Context, cloudflare.Operation) ([]byte, error) {
	return nil, errors.New("the connection was lost")
}

// D1 does not tell a condition that does not hold from trouble: with the database away,
// deleting the account said that there was none.
func TestDatabaseThatIsAwayDecidesNothing(t *testing.T) {
	t.Parallel()
	s := cloudflare.NewStore(away{}, time.Now, slog.New(slog.DiscardHandler))
	ctx, id, now := t.Context(), leger.LocalIdentity("alice@localhost"), time.Now()
	user, event := id.UserID(), leger.AuditEvent{At: now, User: id.UserID()}
	name, err := leger.ParseSecretName("key")
	if err != nil {
		t.Fatal(err)
	}
	m := leger.Machine{ID: "7d444840-9dc0-41d1-b245-5ffdce74fad2", User: user, Name: "box"}
	first := func(_ any, err error) error { return err }
	for what, do := range map[string]func() error{
		"sign in":             func() error { _, _, err := s.SignIn(ctx, leger.SignIn{Identity: id, At: now}, nil); return err },
		"delete the account":  func() error { return s.DeleteUser(ctx, user, event) },
		"rename the account":  func() error { return first(s.SetDisplayName(ctx, user, "Alice", event)) },
		"sign out everywhere": func() error { return first(s.SignOutEverywhere(ctx, user, "", now, event)) },
		"end a session":       func() error { return s.DeleteSession(ctx, user, m.ID, event) },
		"spend a token":       func() error { return s.SpendToken(ctx, m.ID, now) },
		"write secrets":       func() error { return s.PutSecrets(ctx, writes(t, user, 0, "one")) },
		"delete a secret":     func() error { return s.DeleteSecret(ctx, user, name, 0, event) },
		"delete a release":    func() error { return s.DeleteRelease(ctx, user, m.ID, 0, event) },
		"enrol a machine":     func() error { _, _, err := s.EnrolMachine(ctx, m, event); return err },
		"change a machine":    func() error { return first(s.ChangeMachine(ctx, user, m.ID, leger.MachineChange{}, event)) },
		"revoke a machine":    func() error { return s.RevokeMachine(ctx, user, m.ID, event) },
		"ask to enrol":        func() error { return s.AskToEnrol(ctx, leger.Enrolment{Machine: m, ExpiresAt: now}) },
		"look a code up":      func() error { return first(s.Enrolment(ctx, user, leger.EnrolmentCode{}, now)) },
		"approve":             func() error { return first(s.ApproveEnrolment(ctx, leger.EnrolmentCode{}, m, event)) },
		"deny":                func() error { return s.DenyEnrolment(ctx, leger.EnrolmentCode{}, event) },
		"invite":              func() error { return s.Invite(ctx, leger.Invitation{ID: m.ID, User: user, ExpiresAt: now}, event) },
		"invite an owner": func() error {
			return first(s.InviteOwner(ctx, id, leger.Invitation{ID: m.ID, User: user, ExpiresAt: now}, event))
		},
		"operator's ticket": func() error { return s.OperatorTicket(ctx, "hash", now) },
		"seal anew":         func() error { return s.Reseal(ctx, make([]leger.ResealedSecret, 1)) },
		"tell of a new key": func() error { return first(s.TellRekey(ctx, "key2", event)) },
		"accept":            func() error { return first(s.AcceptInvitation(ctx, leger.Invitation{ID: m.ID, User: user}, m, event)) },
		"withdraw":          func() error { return s.WithdrawInvitation(ctx, user, m.ID, event) },
		"forget a host":     func() error { return s.ForgetHost(ctx, user, m.ID, event) },
	} {
		if err := do(); !errors.Is(err, leger.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// writes is one batch of three secrets.
func writes(t *testing.T, user leger.UserID, expect leger.Version, value string) []leger.SecretWrite {
	t.Helper()
	list := make([]leger.SecretWrite, 3)
	for i := range list {
		name, err := leger.ParseSecretName(fmt.Sprintf("secret_%d", i))
		if err != nil {
			t.Fatal(err)
		}
		id, err := leger.NewID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		list[i] = leger.SecretWrite{
			Expect: expect,
			Sealed: leger.SealedSecret{
				SecretInfo: leger.SecretInfo{ID: id, User: user, Name: name, Version: expect + 1, CreatedAt: time.Now(), UpdatedAt: time.Now()},
				Ciphertext: []byte(value), Nonce: []byte("nonce-of-12-"), EncryptionVersion: 1, KeyID: "key1",
			},
			Audit: leger.AuditEvent{At: time.Now(), User: user, Action: leger.ActionSecretCreate, Subject: name.String()},
		}
	}
	return list
}
