package vault_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"leger.run/leger"
	"leger.run/leger/internal/vault"
)

func TestKeyIsTheBase64Of32Bytes(t *testing.T) {
	t.Parallel()
	good := newKey(t)
	for name, text := range map[string]string{"as it is": good, "with a line's end": good + "\n", "with white space": " " + good + " \r\n"} {
		if r, err := vault.ParseKeyRing(text, ""); err != nil || r.CurrentID() != ring(t, good).CurrentID() {
			t.Errorf("%s: %v", name, err)
		}
	}
	raw, err := base64.StdEncoding.DecodeString(good)
	must(t, err)
	for name, text := range map[string]string{
		"empty": "", "31 bytes": base64.StdEncoding.EncodeToString(raw[:31]), "33 bytes": base64.StdEncoding.EncodeToString(append(raw, 0)),
		"not base64": strings.Repeat("!", 44), "no padding": strings.TrimRight(good, "="), "hex": hex.EncodeToString(raw), "raw bytes": string(raw),
		"two keys": good + "," + newKey(t), "stray bits": good[:42] + "/=", "break inside": good[:20] + "\n" + good[20:] + "x",
	} {
		_, err := vault.ParseKeyRing(text, "")
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != leger.CodeInvalid || e.Field != "ENCRYPTION_KEY" || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error shows the text", name)
		}
	}
}

func TestPreviousKeys(t *testing.T) {
	t.Parallel()
	current, one, two := newKey(t), newKey(t), newKey(t)
	for _, separator := range []string{",", " ", "\n", ", ", ",\r\n\t"} {
		r, err := vault.ParseKeyRing(current, separator+one+separator+two+separator)
		must(t, err)
		if r.CurrentID() != ring(t, current).CurrentID() || !r.Has(ring(t, one).CurrentID()) || !r.Has(ring(t, two).CurrentID()) {
			t.Errorf("separated by %q: a key is missing", separator)
		}
	}
	if ring(t, current).Has(ring(t, one).CurrentID()) {
		t.Error("a ring has a key it was not given")
	}
	_, err := vault.ParseKeyRing(current, one+",short")
	var e *leger.Error
	if !errors.As(err, &e) || e.Field != "ENCRYPTION_KEY_PREVIOUS" {
		t.Errorf("a bad previous key: %v", err)
	}
}

func TestKeyRingPrintsNoKey(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	raw, err := base64.StdEncoding.DecodeString(key)
	must(t, err)
	r := ring(t, key, newKey(t))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, v := range []any{r, *r, struct{ r vault.KeyRing }{*r}} {
			got := fmt.Sprintf(verb, v)
			for _, form := range []string{key, string(raw), hex.EncodeToString(raw), fmt.Sprintf("%d", raw)} {
				if strings.Contains(got, strings.Trim(form, "[]")) {
					t.Errorf("%s of %T shows the key: %s", verb, v, got)
				}
			}
		}
	}
}

func TestNewKeyNeedsRandomness(t *testing.T) {
	t.Parallel()
	if _, err := vault.NewKey(iotest.ErrReader(errors.New("none"))); !errors.Is(err, leger.ErrInternal) {
		t.Errorf("without randomness: %v", err)
	}
	key, err := vault.NewKey(bytes.NewReader(make([]byte, vault.KeySize)))
	must(t, err)
	if want := strings.Repeat("A", 43) + "="; key != want {
		t.Errorf("of 32 zero bytes: %s", key)
	}
	if first, second := newKey(t), newKey(t); first == second {
		t.Error("two keys are the same")
	}
}

func TestAdditionalData(t *testing.T) {
	t.Parallel()
	user := leger.LocalIdentity("alice@example.com").UserID()
	got := vault.AdditionalData(user, secretName(t, "a_key"), 12, "00112233aabbccdd")
	if want := "leger:v1\x00" + user.String() + "\x00a_key\x0012\x0000112233aabbccdd"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzParseKeyRing: whatever the text, a ring seals with a key of its own or there
// is an error that does not repeat the text.
func FuzzParseKeyRing(f *testing.F) {
	key, err := vault.NewKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key, "")
	f.Add(" "+key+"\n", key+","+key)
	f.Add("", "")
	f.Add("AAAA", "=,=")
	f.Fuzz(func(t *testing.T, current, previous string) {
		r, err := vault.ParseKeyRing(current, previous)
		switch {
		case err == nil:
			if !r.Has(r.CurrentID()) || len(r.CurrentID()) != 16 {
				t.Errorf("ring %s", r)
			}
		case !errors.Is(err, leger.ErrInvalid):
			t.Errorf("%v", err)
		case len(current) > 20 && strings.Contains(err.Error(), current), len(previous) > 20 && strings.Contains(err.Error(), previous):
			t.Errorf("the error shows the text: %v", err)
		}
	})
}
