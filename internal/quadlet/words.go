package quadlet

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Podman splits values in two ways (measured on Podman 5.8.6). Both split at
// white space and take quotes of either kind away, wherever in a word they stand.
//
//   - arguments (Exec=, Secret=, Mount=, Environment=, …): backslash sequences of
//     C are resolved, a quote that is never closed ends with the value, a lone
//     backslash at the end is dropped;
//   - lists (AddCapability=, Yaml=, WantedBy=, After=, …): a backslash is an
//     ordinary character, and a quote that is never closed is an error.
//
// In both, a word that is empty once its quotes are gone ends the value: what
// comes after it is not read. And an error makes Podman skip the whole value
// without saying so, which is why it is a problem here.
var (
	errEscape   = errors.New("it has a backslash sequence that Podman does not know")
	errQuote    = errors.New("it has a quote that is never closed")
	errEmptyEnd = errors.New("it has an empty word, and Podman reads nothing after one")
)

// splitArgs splits a value as arguments. With errEmptyEnd come the words before
// the empty one, with errEscape none.
func splitArgs(s string) ([]string, error) {
	w := wordSplitter{escapes: true}
	return w.split(s)
}

// splitList splits a value as a list. With errEmptyEnd come the words before the
// empty one, with errQuote none.
func splitList(s string) ([]string, error) {
	w := wordSplitter{}
	return w.split(s)
}

type wordSplitter struct {
	escapes bool
	words   []string
	word    strings.Builder
	begun   bool // a word was begun, perhaps only a quote
	ended   bool // by an empty word
	more    bool // something was left after the end
	quote   byte
}

func (w *wordSplitter) split(s string) ([]string, error) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && w.escapes:
			n, err := w.escape(s[i:])
			switch {
			case err != nil && w.ended:
				return w.words, errEmptyEnd
			case err != nil:
				return nil, err
			}
			i += n - 1
		case w.quote != 0 && c == w.quote:
			w.quote = 0
		case w.quote == 0 && (c == '"' || c == '\''):
			w.quote, w.begun = c, true
		case w.quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			w.finish()
		default:
			w.word.WriteByte(c)
			w.begun = true
		}
	}
	if w.quote != 0 && !w.escapes && !w.ended {
		return nil, errQuote
	}
	w.finish()
	if w.more {
		return w.words, errEmptyEnd
	}
	return w.words, nil
}

func (w *wordSplitter) finish() {
	switch {
	case !w.begun:
	case w.ended:
		w.more = true
	case w.word.Len() == 0:
		w.ended = true
	default:
		w.words = append(w.words, w.word.String())
	}
	w.word.Reset()
	w.begun = false
}

// escape resolves the backslash sequence at the start of s and says how long it
// is.
func (w *wordSplitter) escape(s string) (length int, err error) {
	w.begun = true
	if len(s) == 1 {
		return 1, nil
	}
	if plain := strings.IndexByte(`abfnrtvs\"'`, s[1]); plain >= 0 {
		w.word.WriteByte("\a\b\f\n\r\t\v \\\"'"[plain])
		return 2, nil
	}
	digits, first, base := 0, 2, 16
	switch {
	case s[1] == 'x':
		digits = 2
	case s[1] == 'u':
		digits = 4
	case s[1] == 'U':
		digits = 8
	case s[1] >= '0' && s[1] <= '7':
		digits, first, base = 3, 1, 8
	}
	if digits == 0 || len(s) < first+digits {
		return 0, errEscape
	}
	r, err := strconv.ParseUint(s[first:first+digits], base, 32)
	if err != nil || r == 0 || r > utf8.MaxRune || (base == 8 && r > 0xff) {
		return 0, errEscape
	}
	// \xff and \377 become the character U+00FF, not the byte.
	w.word.WriteRune(rune(r))
	return first + digits, nil
}
