//go:build unix

package run

import "syscall"

// Replace makes this process the program at path: it has the process's id, terminal,
// streams, signals and exit code, and exactly the environment env. args are without the
// program's name, which is name. It returns only if it fails: ErrInvalid when arguments and
// environment are too large for the system, ErrMissingPart when the file is no program.
func Replace(path, name string, args, env []string) error {
	err := syscall.Exec(path, append([]string{name}, args...), env) //nolint:gosec // G204: the user's own command; no shell
	return startError(name, err)
}
