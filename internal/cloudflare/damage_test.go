package cloudflare_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/cloudflare"
)

// noRows answers every read with no rows.
type noRows struct{}

func (noRows) Do(context.Context, cloudflare.Operation) ([]byte, error) {
	return append([]byte{1}, make([]byte, 8)...), nil // the number of columns: 0
}

// What to do about damage is another command here than beside a database of one's
// own: there is no leger-server that could put a backup back.
func TestDamageOnD1NamesTimeTravel(t *testing.T) {
	t.Parallel()
	s := cloudflare.NewStore(noRows{}, time.Now, slog.New(slog.DiscardHandler))
	_, err := s.Installation(t.Context())
	var damage *leger.Error
	if !errors.Is(err, leger.ErrInternal) || !errors.As(err, &damage) {
		t.Fatalf("a database without its installation: %v", err)
	}
	if !strings.Contains(damage.Hint, "wrangler d1 time-travel restore leger-db") || strings.Contains(damage.Hint, "leger-server") {
		t.Errorf("the hint is %q", damage.Hint)
	}
}
