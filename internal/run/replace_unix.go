//go:build unix

package run

import (
	"errors"
	"syscall"

	"leger.run/leger"
)

// Replace makes this process the program at path: it has the process's id, terminal,
// streams, signals and exit code, and exactly the environment env. args are without the
// program's name, which is name. It returns only if it fails: ErrInvalid when arguments and
// environment are too large for the system, ErrMissingPart when the file is no program.
func Replace(path, name string, args, env []string) error {
	err := syscall.Exec(path, append([]string{name}, args...), env)
	switch {
	case errors.Is(err, syscall.E2BIG):
		return leger.Invalid("environment", "the arguments and the environment are larger than the system takes").
			WithHint("give the command fewer secrets: --only or --prefix")
	case errors.Is(err, syscall.ENOEXEC), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.ENOENT):
		return leger.Wrap(leger.CodeMissingPart, startCause(err), "%s cannot be run", name)
	}
	return leger.Wrap(leger.CodeInternal, startCause(err), "run %s", name)
}
