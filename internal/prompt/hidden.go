// Package prompt asks for a secret at a terminal: nothing of it is shown, and nothing of
// it is left for whoever reads the terminal next, whatever is typed, pasted or pressed.
package prompt

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"leger.run/leger"
)

// Bracketed paste: asked to, a terminal says where a paste begins and ends
// (https://invisible-island.net/xterm/xterm-paste64.html).
const (
	pasteOn    = "\x1b[?2004h"
	pasteOff   = "\x1b[?2004l"
	pasteStart = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// quiet is how long a terminal sends nothing once a paste is over: more comes at
// once, or in pieces a few milliseconds apart.
const quiet = 100 * time.Millisecond

// Keys as a terminal in raw mode sends them.
const (
	ctrlC     = 0x03
	ctrlD     = 0x04
	backspace = 0x08
	ctrlU     = 0x15
	ctrlZ     = 0x1a
	escape    = 0x1b
	ctrlSlash = 0x1c
	del       = 0x7f
)

// Hidden reads what is typed or pasted at the terminal in until Enter, without showing
// it. out is the terminal as it is written to; it is told how to mark a paste, unless it
// is nil. elsewhere says, in a hint, how else a value of several lines can be given.
//
// ErrInterrupted when it is given up, or ctx ends; ErrInvalid for several lines of which
// nobody knows whether they are one value; ErrUnavailable when in is no terminal.
//
// The terminal is taken as it is sent, so that neither the line discipline nor, afterwards,
// the shell gets any of it: in the usual mode a paste of several lines gave its first to us
// and the others to the shell, which ran them.
func Hidden(ctx context.Context, in *os.File, out io.Writer, elsewhere string) ([]byte, error) {
	fd := int(in.Fd())
	outside := make(chan os.Signal, 2)
	signal.Notify(outside, syscall.SIGTSTP, syscall.SIGCONT)
	// Go ignores SIGTSTP for good once it was asked for (runtime.sigdisable), so it is
	// obeyed by hand from now on. A process asks for one value.
	defer func() { go stopWhenTold(outside) }()
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, noTerminal(elsewhere)
	}
	mode := func(sequence string) {
		if out != nil {
			_, _ = io.WriteString(out, sequence)
		}
	}
	mode(pasteOn)
	defer func() {
		_ = Drain(in)
		mode(pasteOff)
		_ = term.Restore(fd, before)
	}()

	line := hiddenLine{elsewhere: elsewhere}
	buf := make([]byte, 4096)
	defer clear(buf)
	for {
		select {
		case <-ctx.Done():
			clear(line.value)
			return nil, leger.Errorf(leger.CodeInterrupted, "interrupted: nothing was changed")
		case sig := <-outside:
			if sig == syscall.SIGTSTP { // not every shell sees to the terminal itself
				mode(pasteOff)
				_ = term.Restore(fd, before)
				stopUntilContinued()
			}
			// Whoever had the terminal meanwhile has set it to their own taste.
			_, _ = term.MakeRaw(fd)
			mode(pasteOn)
		default:
		}
		n, err := readWithin(fd, buf, quiet)
		if err != nil {
			clear(line.value)
			return nil, leger.Wrap(leger.CodeInvalid, err, "nothing could be read from the terminal")
		}
		for i, b := range buf[:n] {
			end := line.feed(b)
			if end == lineGoesOn {
				continue
			}
			return line.result(end, saysMore(buf[i+1:n]) || (end == lineEntered && Drain(in)))
		}
	}
}

func stopWhenTold(signals <-chan os.Signal) {
	for sig := range signals {
		if sig == syscall.SIGTSTP {
			stopUntilContinued()
		}
	}
}

func noTerminal(elsewhere string) error {
	return leger.Errorf(leger.CodeUnavailable, "the terminal cannot hide what is typed").WithHint("%s", elsewhere)
}

// readWithin reads what arrives within the time; nothing is 0 bytes.
func readWithin(fd int, buf []byte, within time.Duration) (int, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a file descriptor is small
	ready, err := unix.Poll(fds, int(within.Milliseconds()))
	if errors.Is(err, unix.EINTR) || (err == nil && ready == 0) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := unix.Read(fd, buf)
	switch {
	case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.ErrUnexpectedEOF // the terminal is gone
	}
	return n, nil
}

// Drain throws away what is still arriving at a terminal, and reports whether that says
// more than that a line ends once again.
func Drain(in *os.File) (more bool) {
	fd := int(in.Fd())
	buf := make([]byte, 4096)
	defer clear(buf)
	for {
		n, err := readWithin(fd, buf, quiet)
		if n == 0 || err != nil {
			return more
		}
		more = more || saysMore(buf[:n])
	}
}

// saysMore reports whether b holds more than what ends a line once again. A Ctrl-D
// from before the raw mode arrives as NUL (Linux, n_tty).
func saysMore(b []byte) bool { return len(bytes.Trim(b, "\r\n\x04\x00")) > 0 }

// lineEnd says how typing ended.
type lineEnd int

const (
	lineGoesOn  lineEnd = iota
	lineEntered         // with Enter, or Ctrl-D after something
	lineGivenUp         // Ctrl-C and its like, or Ctrl-D at once
)

// hiddenLine is what is typed and pasted at a hidden prompt.
type hiddenLine struct {
	value   []byte
	esc     []byte // an escape sequence that is not complete
	pasting bool
	from    int // where in value the paste began

	elsewhere string // how else to give a value of several lines
}

// feed takes the next byte of the terminal. Escape sequences of keys such as the
// arrows are no part of a value.
func (l *hiddenLine) feed(b byte) lineEnd {
	switch {
	case l.pasting:
		l.paste(b)
		return lineGoesOn
	case len(l.esc) > 0:
		return l.sequence(b)
	}
	switch b {
	case escape:
		l.esc = append(l.esc, b)
	case '\r', '\n':
		return lineEntered
	case ctrlC, ctrlZ, ctrlSlash:
		return lineGivenUp
	case ctrlD:
		if len(l.value) == 0 {
			return lineGivenUp
		}
		return lineEntered
	case backspace, del:
		l.eraseLast()
	case ctrlU:
		clear(l.value)
		l.value = l.value[:0]
	default:
		l.value = append(l.value, b)
	}
	return lineGoesOn
}

// paste takes a byte of a paste. Terminals send its line ends as CR.
func (l *hiddenLine) paste(b byte) {
	l.value = append(l.value, b)
	if !bytes.HasSuffix(l.value[l.from:], []byte(pasteEnd)) {
		return
	}
	pasted := l.value[l.from : len(l.value)-len(pasteEnd)]
	pasted = bytes.ReplaceAll(pasted, []byte("\r\n"), []byte("\n"))
	pasted = bytes.ReplaceAll(pasted, []byte("\r"), []byte("\n"))
	l.value = append(l.value[:l.from], pasted...)
	clear(pasted)
	l.pasting = false
}

// sequence takes a byte of an escape sequence (ECMA-48, 5.4).
func (l *hiddenLine) sequence(b byte) lineEnd {
	if b < 0x20 { // no sequence has one: Escape was pressed by itself
		l.esc = nil
		return l.feed(b)
	}
	l.esc = append(l.esc, b)
	switch {
	case string(l.esc) == pasteStart:
		l.pasting, l.from, l.esc = true, len(l.value), nil
	case len(l.esc) == 2 && b != '[' && b != 'O', len(l.esc) > 2 && b >= 0x40 && b <= 0x7e, len(l.esc) > 32:
		l.esc = nil
	}
	return lineGoesOn
}

func (l *hiddenLine) eraseLast() {
	n := len(l.value)
	for n > 0 && l.value[n-1]&0xc0 == 0x80 { // the rest of a character in UTF-8
		n--
	}
	clear(l.value[max(0, n-1):])
	l.value = l.value[:max(0, n-1)]
}

// result is the outcome of a line that ended, with more behind it or not. Several
// lines without a bracket around them are a paste of which the first is a piece.
func (l *hiddenLine) result(end lineEnd, more bool) ([]byte, error) {
	if end == lineEntered && !more {
		return l.value, nil
	}
	clear(l.value)
	if end == lineGivenUp {
		return nil, leger.Errorf(leger.CodeInterrupted, "given up: nothing was changed")
	}
	return nil, leger.Errorf(leger.CodeInvalid,
		"several lines were pasted, and this terminal does not say where a paste ends: nothing was changed").
		WithHint("%s", l.elsewhere)
}
