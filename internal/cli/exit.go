package cli

import (
	"errors"

	"leger.run/leger"
)

// The exit codes of leger (leger help exit-codes).
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitNotAllowed  = 4
	exitPartial     = 5
	exitMissing     = 6
	exitUnhealthy   = 7
	exitUnreachable = 8
	exitInterrupted = 130 // 128 + SIGINT, as shells count
)

// exitCodesHelp is the text of leger help exit-codes.
const exitCodesHelp = `leger ends with one of these codes:

    0  done
    1  failed: the disk is full, you answered no, or another reason without a code of its own
    2  wrong usage or input
    3  not found
    4  not signed in, or not allowed
    5  partly done, in conflict with what is there, or waiting for your consent
    6  a local part is missing: Podman, systemd, git, legerd, Tailscale
    7  a unit did not start or is not healthy
    8  the server cannot be reached, or cannot answer now
  130  interrupted; running the command again continues`

// exitCode gives the exit code of an error.
func exitCode(err error) int {
	switch leger.CodeOf(err) {
	case "":
		return exitDone
	case leger.CodeInvalid, leger.CodeTooLarge:
		return exitUsage
	case leger.CodeNotFound:
		return exitNotFound
	case leger.CodeInvalidToken, leger.CodeForbidden:
		return exitNotAllowed
	case leger.CodeConflict, leger.CodePartial:
		return exitPartial
	case leger.CodeMissingPart:
		return exitMissing
	case leger.CodeUnhealthy:
		return exitUnhealthy
	case leger.CodeUnavailable:
		if fromServer(err) {
			return exitUnreachable
		}
		return exitMissing // systemd, Podman or legerd does not answer
	case leger.CodeUnreachable:
		return exitUnreachable
	case leger.CodeInterrupted:
		return exitInterrupted
	case leger.CodeDisk, leger.CodeDeclined:
		return exitFailed
	case leger.CodeMethodNotAllowed, leger.CodeUnsupportedMedia, leger.CodeRateLimited, leger.CodeInternal:
		return exitFailed
	}
	return exitFailed // a newer server's code
}

// fromServer reports whether the server gave the error, or one of its causes.
func fromServer(err error) bool {
	for {
		e, ok := errors.AsType[*leger.Error](err)
		if !ok || e.FromServer {
			return ok
		}
		err = e.Err
	}
}
