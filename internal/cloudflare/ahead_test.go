//go:build e2e

package cloudflare_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/cloudflare"
)

// counting counts what is asked of the platform.
type counting struct {
	cloudflare.Bindings
	asked int
}

func (c *counting) Do(ctx context.Context, op cloudflare.Operation) ([]byte, error) {
	c.asked++
	return c.Bindings.Do(ctx, op)
}

// TestReadAhead: what a request is expected to read comes with its user, in one
// round trip, and is the same as without; whoever asks again gets what is there then.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	w := startOperations(t)
	b := &remote{url: w.Direct}
	b.migrate(t)
	platform := &counting{Bindings: b}
	s := cloudflare.NewStore(platform, time.Now, slog.New(slog.NewTextHandler(t.Output(), nil)))
	u, _, err := s.SignIn(t.Context(), leger.SignIn{Identity: leger.LocalIdentity("alice@localhost"), At: time.Now()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := writes(t, u.ID, 0, "one")
	if err := s.PutSecrets(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	name := list[0].Sealed.Name

	for _, c := range []struct {
		about    string
		expected cloudflare.Expected
		read     func(context.Context) (leger.Version, error)
	}{
		{"the state", cloudflare.ExpectState(name), func(ctx context.Context) (leger.Version, error) {
			states, err := s.SecretStates(ctx, u.ID, []leger.SecretName{name})
			if err != nil {
				return 0, err
			}
			return states[0].Current.Version, nil
		}},
		{"the secret", cloudflare.ExpectSecret(name), func(ctx context.Context) (leger.Version, error) {
			sealed, err := s.SealedSecret(ctx, u.ID, name)
			return sealed.Version, err
		}},
		{"the list", cloudflare.ExpectSecrets, func(ctx context.Context) (leger.Version, error) {
			infos, err := s.Secrets(ctx, u.ID)
			if err != nil {
				return 0, err
			}
			if len(infos) != len(list) {
				t.Errorf("the list has %d secrets, not %d", len(infos), len(list))
			}
			return infos[0].Version, nil
		}},
	} {
		without, err := c.read(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", c.about, err)
		}
		ctx := cloudflare.ReadAhead(t.Context(), c.expected)
		platform.asked = 0
		if who, spent, err := s.TokenUser(ctx, u.ID, "jti"); err != nil || spent || who.ID != u.ID {
			t.Fatalf("%s: the token's user is %v, spent: %t, %v", c.about, who.ID, spent, err)
		}
		if got, err := c.read(ctx); err != nil || got != without || platform.asked != 1 {
			t.Errorf("%s: read ahead: version %d, %v, with %d round trips; without: version %d", c.about, got, err, platform.asked, without)
		}
		if err := s.PutSecrets(t.Context(), writes(t, u.ID, without, "next")); err != nil {
			t.Fatal(err)
		}
		if got, err := c.read(ctx); err != nil || got != without+1 {
			t.Errorf("%s: asked again after a write: version %d, %v", c.about, got, err)
		}
	}
}

// TestReadAheadForNobody: nothing is read before it is known for whom, and a user
// who is not there is told from one who is.
func TestReadAheadForNobody(t *testing.T) {
	t.Parallel()
	w := startOperations(t)
	b := &remote{url: w.Direct}
	b.migrate(t)
	s := cloudflare.NewStore(b, time.Now, slog.New(slog.NewTextHandler(t.Output(), nil)))
	nobody := leger.LocalIdentity("nobody@localhost").UserID()
	ctx := cloudflare.ReadAhead(t.Context(), cloudflare.ExpectSecrets)
	if infos, err := s.Secrets(ctx, nobody); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("without a token: %d secrets, %v; an account that is gone is no empty list", len(infos), err)
	}
	if _, _, err := s.TokenUser(ctx, nobody, "jti"); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("the token of no user gave %v", err)
	}
}
