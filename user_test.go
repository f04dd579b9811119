package leger_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"leger.run/leger"
)

// The value is computed by another implementation of UUIDv5: Python's
//
//	uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "leger.run"), "u123456789")
func TestUserIDIsUUIDv5OfTheTailscaleUser(t *testing.T) {
	t.Parallel()
	id, err := leger.ParseTailscaleUserID("u123456789")
	if err != nil {
		t.Fatal(err)
	}
	const want = "37cb641b-2f1f-556e-b8e7-30c23ffcecdc"
	if got := leger.UserIDOf(id); got.String() != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := (leger.Identity{TailscaleUserID: leger.TailscaleUserIDOf(123456789)}).UserID(); got.String() != want {
		t.Errorf("by its number: %s", got)
	}
}

func TestTailscaleUserIDs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"u1", "u123456789", "u18446744073709551615"} {
		if id, err := leger.ParseTailscaleUserID(good); err != nil || id.String() != good {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "u", "u0", "u01", "1", "U1", "u-1", "u1 ", "u1\n", "ux", "u１", "u" + strings.Repeat("9", 21)} {
		_, err := leger.ParseTailscaleUserID(bad)
		wantInvalid(t, bad, err, "tailscale_user_id")
	}
}

func FuzzParseTailscaleUserID(f *testing.F) {
	f.Add("u123456789")
	f.Add("u0")
	f.Add("u1\n")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := leger.ParseTailscaleUserID(s)
		if err == nil && (id.String() != s || s[0] != 'u' || strings.Trim(s[1:], "0123456789") != "" || len(s) > 21) {
			t.Errorf("%q is a Tailscale user id", s)
		}
	})
}

func TestUserIDs(t *testing.T) {
	t.Parallel()
	const good = "550e8400-e29b-41d4-a716-446655440000"
	if id, err := leger.ParseUserID(good); err != nil || id.String() != good || id.IsZero() {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "x", strings.ToUpper(good), "{" + good + "}", good + "\n", strings.ReplaceAll(good, "-", ""), good[:35], good + "0", "urn:uuid:" + good} {
		id, err := leger.ParseUserID(bad)
		wantInvalid(t, bad, err, "user_uuid")
		if !id.IsZero() {
			t.Errorf("%q: gives %v", bad, id)
		}
	}
}

func FuzzParseUserID(f *testing.F) {
	f.Add("550e8400-e29b-41d4-a716-446655440000")
	f.Add("550E8400-E29B-41D4-A716-446655440000")
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := roundTrip(t, leger.ParseUserID, s); ok && (id.String() != s || !leger.ValidID(s)) {
			t.Errorf("%q is a user id", s)
		}
	})
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	good := leger.Identity{TailscaleUserID: leger.TailscaleUserIDOf(7), Email: "alice@github", Tailnet: "example.ts.net", DeviceID: "nABC"}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for field, change := range map[string]func(*leger.Identity){
		"tailscale_user_id": func(i *leger.Identity) { i.TailscaleUserID = leger.TailscaleUserID{} },
		"email":             func(i *leger.Identity) { i.Email = "" },
		"tailnet":           func(i *leger.Identity) { i.Tailnet = "a\nb" },
		"device_id":         func(i *leger.Identity) { i.DeviceID = strings.Repeat("n", 65) },
	} {
		id := good
		change(&id)
		wantInvalid(t, field, id.Validate(), field)
	}
	for _, bad := range []string{strings.Repeat("a", 321), "a\x1bb", "a\u202eb", "\xff"} {
		id := good
		id.Email = bad
		wantInvalid(t, bad, id.Validate(), "email")
	}
	good.DeviceID = ""
	if err := good.Validate(); err != nil {
		t.Errorf("without a device: %v", err)
	}
}

// Without Tailscale the CLI and the server must come to the same user, and to none
// that Tailscale could know.
func TestLocalIdentity(t *testing.T) {
	t.Parallel()
	alice, again, bob := leger.LocalIdentity("alice@example.com"), leger.LocalIdentity("Alice@Example.COM"), leger.LocalIdentity("bob@example.com")
	if alice.UserID() != again.UserID() || alice.UserID() == bob.UserID() {
		t.Errorf("alice %s, Alice %s, bob %s", alice.UserID(), again.UserID(), bob.UserID())
	}
	if err := alice.Validate(); err != nil || alice.Tailnet != "local" {
		t.Errorf("%+v: %v", alice, err)
	}
	id := alice.TailscaleUserID.String()
	if _, err := leger.ParseTailscaleUserID(id); err != nil || len(id) != 20 || id < "u4611686018427387904" { // 2^62
		t.Errorf("number %s: %v", id, err)
	}
}

func TestDisplayNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"Alice": "Alice", "  Alice B. ": "Alice B.", strings.Repeat("é", 32): strings.Repeat("é", 32), "\tx\n": "x"} {
		if got, err := leger.ParseDisplayName(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", " ", strings.Repeat("é", 33), "a\nb", "a\x00", "a\u202eb", "\xff"} {
		_, err := leger.ParseDisplayName(bad)
		wantInvalid(t, bad, err, "display_name")
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	id, err := leger.NewID(bytes.NewReader(make([]byte, 16)))
	if err != nil || id != "00000000-0000-4000-8000-000000000000" {
		t.Errorf("%s, %v", id, err)
	}
	id, err = leger.NewID(bytes.NewReader(bytes.Repeat([]byte{0xff}, 16)))
	if err != nil || id != "ffffffff-ffff-4fff-bfff-ffffffffffff" || !leger.ValidID(id) {
		t.Errorf("%s, %v", id, err)
	}
	if _, err := leger.NewID(iotest.ErrReader(errors.New("none"))); !errors.Is(err, leger.ErrInternal) {
		t.Errorf("without randomness: %v", err)
	}
}

func TestSessionIDs(t *testing.T) {
	t.Parallel()
	one, err := leger.NewSessionID(rand.Reader)
	if err != nil || len(one) != 43 { // 256 bits in base64
		t.Fatalf("%d characters, %v", len(one), err)
	}
	two, err := leger.NewSessionID(rand.Reader)
	if err != nil || one == two || leger.HashSession(one) == leger.HashSession(two) {
		t.Errorf("two sessions have the same id: %v", err)
	}
	// echo -n abc | sha256sum
	if got := leger.HashSession("abc"); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("hash of abc: %s", got)
	}
	if _, err := leger.NewSessionID(iotest.ErrReader(errors.New("none"))); !errors.Is(err, leger.ErrInternal) {
		t.Errorf("without randomness: %v", err)
	}
}

func TestSessionLifetime(t *testing.T) {
	t.Parallel()
	began := time.Date(2025, 10, 16, 0, 0, 0, 0, time.UTC)
	s := leger.Session{LastSeen: began, ExpiresAt: began.Add(leger.SessionAbsolute)}
	for at, want := range map[time.Duration]bool{0: true, leger.SessionIdle - time.Second: true, leger.SessionIdle: false} {
		if got := s.Live(began.Add(at)); got != want {
			t.Errorf("after %s: %t", at, got)
		}
	}
	s.LastSeen = began.Add(leger.SessionAbsolute - time.Minute)
	if !s.Live(s.ExpiresAt.Add(-time.Second)) || s.Live(s.ExpiresAt) {
		t.Error("does not end with its absolute time")
	}
}
