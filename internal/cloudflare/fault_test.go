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

// failing loses one operation: it never reaches the platform, or its answer never
// comes back.
type failing struct {
	cloudflare.Bindings
	at     int // counts down; the operation at 0 is lost
	answer bool
}

func (f *failing) Do(ctx context.Context, op cloudflare.Operation) ([]byte, error) {
	f.at--
	if f.at+1 != 0 {
		return f.Bindings.Do(ctx, op)
	}
	if f.answer {
		if _, err := f.Bindings.Do(ctx, op); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the connection was lost")
}

// TestPlatformFailsInTheMiddle loses every operation of a write in turn, before and
// after it was done. A write that was answered with nil is there; of any other, all
// or nothing is there, KV tells no other story, and the next write goes on.
func TestPlatformFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	w := startOperations(t)
	ctx := t.Context()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	lost := 0
	for number := range stores {
		b := &remote{url: w.Direct, number: number}
		b.migrate(t)
		whole := cloudflare.NewStore(b, time.Now, log)
		alice := leger.LocalIdentity("alice@localhost")
		u, _, err := whole.SignIn(ctx, leger.SignIn{Identity: alice, At: time.Now()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		breaking := &failing{Bindings: b, at: number / 2, answer: number%2 == 1}
		err = cloudflare.NewStore(breaking, time.Now, log).PutSecrets(ctx, writes(t, u.ID, 0, "one"))
		if breaking.at >= 0 { // nothing was left to lose
			if err != nil || lost == 0 {
				t.Errorf("a write with nothing lost, after %d that lost something: %v", lost, err)
			}
			return
		}
		lost++
		got, readErr := whole.SealedSecrets(ctx, u.ID, nil)
		if readErr != nil || (len(got) != 0 && len(got) != 3) || (err == nil && len(got) != 3) {
			t.Errorf("operation %d lost, done: %t: the write gave %v, and %d of 3 secrets are there; %v", number/2, breaking.answer, err, len(got), readErr)
		}
		if err != nil && !errors.Is(err, leger.ErrUnavailable) {
			t.Errorf("operation %d lost: %v", number/2, err)
		}
		next := leger.Version(0)
		if len(got) == 3 {
			next = 1
		}
		if err := whole.PutSecrets(ctx, writes(t, u.ID, next, "two")); err != nil {
			t.Errorf("operation %d lost: the next write: %v", number/2, err)
		}
	}
	t.Fatalf("a write takes more than %d operations", stores/2)
}
