package terminal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"leger.run/leger/internal/terminal"
)

// hostile is what eight sanitisers once treated in eight ways: podman's let
// bidirectional overrides through, git's and systemd's wrote "?", one took the
// line breaks, one kept DEL.
func hostile() map[string]string {
	return map[string]string{
		"clear the screen":       "a\x1b[2Jb",
		"C1 control":             "a\u009b2Jb",
		"C1 as a byte":           "a\x9b2Jb",
		"set the window's title": "a\x1b]0;owned\ab",
		"carriage return":        "fine\rrm -rf",
		"backspace":              "a\bb",
		"DEL":                    "a\x7fb",
		"right-to-left override": "a\u202eb",
		"isolate":                "a\u2066b",
		"zero-width space":       "a\u200bb",
		"line separator":         "a\u2028b",
		"tag character":          "a\U000e0041b",
		"not UTF-8":              "a\xff\xc3b",
	}
}

func safe(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsPrint(r)
	})
}

func TestNothingHostileComesThrough(t *testing.T) {
	t.Parallel()
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			w := terminal.NewWriter(&out)
			printed := map[string]func() error{
				"Print":         func() error { return w.Print(text, fmt.Errorf("why: %s", text)) },
				"Print painted": func() error { return w.Print(terminal.Painted{Text: text}) },
				"Fprint":        func() error { _, err := fmt.Fprint(w, text); return err },
				"JSON":          func() error { return w.JSON(map[string]string{text: text}) },
			}
			for path, write := range printed {
				out.Reset()
				if err := write(); err != nil {
					t.Fatal(err)
				}
				if got := out.String(); !safe(got) || !strings.Contains(got, "b") && !strings.Contains(got, "rm") {
					t.Errorf("%s writes %q", path, got)
				}
			}
			for path, got := range map[string]string{"Text": terminal.Text(text), "Line": terminal.Line(text, 100)} {
				if !safe(got) {
					t.Errorf("%s gives %q", path, got)
				}
			}
		})
	}
}

func TestOrdinaryTextIsLeftAlone(t *testing.T) {
	t.Parallel()
	const text = "grün\t€ 日本 🙂\nnext line\n"
	var out bytes.Buffer
	w := terminal.NewWriter(&out)
	if err := w.Print(text); err != nil {
		t.Fatal(err)
	}
	if out.String() != text {
		t.Errorf("Print writes %q; want %q", out.String(), text)
	}
	if got := terminal.Text("12\u00a0000"); got != "12 000" {
		t.Errorf("a no-break space gives %q; want a space", got)
	}
}

// A journal comes in blocks, whose borders cut characters in two.
func TestWriteInPieces(t *testing.T) {
	t.Parallel()
	const text = "grün 日本 🙂\x1b[2J\n"
	var out bytes.Buffer
	w := terminal.NewWriter(&out)
	for i := range len(text) {
		if n, err := w.Write([]byte{text[i]}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := "grün 日本 🙂\uFFFD[2J\n"; out.String() != want {
		t.Errorf("pieces give %q; want %q", out.String(), want)
	}
}

func TestColoursAreOurOwn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := terminal.NewWriter(&out)
	if err := w.Print(terminal.Painted{Colour: terminal.Red, Text: "error:\x1b[0m"}, " disk ", 1, "\n"); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[31merror:\uFFFD[0m\x1b[0m disk 1\n"; out.String() != want {
		t.Errorf("Print writes %q; want %q", out.String(), want)
	}
}

// Scripts read --json: each value is what it was, though a terminal can show it.
func TestJSONKeepsItsValues(t *testing.T) {
	t.Parallel()
	values := hostile()
	values["ordinary"] = "grün € 🙂 <b>&amp;</b>\n\ttab"
	delete(values, "not UTF-8") // encoding/json replaces such bytes by itself
	delete(values, "C1 as a byte")
	for form, write := range map[string]func(*terminal.Writer, any) error{
		"JSON": (*terminal.Writer).JSON, "JSONLine": (*terminal.Writer).JSONLine,
	} {
		var out bytes.Buffer
		if err := write(terminal.NewWriter(&out), values); err != nil {
			t.Fatal(err)
		}
		if !safe(out.String()) || !strings.Contains(out.String(), "<b>&amp;</b>") {
			t.Errorf("%s writes %q", form, out.String())
		}
		if n := strings.Count(out.String(), "\n"); form == "JSONLine" && n != 1 {
			t.Errorf("%s writes %d lines", form, n)
		}
		var back map[string]string
		if err := json.Unmarshal(out.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		for name, want := range values {
			if back[name] != want {
				t.Errorf("%s: %s holds %q; want %q", name, form, back[name], want)
			}
		}
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"Error: no such image\r\n", 100, "Error: no such image"},
		{"a\tb\nc", 100, "a b\uFFFDc"},
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc…"},
		{"abüüü", 6, "ab…"},
		{"\x1b\x1b\x1b", 6, "\uFFFD…"},
		{"", 6, ""},
	} {
		if got := terminal.Line(c.text, c.most); got != c.want || len(got) > c.most {
			t.Errorf("Line(%q, %d) = %q; want %q", c.text, c.most, got, c.want)
		}
	}
}

func TestErrKeepsTheFirstError(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	w := terminal.NewWriter(failing{full})
	if err := w.Err(); err != nil {
		t.Errorf("before any write the error is %v", err)
	}
	_, err := fmt.Fprintln(w, "help")
	if !errors.Is(err, full) || !errors.Is(w.Err(), full) {
		t.Errorf("the write gives %v and Err %v; want %v", err, w.Err(), full)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzWriter(f *testing.F) {
	for _, text := range hostile() {
		f.Add([]byte(text), 1)
	}
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		at = min(max(at, 0), len(text))
		var out bytes.Buffer
		w := terminal.NewWriter(&out)
		for _, piece := range [][]byte{text[:at], text[at:], []byte("\n")} {
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		if want := terminal.Text(string(text)) + "\n"; out.String() != want {
			t.Errorf("in pieces %q; whole %q", out.String(), want)
		}
	})
}

func TestSeveralLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, folded, hung string }{
		{"one", "one", "one"},
		{"one\ntwo\n", "one; two", "one\n  two"},
		{"one\r\n\n  two \n", "one; two", "one\r\n  \n    two "},
		{"\n", "", ""},
		{"", "", ""},
	} {
		if got := terminal.Fold(c.text); got != c.folded {
			t.Errorf("Fold(%q) = %q; want %q", c.text, got, c.folded)
		}
		if got := terminal.Hang(c.text, 2); got != c.hung {
			t.Errorf("Hang(%q, 2) = %q; want %q", c.text, got, c.hung)
		}
	}
}
