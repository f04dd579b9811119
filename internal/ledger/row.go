package ledger

import (
	"database/sql/driver"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"leger.run/leger"
)

// Row reads the columns of one row from left to right. The first column that
// does not hold what is asked for is remembered in Err; its value is not, since
// errors are logged.
type Row struct {
	// Values are the columns: nil, string, int64, float64 of a whole number, or a
	// time.Time where the engine's driver made one of a TIMESTAMP.
	Values []driver.Value

	next int
	err  error
}

// Begin makes the row ready to be read from its first column.
func (r *Row) Begin() { r.next, r.err = 0, nil }

// Err is what was wrong with a column read since Begin.
func (r *Row) Err() error { return r.err }

// Skip passes over n columns.
func (r *Row) Skip(n int) { r.next += n }

func (r *Row) value() driver.Value {
	if r.next >= len(r.Values) {
		r.next++
		r.fail(errors.New("there is no such column"))
		return nil
	}
	v := r.Values[r.next]
	r.next++
	return v
}

func (r *Row) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("column %d of the result: %w", r.next, err)
	}
}

// Text gives "" for NULL.
func (r *Row) Text() string {
	switch v := r.value().(type) {
	case nil:
	case string:
		return v
	default:
		r.fail(fmt.Errorf("%T is not text", v))
	}
	return ""
}

// Integer gives 0 for NULL.
func (r *Row) Integer() int64 {
	switch v := r.value().(type) {
	case nil:
	case int64:
		return v
	case float64: // D1 knows no other number
		if n := int64(v); float64(n) == v {
			return n
		}
		r.fail(errors.New("not a whole number"))
	default:
		r.fail(fmt.Errorf("%T is not an integer", v))
	}
	return 0
}

// Time gives the zero time for NULL. SQLite's driver itself parses the columns
// that the specification declares as TIMESTAMP.
func (r *Row) Time() time.Time {
	switch v := r.value().(type) {
	case nil:
	case time.Time:
		return v.UTC()
	case string:
		return r.timeOf(v)
	default:
		r.fail(fmt.Errorf("%T is not a timestamp", v))
	}
	return time.Time{}
}

// timeOf reads a timestamp that stands in the column last read.
func (r *Row) timeOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		r.fail(errors.New("not an RFC 3339 timestamp"))
	}
	return t
}

// maybeTimeOf gives the zero time for no text.
func (r *Row) maybeTimeOf(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	return r.timeOf(text)
}

// null says whether the next column is NULL, without passing over it.
func (r *Row) null() bool { return r.next < len(r.Values) && r.Values[r.next] == nil }

// json decodes a column of JSON.
func (r *Row) json(into any) {
	if json.Unmarshal([]byte(r.Text()), into) != nil {
		r.fail(fmt.Errorf("no JSON for %T", into))
	}
}

// bytes decodes base64.
func (r *Row) bytes() []byte {
	b, err := base64.StdEncoding.DecodeString(r.Text())
	if err != nil {
		r.fail(errors.New("not base64"))
	}
	return b
}

// parsed reads a text column into one of the root package's parsed types.
func parsed[T any](r *Row, parse func(string) (T, error)) T {
	v, err := parse(r.Text())
	if err != nil {
		r.fail(fmt.Errorf("%T: not a valid value", v))
	}
	return v
}

// timestampLayout has a fixed width, so that timestamps sort as text.
const timestampLayout = "2006-01-02T15:04:05.000000Z"

// Timestamp is a time as the tables hold it.
func Timestamp(t time.Time) string { return t.UTC().Format(timestampLayout) }

// textOrNull stores "" as NULL.
func textOrNull(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

func encoded(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// damaged is the error of a database whose parts contradict each other: no request
// can make that, so nothing read from it may pass for the truth.
func (s *Store) damaged(format string, args ...any) error {
	return leger.Errorf(leger.CodeInternal, "the database is damaged: "+format, args...).
		WithHint("%s", s.engine.HowToRestore())
}
