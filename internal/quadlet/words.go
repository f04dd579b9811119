package quadlet

import (
	"strconv"
	"strings"
)

// splitWords splits a value at white space. Quotes of either kind keep space
// together and are removed, wherever in a word they stand; backslash sequences
// of C are resolved (systemd.service(5), "Command lines"). A quote that is never
// closed ends with the value.
func splitWords(s string) []string {
	var (
		words []string
		word  strings.Builder
		open  bool // a word was begun, perhaps an empty quoted one
		quote byte
	)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			text, n := unescape(s[i:])
			word.WriteString(text)
			i += n - 1
			open = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, open = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if open {
				words = append(words, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if open {
		words = append(words, word.String())
	}
	return words
}

// unescape resolves the backslash sequence at the start of s and says how long it
// is. One that C does not know stays as it is written.
func unescape(s string) (text string, length int) {
	if len(s) < 2 {
		return "", len(s) // a backslash at the very end is dropped
	}
	switch s[1] {
	case 's':
		return " ", 2
	case '"', '\'', '\\':
		return s[1:2], 2
	}
	r, multibyte, rest, err := strconv.UnquoteChar(s, 0)
	if err != nil || r == 0 {
		return s[:2], 2
	}
	if multibyte {
		return string(r), len(s) - len(rest)
	}
	return string([]byte{byte(r)}), len(s) - len(rest) //nolint:gosec // G115: UnquoteChar says that it is one byte
}
