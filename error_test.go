package leger_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"leger.run/leger"
)

func TestErrorsMatchByCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("deploy: %w", leger.Errorf(leger.CodeConflict, "the name %s is taken", "x"))
	if !errors.Is(err, leger.ErrConflict) || errors.Is(err, leger.ErrNotFound) {
		t.Errorf("%v does not match by its code", err)
	}
	wrapped := leger.Wrap(leger.CodeUnavailable, io.ErrUnexpectedEOF, "read %s", "x")
	if !errors.Is(wrapped, leger.ErrUnavailable) || !errors.Is(wrapped, io.ErrUnexpectedEOF) {
		t.Errorf("%v does not match its cause", wrapped)
	}
}

// The cause is for the log; the message alone goes to a client.
func TestCauseStaysOutOfTheMessage(t *testing.T) {
	t.Parallel()
	err := leger.Wrap(leger.CodeInternal, errors.New("cause"), "what happened")
	if err.Error() != "what happened: cause" || err.Message != "what happened" {
		t.Errorf("%q, message %q", err.Error(), err.Message)
	}
	if got := leger.ErrNotFound.Error(); got != "not_found" {
		t.Errorf("without a message: %q", got)
	}
}

func TestWithHintLeavesTheOriginal(t *testing.T) {
	t.Parallel()
	hinted := leger.ErrNotFound.WithHint("look in %s", "x")
	if hinted.Hint != "look in x" || leger.ErrNotFound.Hint != "" || !errors.Is(hinted, leger.ErrNotFound) {
		t.Errorf("hinted %+v, original %+v", hinted, leger.ErrNotFound)
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	inner := leger.Errorf(leger.CodeConflict, "inner")
	for want, err := range map[leger.Code]error{
		"":                    nil,
		leger.CodeInternal:    io.EOF,
		leger.CodeNotFound:    fmt.Errorf("x: %w", leger.ErrNotFound),
		leger.CodeUnavailable: leger.Wrap(leger.CodeUnavailable, inner, "outer"),
		leger.CodeConflict:    errors.Join(io.EOF, inner),
	} {
		if got := leger.CodeOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	if e := leger.Invalid("name", "%d is wrong", 7); e.Field != "name" || e.Code != leger.CodeInvalid || e.Message != "7 is wrong" {
		t.Errorf("%+v", e)
	}
}
