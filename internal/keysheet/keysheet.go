// Package keysheet writes keys on paper and reads what somebody typed from there: lines
// of Crockford's base32 (https://www.crockford.com/base32.html) with a check character
// each, and a QR code of the same.
//
// Its invariant: a key is given back only if it has the id that stands above it. A typing
// error is found in the line in which it was made.
package keysheet

import (
	"encoding/base32"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"leger.run/leger"
)

// alphabet is Crockford's: no I, L, O and U. The check character, a value modulo 37, has
// five more symbols.
const (
	alphabet      = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	checkAlphabet = alphabet + "*~$=U"
)

// A line holds lineLength characters, in groups of groupLength.
const (
	lineLength  = 20
	groupLength = 5
)

func encoding() *base32.Encoding { return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding) }

// Key is one key on a sheet.
type Key struct {
	Name  string // what it is: ENCRYPTION_KEY
	ID    string // names the key and opens nothing
	Value leger.Plaintext
}

// Write writes the keys. onTerminal colours the QR codes so that they can be scanned
// from a dark screen too; on paper dark is dark.
func Write(to io.Writer, keys []Key, onTerminal bool) error {
	var b strings.Builder
	for _, k := range keys {
		text := encoding().EncodeToString(k.Value.Reveal())
		fmt.Fprintf(&b, "\n%s %s\n\n", k.Name, k.ID)
		for n, rest := 1, text; rest != ""; n++ {
			line := rest[:min(lineLength, len(rest))]
			rest = rest[len(line):]
			fmt.Fprintf(&b, "%4d   %s   %c\n", n, grouped(line), check(n, line))
		}
		b.WriteByte('\n')
		if err := writeQR(&b, scanned(k, text), onTerminal); err != nil {
			return err
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

func grouped(line string) string {
	var groups []string
	for rest := line; rest != ""; {
		n := min(groupLength, len(rest))
		groups = append(groups, rest[:n])
		rest = rest[n:]
	}
	return strings.Join(groups, " ")
}

// check gives the check character of a line. 37 is a prime above 32, so one wrong
// character, and two that changed places, always change it; the number of the line goes
// in so that lines cannot change places either.
func check(number int, line string) byte {
	sum := number % 37
	for i := range len(line) {
		sum = (sum*32 + strings.IndexByte(alphabet, line[i])) % 37
	}
	return checkAlphabet[sum]
}

// scanned is what a QR code of the key says.
func scanned(k Key, text string) string {
	return strings.ToUpper("leger:" + strings.ReplaceAll(k.Name, "_", "-") + ":" + k.ID + ":" + text)
}

var (
	headPattern = regexp.MustCompile(`^([A-Z]+(?:_[A-Z]+)*) +([0-9A-F]{16})$`)
	linePattern = regexp.MustCompile(`^([0-9]{1,2})[.:)]? +([0-9A-Z -]+?) +([0-9A-Z*~$=])$`)
	scanPattern = regexp.MustCompile(`^LEGER:([A-Z-]+):([0-9A-F]{16}):([0-9A-Z]+)$`)
)

// Parse reads the keys of a sheet: typed lines, or what its QR codes say, in any case of
// letters. What is on other lines is passed over until the first key. id gives the id of
// a key's bytes. ErrInvalid names the line that is wrong, never what it says.
func Parse(sheet string, id func(value []byte) string) (keys []Key, err error) {
	var current *typed
	finish := func() error {
		if current == nil {
			return nil
		}
		k, err := decode(current.name, current.id, current.text.String(), id)
		keys = append(keys, k)
		current = nil
		return err
	}
	for number, line := range strings.Split(sheet, "\n") {
		line = strings.ToUpper(strings.TrimSpace(line))
		head, scan := headPattern.FindStringSubmatch(line), scanPattern.FindStringSubmatch(line)
		switch {
		case head != nil:
			err = finish()
			current = &typed{name: head[1], id: strings.ToLower(head[2])}
		case scan != nil:
			if err = finish(); err == nil {
				var k Key
				k, err = decode(strings.ReplaceAll(scan[1], "-", "_"), strings.ToLower(scan[2]), scan[3], id)
				keys = append(keys, k)
			}
		case current != nil && line != "" && line[0] >= '0' && line[0] <= '9':
			err = current.add(line, number+1)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := finish(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, leger.Invalid("sheet", "there is no key on the sheet").
			WithHint("type it as it is printed: a line such as ENCRYPTION_KEY 0123456789abcdef, and below it the numbered lines")
	}
	return keys, nil
}

// typed is a key whose lines are being read.
type typed struct {
	name, id string
	lines    int
	text     strings.Builder
}

// add reads one numbered line; at is where it stands in the text.
func (k *typed) add(line string, at int) error {
	wrong := func(why string) error {
		return leger.Invalid("sheet", "line %d (of %s): %s", at, k.name, why).WithHint("compare that line with the sheet")
	}
	parts := linePattern.FindStringSubmatch(line)
	if parts == nil {
		return wrong("it is not a number, groups of characters, and one check character")
	}
	number, err := strconv.Atoi(parts[1])
	if err != nil || number != k.lines+1 {
		return wrong(fmt.Sprintf("it should be number %d", k.lines+1))
	}
	text := plain(parts[2])
	for i := range len(text) {
		if strings.IndexByte(alphabet, text[i]) < 0 {
			return wrong("it holds a character that sheets do not have")
		}
	}
	if given := plainCheck(parts[3]); len(text) > lineLength || check(number, text) != given {
		return wrong("there is a typing error in it")
	}
	k.lines = number
	k.text.WriteString(text)
	return nil
}

// plain takes out what separates, and reads letters that look like digits as digits.
func plain(s string) string {
	return strings.NewReplacer(" ", "", "-", "", "O", "0", "I", "1", "L", "1").Replace(s)
}

func plainCheck(s string) byte { return plain(s)[0] }

func decode(name, wantID, text string, id func([]byte) string) (Key, error) {
	value, err := encoding().DecodeString(plain(text))
	if err != nil || len(value) == 0 || id(value) != wantID {
		return Key{}, leger.Invalid("sheet", "what stands below %s %s is not that key", name, wantID).
			WithHint("compare the id with the sheet, and see that no line is missing")
	}
	return Key{Name: name, ID: wantID, Value: leger.NewPlaintext(value)}, nil
}
