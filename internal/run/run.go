package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"leger.run/leger"
)

// Defaults of Config.
const (
	DefaultGrace     = 5 * time.Second
	DefaultMaxOutput = 8 << 20 // bytes; the longest answer we ask for is a journal excerpt
)

// Config says how programs are run.
type Config struct {
	// Path is the list of directories in which programs are looked for, with colons
	// between them. Empty: the PATH of this process.
	Path string
	// Grace is how long a program may take to end after SIGTERM before it gets
	// SIGKILL. 0: DefaultGrace.
	Grace time.Duration
	// MaxOutput bounds each of stdout and stderr, in bytes, for commands that do not
	// say otherwise. 0: DefaultMaxOutput.
	MaxOutput int64
	// Logger gets one debug line per program that ended. nil: none.
	Logger *slog.Logger
}

// Runner executes programs. It is safe for concurrent use.
type Runner struct{ cfg Config }

// New makes a Runner.
func New(cfg Config) *Runner {
	if cfg.Path == "" {
		cfg.Path = os.Getenv("PATH")
	}
	if cfg.Grace <= 0 {
		cfg.Grace = DefaultGrace
	}
	if cfg.MaxOutput <= 0 {
		cfg.MaxOutput = DefaultMaxOutput
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Runner{cfg}
}

// Command is a program to run.
type Command struct {
	// Path is the program: a name that is looked up, or a path with a slash.
	Path string
	Args []string // without the program's own name
	Dir  string   // working directory; empty: that of this process
	Env  []string // the whole environment as NAME=value; nil is an empty environment
	// Stdin is read to its end by the program; nil is an empty input.
	Stdin io.Reader
	// Stdout and Stderr get what the program writes, as it comes. nil: it is kept in
	// the Result.
	Stdout, Stderr io.Writer
	// Files are open in the program from descriptor 3 on: what must be neither in an
	// argument nor in the environment nor on a disk goes through a pipe.
	Files []*os.File
	// MaxOutput bounds each of stdout and stderr, in bytes. 0: Config.MaxOutput;
	// negative: no bound, for programs that live long and write to a Writer.
	MaxOutput int64
}

// Result is how a program ended.
type Result struct {
	Stdout, Stderr []byte // what the Command had no Writer for
	Code           int    // the exit code; 128 + N when signal N ended it
}

// Run executes c and waits for its end.
//
// A program that ran to its end gives a nil error whatever its exit code. The
// error is ErrMissingPart when the program is not installed, ErrTooLarge when it
// wrote more than it may, ErrInterrupted when ctx was cancelled and
// ErrUnavailable when ctx's deadline passed (errors.Is finds ctx.Err and ctx's
// cause in both), ErrInternal when it could not be started. The Result has what
// was written until then.
func (r *Runner) Run(ctx context.Context, c Command) (Result, error) {
	p, err := r.Start(ctx, c)
	if err != nil {
		return Result{}, err
	}
	return p.Wait()
}

// LookPath finds a program, as Run does. It fails with ErrMissingPart, and the
// hint names the package to install.
func (r *Runner) LookPath(program string) (string, error) {
	if strings.Contains(program, "/") {
		if !executable(program) {
			return "", missing(program)
		}
		return program, nil
	}
	for _, dir := range filepath.SplitList(r.cfg.Path) {
		// A relative entry would run whatever lies in the working directory, which
		// may be a clone of a stranger's repository.
		if !filepath.IsAbs(dir) {
			continue
		}
		if full := filepath.Join(dir, program); executable(full) {
			return full, nil
		}
	}
	return "", missing(program)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func missing(program string) error {
	name := filepath.Base(program)
	e := leger.Errorf(leger.CodeMissingPart, "%s is not installed on this machine, or not in PATH", name)
	pkg := packageOf(name)
	if pkg == "" {
		return e.WithHint("install %s, or add its directory to PATH", name)
	}
	return e.WithHint("install the package %s, for example: sudo apt install %s, or: sudo dnf install %s", pkg, pkg, pkg)
}

// packageOf names the package that has a program; the names are the same in
// Debian, Fedora and their relatives.
func packageOf(program string) string {
	switch program {
	case "git", "podman":
		return program
	case "systemctl", "journalctl", "loginctl", "systemd-analyze", "systemd-creds":
		return "systemd"
	case "tailscale", "tailscaled":
		return "tailscale"
	case "ssh":
		return "openssh-client"
	default:
		return ""
	}
}

// subcommandPattern is what may be shown of the arguments: a word such as
// "clone". Options, URLs, names and values stay out.
var subcommandPattern = regexp.MustCompile(`^[a-z][a-z-]{0,31}$`)

// String is the program and, where there is one, its subcommand.
func (c Command) String() string {
	name := filepath.Base(c.Path)
	if len(c.Args) > 0 && subcommandPattern.MatchString(c.Args[0]) {
		return name + " " + c.Args[0]
	}
	return name
}

// explain turns the end of a program into an error; nil means that it came to
// its own end.
func (p *Process) explain(waitErr error) error {
	var exit *exec.ExitError
	switch ctxErr := p.ctx.Err(); {
	case p.stopped.Load():
		return nil
	case p.overflow():
		return leger.Errorf(leger.CodeTooLarge, "%s was stopped: it wrote more than %d bytes", p.command, p.limit)
	case ctxErr != nil && p.cancelled.Load():
		return cancelled(p.ctx, p.command)
	case waitErr == nil || errors.As(waitErr, &exit) || errors.Is(waitErr, exec.ErrWaitDelay):
		// ErrWaitDelay: it ended, but left a child behind that holds its output open.
		return nil
	default:
		return leger.Wrap(leger.CodeInternal, waitErr, "run %s", p.command)
	}
}

func cancelled(ctx context.Context, c Command) error {
	err, code, what := ctx.Err(), leger.CodeInterrupted, "was interrupted"
	if errors.Is(err, context.DeadlineExceeded) {
		code, what = leger.CodeUnavailable, "took too long and was stopped"
	}
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return leger.Wrap(code, err, "%s %s", c, what)
}
