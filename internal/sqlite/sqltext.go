package sqlite

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"leger.run/leger"
)

// maxStatementText bounds one statement of somebody's SQL text, in bytes. A row that D1
// holds has at most 2 MB, which its dump writes with quotes doubled.
const maxStatementText = 8 << 20

// statements cuts SQL text into statements, one at a time, whatever the length of the
// text. It goes by the rules of https://sqlite.org/c3ref/complete.html, by which a trigger
// is one statement.
type statements struct {
	from *bufio.Reader
	line int   // that is being read, from 1
	read int64 // bytes so far
	text []byte
}

func newStatements(from io.Reader) *statements {
	return &statements{from: bufio.NewReaderSize(from, 1<<16), line: 1}
}

// firstLine gives the first line without reading it.
func (s *statements) firstLine() string {
	start, _ := s.from.Peek(200) // what is wrong with it is found later
	line, _, _ := bytes.Cut(start, []byte("\n"))
	return string(line)
}

// token is what a piece of SQL is to the end of a statement.
type token int

const (
	tokenSemicolon token = iota
	tokenSpace
	tokenOther
	tokenExplain
	tokenCreate
	tokenTemp
	tokenTrigger
	tokenEnd
)

// place is how far a statement has come.
type place int

const (
	placeStart place = iota // before it
	placeInside
	placeExplain // after EXPLAIN
	placeCreate  // after CREATE, and TEMP perhaps
	placeTrigger // inside CREATE TRIGGER
	placeSemicolon
	placeEnd // after ";END" inside CREATE TRIGGER
)

// then gives where a statement is after the token.
func (p place) then(t token) place {
	if t == tokenSpace {
		return p
	}
	switch p {
	case placeTrigger, placeSemicolon, placeEnd:
		switch {
		case t == tokenSemicolon && p == placeEnd:
			return placeStart
		case t == tokenSemicolon:
			return placeSemicolon
		case t == tokenEnd && p == placeSemicolon:
			return placeEnd
		}
		return placeTrigger
	case placeStart, placeInside, placeExplain, placeCreate:
	}
	switch {
	case t == tokenSemicolon:
		return placeStart
	case t == tokenExplain && p == placeStart, t == tokenOther && p == placeExplain:
		return placeExplain
	case t == tokenCreate && (p == placeStart || p == placeExplain), t == tokenTemp && p == placeCreate:
		return placeCreate
	case t == tokenTrigger && p == placeCreate:
		return placeTrigger
	}
	return placeInside
}

// next gives the next statement, without comments, and the line it begins on. io.EOF: there
// is none. ErrInvalid: the text is not SQL, or is cut short.
func (s *statements) next() (text string, line int, err error) {
	s.text = s.text[:0]
	at := placeStart
	for {
		b, err := s.byte()
		if errors.Is(err, io.EOF) && at == placeStart {
			return "", s.line, io.EOF
		}
		if err != nil {
			return "", s.line, cutShort(s.line, err)
		}
		found, err := s.token(b)
		if err != nil {
			return "", s.line, err
		}
		if at == placeStart && (found == tokenSpace || found == tokenSemicolon) {
			s.text = s.text[:0]
			continue
		}
		if at == placeStart {
			line = s.line
		}
		if at = at.then(found); at == placeStart {
			break
		}
	}
	if !utf8.Valid(s.text) {
		return "", line, badDump("line %d is not UTF-8 text", line)
	}
	return string(s.text), line, nil
}

// byte reads one byte and keeps it.
func (s *statements) byte() (byte, error) {
	b, err := s.from.ReadByte()
	switch {
	case err != nil:
		return 0, err
	case b == 0:
		return 0, badDump("it is no SQL text: it holds a zero byte on line %d", s.line)
	case len(s.text) >= maxStatementText:
		return 0, badDump("the statement that ends on line %d or later is longer than any of a dump", s.line)
	case b == '\n':
		s.line++
	}
	s.read++
	s.text = append(s.text, b)
	return b, nil
}

// token reads the rest of the token that begins with b.
func (s *statements) token(b byte) (token, error) {
	switch {
	case b == ';':
		return tokenSemicolon, nil
	case strings.IndexByte(" \t\r\n\f", b) >= 0:
		return tokenSpace, nil
	case b == '\'', b == '"', b == '`':
		return tokenOther, s.through(b)
	case b == '[':
		return tokenOther, s.through(']')
	case b == '-' && s.follows('-'):
		return tokenSpace, s.comment(false)
	case b == '/' && s.follows('*'):
		return tokenSpace, s.comment(true)
	case !inWord(b):
		return tokenOther, nil
	}
	begin := len(s.text) - 1
	for next := s.peek(); inWord(next); next = s.peek() {
		if _, err := s.byte(); err != nil {
			return 0, err
		}
	}
	return wordToken(s.text[begin:]), nil
}

func wordToken(word []byte) token {
	if len(word) > len("temporary") {
		return tokenOther
	}
	switch strings.ToLower(string(word)) {
	case "explain":
		return tokenExplain
	case "create":
		return tokenCreate
	case "temp", "temporary":
		return tokenTemp
	case "trigger":
		return tokenTrigger
	case "end":
		return tokenEnd
	}
	return tokenOther
}

func inWord(b byte) bool {
	letter := b|0x20 >= 'a' && b|0x20 <= 'z'
	return letter || b >= '0' && b <= '9' || b == '_' || b == '$' || b >= utf8.RuneSelf
}

// peek gives the next byte, 0 when there is none.
func (s *statements) peek() byte {
	if next, err := s.from.Peek(1); err == nil {
		return next[0]
	}
	return 0
}

func (s *statements) follows(b byte) bool { return s.peek() == b }

// through reads up to the closing quote. A doubled one closes and opens.
func (s *statements) through(quote byte) error {
	begun := s.line
	for {
		b, err := s.byte()
		if err != nil {
			return cutShort(begun, err)
		}
		if b == quote {
			return nil
		}
	}
}

// comment reads to the comment's end, or that of the text, and leaves a space of it.
func (s *statements) comment(block bool) error {
	begin := len(s.text) - 1
	if _, err := s.byte(); err != nil { // the second character of its beginning
		return err
	}
	for before := byte(0); ; {
		b, err := s.byte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		s.text = s.text[:begin] // a comment may be as long as it likes
		if !block && b == '\n' || block && before == '*' && b == '/' {
			break
		}
		before = b
	}
	s.text = append(s.text[:begin], ' ')
	return nil
}

// badDump is the error of SQL text that is not what it should be.
func badDump(format string, args ...any) *leger.Error {
	return leger.Invalid("file", "the SQL cannot be imported: "+format, args...).
		WithHint("take it again: wrangler d1 export leger-db --remote --output FILE, or leger-server export FILE; " +
			"a backup is put back with leger-server restore")
}

// cutShort is the error of text that ends inside a statement, if that is what err says.
func cutShort(line int, err error) error {
	var known *leger.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, io.EOF):
		return badDump("it is cut short: the statement on line %d does not end", line)
	}
	return leger.WrapFile(leger.CodeUnavailable, err, "read the SQL")
}
