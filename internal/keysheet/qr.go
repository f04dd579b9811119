package keysheet

import (
	"strings"

	"github.com/yeqown/go-qrcode/v2"

	"leger.run/leger"
)

// quietZone is the light border that scanners need (ISO/IEC 18004 asks for four modules;
// two are read by all that were tried, and keep the code in 80 columns).
const quietZone = 2

// Black on white whatever the terminal's colours are.
const (
	blackOnWhite = "\x1b[38;5;16;48;5;231m"
	colourOff    = "\x1b[0m"
)

// writeQR draws a QR code with half blocks: two modules above each other in a character.
func writeQR(b *strings.Builder, text string, colour bool) error {
	code, err := qrcode.NewWith(text, qrcode.WithErrorCorrectionLevel(qrcode.ErrorCorrectionMedium))
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "make the QR code")
	}
	grid := &bitmap{}
	if err := code.Save(grid); err != nil {
		return leger.Wrap(leger.CodeInternal, err, "draw the QR code")
	}
	size := len(grid.dark)
	for y := -quietZone; y < size+quietZone; y += 2 {
		if colour {
			b.WriteString(blackOnWhite)
		}
		for x := -quietZone; x < size+quietZone; x++ {
			b.WriteString(half(grid.at(x, y), grid.at(x, y+1)))
		}
		if colour {
			b.WriteString(colourOff)
		}
		b.WriteByte('\n')
	}
	return nil
}

func half(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}

// bitmap implements qrcode.Writer.
type bitmap struct{ dark [][]bool }

// Write implements qrcode.Writer.
func (m *bitmap) Write(mat qrcode.Matrix) error {
	m.dark = mat.Bitmap()
	return nil
}

// Close implements qrcode.Writer.
func (m *bitmap) Close() error { return nil }

func (m *bitmap) at(x, y int) bool {
	return y >= 0 && y < len(m.dark) && x >= 0 && x < len(m.dark[y]) && m.dark[y][x]
}
