package leger_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"leger.run/leger"
)

const canary = "canary-1f8e-value"

// forms are the ways in which a value could be printed.
func forms() []string {
	b := []byte(canary)
	var hexed []string
	for _, c := range b {
		hexed = append(hexed, fmt.Sprintf("0x%x", c))
	}
	return []string{canary, hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), strings.Trim(fmt.Sprintf("%d", b), "[]"), strings.Join(hexed, ", "), "Y2FuYXJ5LTFmOGUt"}
}

func wantRedacted(t *testing.T, what, printed string) {
	t.Helper()
	for _, form := range forms() {
		if strings.Contains(printed, form) {
			t.Errorf("%s shows the value: %s", what, printed)
		}
	}
}

// A Plaintext prints as "[redacted]" wherever it can be asked, and shows nothing
// where it cannot: in an unexported field of somebody else's struct.
func TestPlaintextIsRedacted(t *testing.T) {
	t.Parallel()
	p := leger.NewPlaintext([]byte(canary))
	type open struct{ Value leger.Plaintext }
	type shut struct {
		before string
		value  leger.Plaintext
	}
	type embedded struct{ leger.Plaintext }
	holders := []any{
		p, &p,
		open{p},
		&open{p},
		shut{"x", p},
		&shut{"x", p},
		embedded{p},
		struct{ s shut }{shut{"x", p}},
		[]leger.Plaintext{p},
		[1]leger.Plaintext{p},
		map[string]leger.Plaintext{"k": p},
		[]shut{{"x", p}},
		map[string]shut{"k": {"x", p}},
		any(p),
		fmt.Errorf("about %v", p),
		struct{ any }{p},
	}
	for _, v := range holders {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c", "%U", "%e", "%t", "%10v", "%.3s", "%p"} {
			wantRedacted(t, fmt.Sprintf("%s of %T", verb, v), fmt.Sprintf(verb, v))
		}
		wantRedacted(t, "Sprint", fmt.Sprint(v)+fmt.Sprintln(v))
		if b, err := json.Marshal(v); err == nil {
			wantRedacted(t, fmt.Sprintf("JSON of %T", v), string(b))
		}
		if b, err := xml.Marshal(v); err == nil {
			wantRedacted(t, fmt.Sprintf("XML of %T", v), string(b))
		}
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
			slog.New(h).Info("x", slog.Any("v", v), slog.Group("g", slog.Any("v", v)))
		}
		wantRedacted(t, fmt.Sprintf("slog of %T", v), log.String())
	}
	for what, got := range map[string]string{"%v": fmt.Sprintf("%v", p), "%s": fmt.Sprintf("%s", p), "%x": fmt.Sprintf("%x", p), "%#v": fmt.Sprintf("%#v", p), "String": p.String(), "GoString": p.GoString(), "slog": p.LogValue().String()} {
		if got != leger.Redacted {
			t.Errorf("%s: %q", what, got)
		}
	}
	if b, err := json.Marshal(open{p}); err != nil || string(b) != `{"Value":"[redacted]"}` {
		t.Errorf("JSON: %s, %v", b, err)
	}
	if string(p.Reveal()) != canary || p.Len() != len(canary) {
		t.Errorf("revealed %q", p.Reveal())
	}
}

func TestPlaintextIsWiped(t *testing.T) {
	t.Parallel()
	b := []byte(canary)
	p := leger.NewPlaintext(b)
	copied := p
	p.Wipe()
	if !bytes.Equal(b, make([]byte, len(canary))) || !bytes.Equal(copied.Reveal(), b) {
		t.Errorf("the bytes are %q, a copy's %q", b, copied.Reveal())
	}
	var zero leger.Plaintext
	zero.Wipe()
	if zero.Reveal() != nil || zero.Len() != 0 || zero.String() != leger.Redacted {
		t.Error("the zero Plaintext holds something")
	}
}

func TestPlaintextLimits(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"x", " ", "\n", "\x00", "ключ 🔑", strings.Repeat("x", leger.MaxSecretValue)} {
		if p, err := leger.ParsePlaintext([]byte(good)); err != nil || string(p.Reveal()) != good {
			t.Errorf("%.20q: %v", good, err)
		}
	}
	for bad, want := range map[string]error{
		"": leger.ErrInvalid, "\xff": leger.ErrInvalid, canary + "\xc3\x28": leger.ErrInvalid,
		strings.Repeat("x", leger.MaxSecretValue+1): leger.ErrTooLarge, canary + strings.Repeat("é", 40_000): leger.ErrTooLarge,
	} {
		_, err := leger.ParsePlaintext([]byte(bad))
		var e *leger.Error
		if !errors.Is(err, want) || !errors.As(err, &e) || e.Field != "value" {
			t.Errorf("%.20q: %v", bad, err)
		} else {
			wantRedacted(t, "the error", fmt.Sprintf("%v %+v", err, e))
		}
	}
}

func FuzzParsePlaintext(f *testing.F) {
	f.Add([]byte("x"))
	f.Add([]byte(""))
	f.Add([]byte("\xff"))
	f.Add(bytes.Repeat([]byte("é"), 32769))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := leger.ParsePlaintext(b)
		good := len(b) >= 1 && len(b) <= leger.MaxSecretValue && utf8.Valid(b)
		if good != (err == nil) || (good && !bytes.Equal(p.Reveal(), b)) {
			t.Errorf("%q: %v", b, err)
		}
		if len(b) > 60 && err != nil && strings.Contains(err.Error(), string(b[:60])) {
			t.Errorf("the error shows the value: %v", err)
		}
	})
}
