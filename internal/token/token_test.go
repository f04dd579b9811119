package token_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

const shared = "a shared secret of at least 32 bytes, canary-shared"

// now is a whole second: tokens know no finer grain.
func now() time.Time { return time.Date(2025, 10, 16, 14, 0, 0, 0, time.UTC) }

func alice() leger.Identity {
	return leger.Identity{TailscaleUserID: leger.TailscaleUserIDOf(123456789), Email: "alice@github", Tailnet: "example.ts.net", DeviceID: "nABC"}
}

func secret(t testing.TB) token.Secret {
	t.Helper()
	s, err := token.ParseSecret([]byte(shared))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// claims are those of a good access token, by their names in the JSON.
func claims() map[string]any {
	return map[string]any{
		"sub": alice().UserID().String(), "tailscale_user_id": "u123456789", "email": "alice@github", "tailnet": "example.ts.net",
		"iat": now().Unix(), "exp": now().Add(30 * 24 * time.Hour).Unix(),
	}
}

// text signs any header and payload with HMAC-SHA-256 and the shared secret, by
// hand, so that it can make what no library would.
func text(header, payload string) string {
	enc := base64.RawURLEncoding
	body := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(shared))
	mac.Write([]byte(body))
	return body + "." + enc.EncodeToString(mac.Sum(nil))
}

// server are the origins of the server that verifies.
var server = []string{"https://leger.example", "http://127.0.0.1:8787"}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

func signed(t testing.TB, change map[string]any) string {
	t.Helper()
	c := claims()
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return text(hs256, string(payload))
}

// A token made to the letter of the specification is an access token.
func TestSpecificationsTokenIsAccepted(t *testing.T) {
	t.Parallel()
	c, err := token.Verify(secret(t), server, now(), signed(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := alice()
	want.DeviceID = ""
	if c.Identity != want || c.ID != "" || c.Link || c.Audience != "" || !c.IssuedAt.Equal(now()) || !c.ExpiresAt.Equal(now().Add(token.AccessLifetime)) {
		t.Errorf("%+v", c)
	}
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	for _, link := range []bool{false, true} {
		for _, issuer := range []string{token.IssuerCLI, token.IssuerServer} {
			made, err := token.New(now().Add(300*time.Millisecond), rand.Reader, alice(), issuer, server[1], link, "0.1.0")
			if err != nil {
				t.Fatal(err)
			}
			text, err := token.Sign(secret(t), made)
			if err != nil {
				t.Fatal(err)
			}
			got, err := token.Verify(secret(t), server, now(), text)
			if err != nil {
				t.Fatal(err)
			}
			got.IssuedAt, got.ExpiresAt = got.IssuedAt.UTC(), got.ExpiresAt.UTC()
			if got != made || !leger.ValidID(got.ID) || got.Link != link {
				t.Errorf("made %+v\ngot  %+v", made, got)
			}
		}
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	for link, want := range map[bool]time.Duration{false: 30 * 24 * time.Hour, true: 2 * time.Minute} {
		c, err := token.New(now(), rand.Reader, alice(), token.IssuerCLI, server[0], link, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ExpiresAt.Sub(c.IssuedAt); got != want {
			t.Errorf("link %t lives %s, want %s", link, got, want)
		}
	}
	if _, err := token.New(now(), iotest.ErrReader(errors.New("none")), alice(), "", "", false, ""); !errors.Is(err, leger.ErrInternal) {
		t.Errorf("without randomness: %v", err)
	}
}

// Times are held to the second, and a clock may be at most 60 s ahead.
func TestTimes(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) int64 { return now().Add(d).Unix() }
	for name, tc := range map[string]struct {
		change map[string]any
		good   bool
	}{
		"60 s from the future":         {map[string]any{"iat": at(60 * time.Second)}, true},
		"61 s from the future":         {map[string]any{"iat": at(61 * time.Second), "exp": at(time.Hour)}, false},
		"expires in a second":          {map[string]any{"iat": at(-time.Hour), "exp": at(time.Second)}, true},
		"expires now":                  {map[string]any{"iat": at(-time.Hour), "exp": at(0)}, false},
		"expired":                      {map[string]any{"iat": at(-time.Hour), "exp": at(-time.Second)}, false},
		"30 days":                      {map[string]any{"iat": at(0), "exp": at(30 * 24 * time.Hour)}, true},
		"30 days and a second":         {map[string]any{"iat": at(0), "exp": at(30*24*time.Hour + time.Second)}, false},
		"no exp":                       {map[string]any{"exp": nil}, false},
		"no iat":                       {map[string]any{"iat": nil}, false},
		"exp null":                     {map[string]any{"exp": json.RawMessage("null")}, false},
		"exp text":                     {map[string]any{"exp": "never"}, false},
		"exp beyond all years":         {map[string]any{"exp": json.RawMessage("1e300")}, false},
		"iat before all years":         {map[string]any{"iat": json.RawMessage("-1e300")}, false},
		"not valid before a minute on": {map[string]any{"nbf": at(time.Minute)}, false},
		"link of 2 min": {map[string]any{
			"aud": server[0], "use": "link", "jti": "7d444840-9dc0-41d1-b245-5ffdce74fad2", "exp": at(2 * time.Minute),
		}, true},
		"link of 2 min and a second": {map[string]any{
			"aud": server[0], "use": "link", "jti": "7d444840-9dc0-41d1-b245-5ffdce74fad2", "exp": at(2*time.Minute + time.Second),
		}, false},
	} {
		_, err := token.Verify(secret(t), server, now(), signed(t, tc.change))
		if (err == nil) != tc.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	good := signed(t, nil)
	payload, err := json.Marshal(claims())
	if err != nil {
		t.Fatal(err)
	}
	bob := leger.TailscaleUserIDOf(987654321)
	refused := map[string]string{
		"empty": "", "no dots": "abc", "two parts": good[:strings.LastIndexByte(good, '.')], "four parts": good + ".x", "no signature": good[:strings.LastIndexByte(good, '.')+1],
		"too long":                    good + strings.Repeat("A", 5000),
		"padding":                     good + "=",
		"white space":                 good + " ",
		"algorithm none":              text(`{"alg":"none"}`, string(payload)),
		"algorithm None":              text(`{"alg":"None"}`, string(payload)),
		"algorithm HS384":             text(`{"alg":"HS384"}`, string(payload)),
		"algorithm HS512":             text(`{"alg":"HS512"}`, string(payload)),
		"algorithm RS256":             text(`{"alg":"RS256"}`, string(payload)),
		"algorithm ES256":             text(`{"alg":"ES256"}`, string(payload)),
		"algorithm EdDSA":             text(`{"alg":"EdDSA"}`, string(payload)),
		"algorithm hs256":             text(`{"alg":"hs256"}`, string(payload)),
		"algorithm a list":            text(`{"alg":["HS256"]}`, string(payload)),
		"no algorithm":                text(`{"typ":"JWT"}`, string(payload)),
		"header not JSON":             text(`{`, string(payload)),
		"header a list":               text(`[]`, string(payload)),
		"critical header":             text(`{"alg":"HS256","crit":["b64"],"b64":false}`, string(payload)),
		"payload not JSON":            text(hs256, `{`),
		"payload null":                text(hs256, `null`),
		"payload a list":              text(hs256, `[]`),
		"payload of two":              text(hs256, string(payload)+`{}`),
		"another's id":                signed(t, map[string]any{"sub": leger.UserIDOf(bob).String()}),
		"another's number":            signed(t, map[string]any{"tailscale_user_id": bob.String()}),
		"no sub":                      signed(t, map[string]any{"sub": nil}),
		"sub in upper case":           signed(t, map[string]any{"sub": strings.ToUpper(alice().UserID().String())}),
		"no number":                   signed(t, map[string]any{"tailscale_user_id": nil}),
		"number zero":                 signed(t, map[string]any{"tailscale_user_id": "u0"}),
		"number a number":             signed(t, map[string]any{"tailscale_user_id": 123456789}),
		"no e-mail":                   signed(t, map[string]any{"email": nil}),
		"e-mail to deceive":           signed(t, map[string]any{"email": "alice\u202e@github"}),
		"long e-mail":                 signed(t, map[string]any{"email": strings.Repeat("a", 321)}),
		"no tailnet":                  signed(t, map[string]any{"tailnet": ""}),
		"long device":                 signed(t, map[string]any{"device_id": strings.Repeat("n", 65)}),
		"long version":                signed(t, map[string]any{"cli_version": strings.Repeat("1", 65)}),
		"a version to deceive":        signed(t, map[string]any{"cli_version": "1.0\u202e"}),
		"another audience":            signed(t, map[string]any{"aud": "other"}),
		"two audiences":               signed(t, map[string]any{"aud": []string{server[0], server[1]}}),
		"part of an audience":         signed(t, map[string]any{"aud": "https://leger.exampl"}),
		"a version's that bound none": signed(t, map[string]any{"iss": token.IssuerCLI, "aud": "leger"}),
		"ours for no server":          signed(t, map[string]any{"iss": token.IssuerCLI}),
		"link for no server": signed(t, map[string]any{
			"use": "link", "jti": "7d444840-9dc0-41d1-b245-5ffdce74fad2", "exp": now().Add(time.Minute).Unix(),
		}),
		"another use":     signed(t, map[string]any{"aud": server[0], "use": "other"}),
		"another issuer":  signed(t, map[string]any{"iss": "other"}),
		"id no UUID":      signed(t, map[string]any{"jti": "1"}),
		"link without id": signed(t, map[string]any{"aud": server[0], "use": "link", "exp": now().Add(time.Minute).Unix()}),
	}
	var message string
	for name, text := range refused {
		c, err := token.Verify(secret(t), server, now(), text)
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != leger.CodeInvalidToken || e.Err == nil || c != (token.Claims{}) {
			t.Errorf("%s: %+v, %v", name, c, err)
			continue
		}
		// A stranger learns nothing from the message; the cause is for the log.
		if message == "" {
			message = e.Message
		}
		if e.Message != message {
			t.Errorf("%s: says %q, others say %q", name, e.Message, message)
		}
		if len(text) > 40 && strings.Contains(err.Error(), text[len(text)-40:]) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
	}
}

func TestAnotherSecretVerifiesNothing(t *testing.T) {
	t.Parallel()
	other, err := token.ParseSecret([]byte(strings.Repeat("x", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify(other, server, now(), signed(t, nil)); !errors.Is(err, leger.ErrInvalidToken) {
		t.Errorf("another secret: %v", err)
	}
}

// Every single character of a token matters.
func TestNoCharacterCanBeChanged(t *testing.T) {
	t.Parallel()
	good := signed(t, nil)
	for i := range len(good) {
		for _, c := range []byte("Aw_.") {
			if good[i] == c {
				continue
			}
			changed := good[:i] + string(c) + good[i+1:]
			if _, err := token.Verify(secret(t), server, now(), changed); err == nil {
				t.Errorf("character %d changed from %c to %c is accepted", i, good[i], c)
			}
		}
	}
}

func TestSecretHasAtLeast32Bytes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 31} {
		_, err := token.ParseSecret(make([]byte, n))
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != leger.CodeInvalid || e.Field != "shared_secret" || e.Hint == "" {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := token.ParseSecret(make([]byte, token.MinSecret)); err != nil {
		t.Errorf("%d bytes: %v", token.MinSecret, err)
	}
}

// The shared secret lies in an unexported field, of which fmt asks no method: %#v
// and %d once showed it.
func TestSecretIsRedacted(t *testing.T) {
	t.Parallel()
	s := secret(t)
	within := struct{ s token.Secret }{s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%c", "%U"} {
		for _, v := range []any{s, &s, within, &within, []token.Secret{s}, map[string]token.Secret{"k": s}} {
			got := fmt.Sprintf(verb, v)
			for _, form := range []string{shared, hex.EncodeToString([]byte(shared)), strings.Trim(fmt.Sprintf("%d", []byte(shared)), "[]"), "U+0061 U+0020"} {
				if strings.Contains(strings.ToLower(got), strings.ToLower(form)) {
					t.Errorf("%s of %T shows the secret: %s", verb, v, got)
				}
			}
		}
	}
	if b, err := json.Marshal([]any{s}); err != nil || strings.Contains(string(b), "canary") {
		t.Errorf("JSON: %s, %v", b, err)
	}
}

// FuzzVerify: no text at all is accepted unless it carries the secret's signature,
// and none makes Verify panic.
func FuzzVerify(f *testing.F) {
	good := signed(f, nil)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add("")
	f.Add("..")
	f.Add(text(`{"alg":"none"}`, `{}`))
	f.Add(text(hs256, `{"exp":1e400}`))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := token.Verify(secret(t), server, now(), text)
		if err == nil && text != good {
			t.Errorf("accepted %q: %+v", text, c)
		}
		if err != nil && !errors.Is(err, leger.ErrInvalidToken) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzClaims: any payload, rightly signed, is refused or gives claims that hold
// every rule.
func FuzzClaims(f *testing.F) {
	payload, err := json.Marshal(claims())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(payload))
	f.Add(`{"aud":["https://leger.example"],"use":"link","exp":1e9,"iat":-1}`)
	f.Add(`{"exp":9223372036854775807,"iat":9223372036854775807.5}`)
	f.Fuzz(func(t *testing.T, payload string) {
		c, err := token.Verify(secret(t), server, now(), text(hs256, payload))
		if err != nil {
			if !errors.Is(err, leger.ErrInvalidToken) {
				t.Errorf("%v", err)
			}
			return
		}
		life := token.AccessLifetime
		if c.Link {
			life = token.LinkLifetime
		}
		if !now().Before(c.ExpiresAt) || c.IssuedAt.After(now().Add(token.Skew)) || c.ExpiresAt.Sub(c.IssuedAt) > life {
			t.Errorf("times %s to %s", c.IssuedAt, c.ExpiresAt)
		}
		if err := c.Identity.Validate(); err != nil || (c.Link && c.ID == "") {
			t.Errorf("%+v: %v", c, err)
		}
	})
}
