package leger

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable reports whether a character may be shown: letters, marks, digits,
// punctuation, symbols and the plain space. Control characters (C0, DEL, C1), format
// characters (bidirectional overrides, zero-width ones), line and paragraph separators
// and other kinds of space are not printable. A terminal obeys some of them, and the
// others show a text as something that it is not.
//
// This is the one rule for every text that is kept and shown.
func Printable(r rune) bool { return unicode.IsPrint(r) }

// PrintableText gives a text of which everything that is not printable, bytes that are
// not UTF-8 too, was replaced by U+FFFD: for what is worth keeping although its sender
// may put anything in it. What should be refused instead has a Parse function.
func PrintableText(s string) string {
	return strings.Map(func(r rune) rune {
		if Printable(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// printable reports whether s is UTF-8 of printable characters alone.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !Printable(r) })
}

// printableLines is printable, for text of several lines: with line feeds and tabs. A
// carriage return is none of it: it takes a terminal back to where the line begins.
func printableLines(s string) bool {
	return printable(strings.NewReplacer("\n", "", "\t", "").Replace(s))
}

// WithoutPasswords gives a text without the credentials that URLs in it hold. Who reads
// a URL refuses such ones and does not repeat them; this is for what repeats input that
// may be anything.
func WithoutPasswords(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return withoutCredentials(withoutCredentials(text, afterScheme), afterUser)
}

// ParseClientVersion checks what a program says its version is; "" says nothing.
// ErrInvalid, field "cli_version".
func ParseClientVersion(s string) (string, error) {
	return s, reportedText("cli_version", s, MaxClientVersion, false)
}

// quoteInput shows rejected input in an error: quoted, what is not printable
// escaped, cut so that a megabyte of garbage does not fill the terminal.
func quoteInput(s string) string {
	s = WithoutPasswords(s)
	const most = 60
	if len(s) > most {
		return quote(s[:most]) + "…"
	}
	return quote(s)
}

func quote(s string) string { return strconv.Quote(s) }
