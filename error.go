package leger

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Code classifies an error. It is the same word in Go, in the API's JSON and
// in the CLI's JSON, so that one error keeps its meaning across the wire.
type Code string

// The codes of the HTTP contract (api/openapi.yaml), followed by the codes that
// only arise on the user's machine.
const (
	CodeInvalid          Code = "invalid_request"        // input is wrong; Field names it
	CodeInvalidToken     Code = "invalid_token"          // missing, expired, revoked or wrongly signed credential
	CodeForbidden        Code = "forbidden"              // known caller, not allowed
	CodeNotFound         Code = "not_found"              // absent, or somebody else's
	CodeMethodNotAllowed Code = "method_not_allowed"     // the route exists with another method
	CodeConflict         Code = "conflict"               // name taken, version moved on
	CodeTooLarge         Code = "too_large"              // body or value over its limit
	CodeUnsupportedMedia Code = "unsupported_media_type" // body is not application/json
	CodeRateLimited      Code = "rate_limited"           // slow down; Retry-After says how long
	CodeUnavailable      Code = "unavailable"            // a dependency is away; retry
	CodeInternal         Code = "internal"               // our fault

	CodeMissingPart Code = "missing_part" // Podman, systemd, git, Tailscale or legerd is absent or not usable
	CodePartial     Code = "partial"      // some of the work was done, some was not
	CodeUnhealthy   Code = "unhealthy"    // a unit did not start or did not become healthy
	CodeUnreachable Code = "unreachable"  // the server did not answer
	CodeInterrupted Code = "interrupted"  // the user stopped the command
	CodeDeclined    Code = "declined"     // the user answered a question with no
	CodeDisk        Code = "disk"         // a file of this machine cannot be written or read: disk full, read-only, failing
)

// Sentinels for errors.Is: two *Error values match when their codes match, so a
// caller writes errors.Is(err, leger.ErrNotFound) whatever the message says.
var (
	ErrInvalid          = &Error{Code: CodeInvalid}
	ErrInvalidToken     = &Error{Code: CodeInvalidToken}
	ErrForbidden        = &Error{Code: CodeForbidden}
	ErrNotFound         = &Error{Code: CodeNotFound}
	ErrMethodNotAllowed = &Error{Code: CodeMethodNotAllowed}
	ErrConflict         = &Error{Code: CodeConflict}
	ErrTooLarge         = &Error{Code: CodeTooLarge}
	ErrUnsupportedMedia = &Error{Code: CodeUnsupportedMedia}
	ErrRateLimited      = &Error{Code: CodeRateLimited}
	ErrUnavailable      = &Error{Code: CodeUnavailable}
	ErrInternal         = &Error{Code: CodeInternal}
	ErrMissingPart      = &Error{Code: CodeMissingPart}
	ErrPartial          = &Error{Code: CodePartial}
	ErrUnhealthy        = &Error{Code: CodeUnhealthy}
	ErrUnreachable      = &Error{Code: CodeUnreachable}
	ErrInterrupted      = &Error{Code: CodeInterrupted}
	ErrDeclined         = &Error{Code: CodeDeclined}
	ErrDisk             = &Error{Code: CodeDisk}
)

// Error is the one error type that crosses package and process borders.
//
// Message says what happened and why, Hint says what to do next, both for the
// person at the keyboard; neither may hold a secret value. Err is the cause for
// the log and is never sent to a client.
type Error struct {
	Code    Code
	Message string
	Hint    string
	Field   string  // which input was wrong, as the API names it
	Version Version // with CodeConflict: the version that is current, if known

	RequestID  string // set by the client from the server's answer
	FromServer bool   // set by the client: it is the server's answer, not the word of a part of this machine
	RetryAfter int    // seconds; with CodeRateLimited and CodeUnavailable
	Err        error
}

// Error gives "message: cause", or the code when there is no message.
func (e *Error) Error() string {
	msg := e.Message
	if msg == "" {
		msg = string(e.Code)
	}
	if e.Err != nil {
		return msg + ": " + e.Err.Error()
	}
	return msg
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// WithHint returns a copy of e that tells what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Errorf makes an *Error without a cause. It does not take %w: use Wrap, which
// keeps the cause out of the message that clients see.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an *Error with a cause. Error shows "message: cause"; Message alone
// goes to a client of the API.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: cause}
}

// WrapFile makes an *Error about a file of this machine: CodeDisk where the disk is
// to blame (see [DiskFault]), otherwise code, which says what the file was for.
// The system names the file again in its own words, so that part of cause is left
// out: format should name it.
func WrapFile(code Code, cause error, format string, args ...any) *Error {
	if p, ok := errors.AsType[*fs.PathError](cause); ok {
		cause = p.Err
	}
	if DiskFault(cause) {
		return Wrap(CodeDisk, cause, format, args...).
			WithHint("free some space (df -h), or make the file system writable, then run the command again")
	}
	return Wrap(code, cause, format, args...)
}

// DiskFault reports whether err says that the disk is full, over its quota,
// read-only or failing: nothing that other input to the same command would change.
func DiskFault(err error) bool {
	for _, fault := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

// Invalid makes a CodeInvalid error about one field of the input.
func Invalid(field, format string, args ...any) *Error {
	e := Errorf(CodeInvalid, format, args...)
	e.Field = field
	return e
}

// Within says of an error about one field in what it lies: prefix, as in
// "secrets[2].", goes before the field's name. Other errors stay as they are.
func Within(prefix string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Field == "" {
		return err
	}
	c := *e
	c.Field = prefix + e.Field
	return &c
}

// CodeOf gives the code of the first *Error in err's chain, and CodeInternal
// for any other error. It gives "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
