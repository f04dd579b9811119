package keysheet_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"leger.run/leger"
	"leger.run/leger/internal/keysheet"
)

func id(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:8])
}

func key(name string, value []byte) keysheet.Key {
	return keysheet.Key{Name: name, ID: id(value), Value: leger.NewPlaintext(value)}
}

func written(t testing.TB, keys ...keysheet.Key) string {
	t.Helper()
	var b strings.Builder
	if err := keysheet.Write(&b, keys, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// typedLines are those that somebody types: no drawing.
func typedLines(sheet string) string {
	var lines []string
	for line := range strings.Lines(sheet) {
		if !strings.ContainsAny(line, "█▀▄") && strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func sampleBytes(n int, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, seed))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// The lines were worked out apart from this code, from Crockford's page.
func TestSheetLooksLikeThis(t *testing.T) {
	t.Parallel()
	const want = `ENCRYPTION_KEY 3eb1bd439947eb76
   1   60RK4 CSM6M V3EE1 SC5H6   P
   2   6S35C RR32C HK6GT KCDSR   6
   3   75GP4 RV4CN K0   Z
`
	if got := typedLines(written(t, key("ENCRYPTION_KEY", []byte("0123456789abcdef0123456789abcdef")))); got != want {
		t.Errorf("the sheet is\n%s\nwant\n%s", got, want)
	}
}

// A key of any length comes back, printed, typed in lower case, with letters for digits,
// or without the spaces.
func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 70; n++ {
		a, b := key("ENCRYPTION_KEY", sampleBytes(n, 1)), key("JWT_SECRET", sampleBytes(n+3, 2))
		sheet := written(t, a, b)
		for what, text := range map[string]string{
			"printed": sheet, "lower case": strings.ToLower(typedLines(sheet)), "with CR": strings.ReplaceAll(typedLines(sheet), "\n", "\r\n"),
			"indented": "some words\n\n" + typedLines(sheet) + "\nthe end",
		} {
			got, err := keysheet.Parse(text, id)
			if err != nil || len(got) != 2 || got[0].Name != a.Name || got[1].ID != b.ID ||
				!bytes.Equal(got[0].Value.Reveal(), a.Value.Reveal()) || !bytes.Equal(got[1].Value.Reveal(), b.Value.Reveal()) {
				t.Fatalf("%d bytes, %s: %v", n, what, err)
			}
		}
	}
}

// Every single character that is typed wrong, and every two neighbours that change places,
// are found, in the line in which they are.
func TestEveryTypingErrorIsFound(t *testing.T) {
	t.Parallel()
	sheet := typedLines(written(t, key("ENCRYPTION_KEY", sampleBytes(32, 3))))
	lines := strings.SplitAfter(sheet, "\n")
	for at := 1; at < len(lines) && lines[at] != ""; at++ {
		for i := range lines[at] {
			for _, c := range "0123456789ABCDEFGHJKMNPQRSTVWXYZ" {
				line := []byte(lines[at])
				if line[i] == ' ' || line[i] == '\n' || line[i] == byte(c) || i < 5 {
					continue
				}
				line[i] = byte(c)
				refused(t, lines, at, string(line))
			}
			line := []byte(lines[at])
			if i > 6 && i+1 < len(line) && line[i] != line[i+1] && line[i] != ' ' && line[i+1] != ' ' && line[i+1] != '\n' {
				line[i], line[i+1] = line[i+1], line[i]
				refused(t, lines, at, string(line))
			}
		}
	}
}

func refused(t *testing.T, lines []string, at int, wrong string) {
	t.Helper()
	changed := strings.Join(lines[:at], "") + wrong + strings.Join(lines[at+1:], "")
	_, err := keysheet.Parse(changed, id)
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeInvalid || !strings.Contains(e.Message, "line ") {
		t.Errorf("%q instead of %q: %v", wrong, lines[at], err)
	} else if strings.Contains(e.Message, strings.Fields(wrong)[1]) {
		t.Errorf("the error shows the key: %v", err)
	}
}

// A sheet with a line missing, doubled or out of place is no key.
func TestLinesMustAllBeThere(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(typedLines(written(t, key("ENCRYPTION_KEY", sampleBytes(32, 4)))), "\n")
	for what, list := range map[string][]string{
		"the first is missing": {lines[0], lines[2], lines[3]}, "the last is missing": {lines[0], lines[1], lines[2]},
		"two changed places": {lines[0], lines[2], lines[1], lines[3]}, "one is doubled": {lines[0], lines[1], lines[1], lines[2], lines[3]},
		"none": {lines[0]}, "no head": {lines[1], lines[2], lines[3]}, "nothing": nil,
	} {
		if _, err := keysheet.Parse(strings.Join(list, ""), id); !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What a scanner gives is read like what is typed.
func TestScannedCodeIsRead(t *testing.T) {
	t.Parallel()
	value := []byte("0123456789abcdef0123456789abcdef")
	text := "LEGER:ENCRYPTION-KEY:" + strings.ToUpper(id(value)) + ":60RK4CSM6MTKEE9R74S3ECSPC5GK4CSM6MTKEE9R74S3ECSPC5GG\n"
	_, err := keysheet.Parse(text[:len(text)-2]+"\n", id)
	if !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("a cut code = %v", err)
	}
	sheet := typedLines(written(t, key("ENCRYPTION_KEY", value)))
	var joined strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(sheet), "\n")[1:] {
		fields := strings.Fields(line)
		joined.WriteString(strings.Join(fields[1:len(fields)-1], ""))
	}
	got, err := keysheet.Parse("leger:encryption-key:"+id(value)+":"+joined.String(), id)
	if err != nil || got[0].Name != "ENCRYPTION_KEY" || !bytes.Equal(got[0].Value.Reveal(), value) {
		t.Errorf("a scanned code: %v", err)
	}
}

// The code is square, has a light border, and fits into a terminal of 80 columns.
func TestCodeFitsATerminal(t *testing.T) {
	t.Parallel()
	width := 0
	for line := range strings.Lines(written(t, key("JWT_SECRET", sampleBytes(64, 5)))) {
		if !strings.ContainsAny(line, "█▀▄") {
			continue
		}
		n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n"))
		if width == 0 {
			width = n
		}
		if n != width || n > 80 || !strings.HasPrefix(line, "  ") {
			t.Errorf("a line of the code has %d columns, another %d: %q", n, width, line)
		}
	}
	if width < 25 {
		t.Errorf("the code has %d columns", width)
	}
}

// On a terminal the code is the same, black on white.
func TestTerminalCodeIsThePaperCode(t *testing.T) {
	t.Parallel()
	k := key("ENCRYPTION_KEY", sampleBytes(32, 6))
	var b strings.Builder
	if err := keysheet.Write(&b, []keysheet.Key{k}, true); err != nil {
		t.Fatal(err)
	}
	plain := strings.NewReplacer("\x1b[38;5;16;48;5;231m", "", "\x1b[0m", "").Replace(b.String())
	if plain != written(t, k) || plain == b.String() {
		t.Errorf("on a terminal the sheet is\n%s", b.String())
	}
}

func FuzzParse(f *testing.F) {
	f.Add(written(f, key("ENCRYPTION_KEY", sampleBytes(32, 6))))
	f.Add("JWT_SECRET 0123456789abcdef\n 1 A 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := keysheet.Parse(text, id)
		for _, k := range keys {
			if err == nil && id(k.Value.Reveal()) != k.ID {
				t.Error("a key was given that is not the one on the sheet")
			}
		}
	})
}
