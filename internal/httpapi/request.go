package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"leger.run/leger"
	"leger.run/leger/internal/vault"
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
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, leger.MaxBody))
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
	if err := checkFields(body, v); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return explainJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return leger.Errorf(leger.CodeInvalid, "the body goes on after the JSON object")
	}
	return nil
}

// checkFields makes field names exact, where encoding/json ignores case, and
// names the unknown one, for which it has no typed error. A field given twice is
// refused: two readers could take it differently (RFC 8259, 4).
func checkFields(body []byte, v any) error {
	known := map[string]bool{}
	t := reflect.TypeOf(v).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known[name] = true
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if tok, err := dec.Token(); err != nil {
		return explainJSON(err)
	} else if tok != json.Delim('{') {
		return leger.Errorf(leger.CodeInvalid, "the body is not a JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return explainJSON(err)
		}
		name, _ := tok.(string)
		if !known[name] {
			return leger.Invalid(cut(name, 64), "the body has a field this route does not know: %s", strconv.Quote(cut(name, 64)))
		}
		if seen[name] {
			return leger.Invalid(name, "the body has the field %q twice", name)
		}
		seen[name] = true
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return explainJSON(err)
		}
	}
	return nil
}

// explainJSON turns a decoding error into one that names the field and shows
// nothing of the body, which may hold a secret.
func explainJSON(err error) error {
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		field := typ.Field
		if field == "" {
			return leger.Errorf(leger.CodeInvalid, "the body must be a JSON object, not %s", typ.Value)
		}
		return leger.Invalid(field, "%s must be %s, not %s", field, jsonKind(typ.Type), typ.Value)
	}
	var syn *json.SyntaxError
	if errors.As(err, &syn) {
		return leger.Errorf(leger.CodeInvalid, "the body is not JSON: it goes wrong at byte %d", syn.Offset)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return leger.Errorf(leger.CodeInvalid, "the body is not JSON: it ends too early")
	}
	var e *leger.Error
	if errors.As(err, &e) {
		return e
	}
	return leger.Errorf(leger.CodeInvalid, "the body has a field this route does not know")
}

func jsonKind(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // the kinds that package wire uses; the rest are objects
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "an array"
	default:
		return "an object"
	}
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

// cut shortens text from outside to n bytes of whole characters.
func cut(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// precondition reads If-Match: absent, "*" or one quoted version.
func precondition(r *http.Request) (vault.Precondition, error) {
	text := strings.TrimSpace(r.Header.Get("If-Match"))
	switch text {
	case "":
		return vault.Precondition{}, nil
	case "*":
		return vault.Precondition{Exists: true}, nil
	}
	unquoted := strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`)
	n, err := strconv.ParseInt(unquoted, 10, 64)
	if err != nil || n < 1 || text != `"`+unquoted+`"` {
		return vault.Precondition{}, leger.Invalid("If-Match", `If-Match must be * or a version in quotes, as in "3"`)
	}
	return vault.Precondition{Version: leger.Version(n)}, nil
}

// page reads ?limit= and ?cursor=; the cursor is what the last page gave.
func page(r *http.Request) (limit int, cursor string, err error) {
	q := r.URL.Query()
	limit = leger.DefaultPageSize
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > leger.MaxPageSize {
			return 0, "", leger.Invalid("limit", "limit must be a whole number from 1 to %d", leger.MaxPageSize)
		}
		limit = n
	}
	if text := q.Get("cursor"); text != "" {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(b) == 0 || len(b) > 128 {
			return 0, "", badCursor()
		}
		cursor = string(b)
	}
	return limit, cursor, nil
}

func badCursor() error {
	return leger.Invalid("cursor", "cursor must be the next_cursor of the page before")
}

func cursorOf(s string) string {
	if s == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(s))
}
