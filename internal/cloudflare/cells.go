package cloudflare

import (
	"encoding/binary"
	"errors"
	"math"
)

// Answers of bindings come as cells: a byte that says what follows, then a
// number (float64) or text (its length in bytes, uint32, then UTF-8), all little
// endian. Taking JSON apart took longer in WebAssembly than the rest of a read of
// 100 secrets; worker/src/cells.mjs writes this.
const (
	cellNull   = 0
	cellNumber = 1
	cellText   = 2
)

// errCells: an answer of the shim that this program does not understand; the two
// are built together, so it is a bug.
var errCells = errors.New("the answer of the binding cannot be read")

// cells reads an answer from front to back. After the end, or what is no cell,
// every method gives the zero value, and err says so.
type cells struct {
	rest []byte
	err  error
}

func (c *cells) more() bool { return c.err == nil && len(c.rest) > 0 }

func (c *cells) take(n int) []byte {
	if c.err != nil || n > len(c.rest) {
		c.err = errCells
		return nil
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b
}

// value gives nil, a float64 or a string.
func (c *cells) value() any {
	kind := c.take(1)
	if kind == nil {
		return nil
	}
	switch kind[0] {
	case cellNull:
		return nil
	case cellNumber:
		if b := c.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		return nil
	case cellText:
		if size := c.take(4); size != nil {
			return string(c.take(int(binary.LittleEndian.Uint32(size))))
		}
		return nil
	default:
		c.err = errCells
		return nil
	}
}

// number gives a whole number.
func (c *cells) number() int64 {
	f, ok := c.value().(float64)
	if n := int64(f); ok && float64(n) == f {
		return n
	}
	c.err = errCells
	return 0
}

// text tells null apart from "".
func (c *cells) text() (string, bool) {
	switch v := c.value().(type) {
	case nil:
	case string:
		return v, true
	default:
		c.err = errCells
	}
	return "", false
}
