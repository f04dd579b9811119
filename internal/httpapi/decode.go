package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// decode reads a JSON body strictly: application/json, at most MaxBody bytes of
// UTF-8, no unknown field, nothing after it, every type right.
func decode[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var v T
	body, err := readBody(w, r)
	if err != nil {
		return v, err
	}
	if len(body) == 0 {
		return v, leger.Errorf(leger.CodeInvalid, "the request has no body: it needs a JSON object")
	}
	return v, decodeStrict(body, &v)
}

// decodeOptional is decode where no body at all gives the zero value.
func decodeOptional[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var v T
	body, err := readBody(w, r)
	if err != nil || len(body) == 0 {
		return v, err
	}
	return v, decodeStrict(body, &v)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), leger.MaxBody)+bytes.MinRead))
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, leger.MaxBody))
	body := buf.Bytes()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, leger.Errorf(leger.CodeTooLarge, "the request body is larger than %d bytes", leger.MaxBody)
	case err != nil:
		return nil, leger.Wrap(leger.CodeInvalid, err, "the request body ended early")
	case len(body) == 0:
		return nil, nil
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := params["charset"]; err != nil || media != wire.ContentType || (charset != "" && !strings.EqualFold(charset, "utf-8")) {
		return nil, leger.Errorf(leger.CodeUnsupportedMedia, "the body's Content-Type must be %s", wire.ContentType)
	}
	return body, nil
}

func decodeStrict(body []byte, v any) error {
	if !utf8.Valid(body) {
		return leger.Errorf(leger.CodeInvalid, "the body is not UTF-8")
	}
	if hasLoneSurrogate(body) {
		return leger.Errorf(leger.CodeInvalid, "the body has half of a surrogate pair (\\ud800 to \\udfff), which is no character")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := (shape{dec}).value(reflect.TypeOf(v).Elem(), ""); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return leger.Errorf(leger.CodeInvalid, "the body goes on after the JSON object")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return notJSON(err)
	}
	return nil
}

// shape compares a body with the type it is for, more strictly than encoding/json:
// field names are exact and not matched without case; a field given twice is
// refused, since two readers could take it differently (RFC 8259, 4); null is no
// value. Its errors name the field and show nothing of what is in it, which may
// be a secret.
type shape struct{ dec *json.Decoder }

func (s shape) value(t reflect.Type, path string) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	tok, err := s.dec.Token()
	if err != nil {
		return notJSON(err)
	}
	switch t.Kind() { //nolint:exhaustive // the kinds that requests in package wire have
	case reflect.Struct:
		if tok == json.Delim('{') {
			return s.fields(t, path)
		}
	case reflect.Slice:
		if tok == json.Delim('[') {
			return s.items(t.Elem(), path)
		}
	case reflect.String:
		if _, ok := tok.(string); ok {
			return nil
		}
	case reflect.Bool:
		if _, ok := tok.(bool); ok {
			return nil
		}
	case reflect.Int64:
		if n, ok := tok.(json.Number); ok {
			if _, err := n.Int64(); err == nil {
				return nil
			}
		}
	}
	return wrongType(t, tok, path)
}

func (s shape) fields(t reflect.Type, path string) error {
	types := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		types[name] = f.Type
	}
	seen := map[string]bool{}
	for s.dec.More() {
		tok, err := s.dec.Token()
		if err != nil {
			return notJSON(err)
		}
		name, _ := tok.(string)
		at := path + cut(name, 64)
		switch {
		case types[name] == nil:
			return leger.Invalid(at, "the body has a field this route does not know: %s", strconv.Quote(at))
		case seen[name]:
			return leger.Invalid(at, "the body has the field %q twice", at)
		}
		seen[name] = true
		if err := s.value(types[name], at+"."); err != nil {
			return err
		}
	}
	return s.end()
}

func (s shape) items(t reflect.Type, path string) error {
	array := strings.TrimSuffix(path, ".")
	for i := 0; s.dec.More(); i++ {
		if err := s.value(t, fmt.Sprintf("%s[%d].", array, i)); err != nil {
			return err
		}
	}
	return s.end()
}

// end reads the bracket that closes what More found no more of.
func (s shape) end() error {
	if _, err := s.dec.Token(); err != nil {
		return notJSON(err)
	}
	return nil
}

func wrongType(t reflect.Type, got json.Token, path string) error {
	field := strings.TrimSuffix(path, ".")
	if field == "" {
		return leger.Errorf(leger.CodeInvalid, "the body must be a JSON object, not %s", kindOf(got))
	}
	want := map[reflect.Kind]string{
		reflect.Struct: "an object", reflect.Slice: "an array", reflect.String: "a string",
		reflect.Bool: "true or false", reflect.Int64: "a whole number",
	}[t.Kind()]
	return leger.Invalid(field, "%s must be %s, not %s", field, want, kindOf(got))
}

// kindOf says what a token is, without its content.
func kindOf(tok json.Token) string {
	switch tok := tok.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case json.Delim:
		if tok == '[' {
			return "an array"
		}
		return "an object"
	default:
		return "this number"
	}
}

func notJSON(err error) error {
	if syn, ok := errors.AsType[*json.SyntaxError](err); ok {
		return leger.Errorf(leger.CodeInvalid, "the body is not JSON: it goes wrong at byte %d", syn.Offset)
	}
	return leger.Errorf(leger.CodeInvalid, "the body is not JSON: it ends too early")
}

// hasLoneSurrogate finds \uD800–\uDFFF escapes without their other half, which
// encoding/json would silently replace by U+FFFD: the value would not be kept
// byte for byte.
func hasLoneSurrogate(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		r, n := unicodeEscape(b[i:])
		if n == 0 {
			i++ // another escape: skip its second character
			continue
		}
		i += n - 1
		if r < 0xD800 || r > 0xDFFF {
			continue
		}
		low, m := unicodeEscape(b[i+1:])
		if r >= 0xDC00 || m == 0 || low < 0xDC00 || low > 0xDFFF {
			return true
		}
		i += m
	}
	return false
}

func unicodeEscape(b []byte) (r uint64, n int) {
	const size = len(`\uXXXX`)
	if len(b) < size || b[0] != '\\' || b[1] != 'u' {
		return 0, 0
	}
	r, err := strconv.ParseUint(string(b[2:size]), 16, 32)
	if err != nil {
		return 0, 0
	}
	return r, size
}
