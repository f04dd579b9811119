package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"leger.run/leger"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/podman"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/terminal"
)

// usage is what legerd --help prints.
const usage = `legerd holds this machine's secrets and keeps Podman's secrets in step with them.

Usage:
  legerd [flags]        serve until told to stop
  legerd rekey [flags]  make a new key, seal the store with it and destroy the former key,
                        while legerd runs or not; containers do not notice
  legerd version        print the version

Flags (rekey takes --socket, where it looks for the legerd that runs, and --data):
  --socket PATH         listen here (default: $XDG_RUNTIME_DIR/leger/legerd.sock)
  --data DIR            keep the store here (default: $XDG_DATA_HOME/leger/legerd)
  --listen ADDR         also serve setec's own tools, on a loopback address such as
                        127.0.0.1:8788 (default: not at all)
  --podman-socket PATH  Podman's socket (default: found by itself)
  --verbose             log more
  --version             print the version
  --help                print this

Environment:
  LEGERD_SOCKET         as --socket
  LEGERD_DATA           as --data
  LEGERD_PODMAN_SOCKET  as --podman-socket
  LEGERD_KEY            the key of the store: 32 bytes in base64
  LEGERD_KEY_PREVIOUS   the key that LEGERD_KEY takes the place of: a store that only
                        this one opens is sealed with LEGERD_KEY at the next start
  Each may be given as NAME_FILE instead, a file that holds the value, or as a
  systemd credential of that name. Flags win.

Without LEGERD_KEY the key is the systemd credential legerd-key if there is one,
else the file "key" in the data directory, made at first start, which is the one that
rekey changes. The credential legerd-key-previous does as LEGERD_KEY_PREVIOUS. Whoever
loses the key loses the store; a sync fills a new one.

As a service:  systemctl --user enable --now legerd.socket legerd.service
`

// Process is what Main needs of the process it runs in.
type Process struct {
	Args    []string                    // without the program's name
	Lookup  func(string) (string, bool) // os.LookupEnv
	Stdout  io.Writer
	Stderr  io.Writer
	Version string // set at build time; empty: what the module says
}

// Main is legerd: it reads flags and environment, runs the daemon until SIGTERM
// or SIGINT, and gives the exit code: 0, 1 when it failed, 2 for wrong usage.
func Main(ctx context.Context, p Process) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	set, err := parse(p)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(p.Stdout, usage)
		return 0
	case err != nil:
		complain(p.Stderr, err)
		return 2
	case set.version:
		_, _ = fmt.Fprintln(p.Stdout, "legerd", p.version())
		return 0
	}
	do := start
	if set.rekey {
		do = rekey
	}
	if err := do(ctx, p, set); err != nil {
		complain(p.Stderr, err)
		return 1
	}
	return 0
}

// complain prints an error and its hint as the leger command does.
func complain(to io.Writer, err error) {
	to = terminal.NewWriter(to)
	_, _ = fmt.Fprintln(to, "legerd:", terminal.Hang(err.Error(), len("legerd: ")))
	if e, ok := errors.AsType[*leger.Error](err); ok && e.Hint != "" {
		_, _ = fmt.Fprintln(to, "hint:", terminal.Hang(e.Hint, len("hint: ")))
	}
}

// version is what the build said, else the module's version.
func (p Process) version() string {
	if p.Version != "" {
		return p.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// start does what must be done before any secret is in memory, and runs.
func start(ctx context.Context, p Process, set settings) error {
	level := slog.LevelInfo
	if set.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: journalTime(p)}))
	guard(ctx, log)
	listeners, err := inherited()
	if err != nil {
		return err
	}
	if len(listeners) == 0 && set.socket == "" {
		return leger.Invalid("socket", "there is no place for the socket: XDG_RUNTIME_DIR is not set").
			WithHint("sign in through systemd-logind, or give --socket PATH")
	}
	store, err := storeConfig(p, set, log)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "starting", slog.String("version", p.version()), slog.String("data", set.data), slog.String("key", store.From))
	client := podman.New(podman.Config{
		Socket: set.podmanSocket, RuntimeDir: set.runtimeDir,
		Runner: run.New(run.Config{Logger: log}), Env: run.MinimalEnv(p.Lookup), Logger: log,
	})
	err = Run(ctx, Config{
		Socket: set.socket, Listeners: listeners, Listen: set.listen, Store: store,
		Podman: client, Notify: systemd.SdNotify, Version: p.version(), Logger: log,
	})
	return errors.Join(err, client.Close())
}

// journalTime leaves the time out when the journal adds its own.
func journalTime(p Process) func([]string, slog.Attr) slog.Attr {
	_, journal := p.Lookup("JOURNAL_STREAM")
	return func(groups []string, a slog.Attr) slog.Attr {
		if journal && len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
}

// settings are what flags and environment say.
type settings struct {
	socket, data, listen, podmanSocket string
	runtimeDir                         string
	verbose, version, rekey            bool
	dataGiven                          bool // data is what the user said
}

// parse reads flags, then environment, then defaults. flag.ErrHelp when help was
// asked for; ErrInvalid for anything that is not understood.
func parse(p Process) (settings, error) {
	var s settings
	f := flag.NewFlagSet("legerd", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&s.socket, "socket", "", "")
	f.StringVar(&s.data, "data", "", "")
	f.StringVar(&s.listen, "listen", "", "")
	f.StringVar(&s.podmanSocket, "podman-socket", "", "")
	f.BoolVar(&s.verbose, "verbose", false, "")
	f.BoolVar(&s.version, "version", false, "")
	if err := f.Parse(p.Args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return s, err
		}
		return s, leger.Wrap(leger.CodeInvalid, err, "wrong flags").WithHint("legerd --help")
	}
	if f.NArg() > 0 {
		if err := s.command(f); err != nil {
			return s, err
		}
	}
	if s.version {
		return s, nil
	}
	return s, s.complete(p.Lookup)
}

// command reads the word that is no flag, and the flags behind it.
func (s *settings) command(f *flag.FlagSet) error {
	word := f.Arg(0)
	switch word {
	case "version":
		s.version = true
	case "rekey":
		s.rekey = true
	case "help":
		return flag.ErrHelp
	default:
		return leger.Invalid("args", "%.40q is not a command of legerd", word).WithHint("legerd --help")
	}
	switch err := f.Parse(f.Args()[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return leger.Wrap(leger.CodeInvalid, err, "wrong flags").WithHint("legerd --help")
	case f.NArg() > 0:
		return leger.Invalid("args", "legerd %s takes no %.40q", word, f.Arg(0)).WithHint("legerd --help")
	case s.rekey && (s.listen != "" || s.podmanSocket != ""):
		return leger.Invalid("args", "legerd rekey takes --socket and --data only").WithHint("legerd --help")
	}
	return nil
}

// complete fills in what no flag said.
func (s *settings) complete(lookup func(string) (string, bool)) error {
	for name, field := range map[string]*string{
		"LEGERD_SOCKET": &s.socket, "LEGERD_DATA": &s.data, "LEGERD_PODMAN_SOCKET": &s.podmanSocket,
	} {
		if *field != "" {
			continue
		}
		value, _, err := environ.Lookup(lookup).Value(name)
		if err != nil {
			return err
		}
		*field = value
	}
	s.runtimeDir, _ = lookup("XDG_RUNTIME_DIR")
	if s.socket == "" && s.runtimeDir != "" {
		s.socket = localvault.SocketPath(s.runtimeDir)
	}
	if s.data != "" {
		s.dataGiven = true
		return nil
	}
	base, _ := lookup("XDG_DATA_HOME")
	if home, _ := lookup("HOME"); base == "" && home != "" {
		base = filepath.Join(home, ".local", "share")
	}
	if base == "" {
		return leger.Invalid("data", "there is no place for the store: neither HOME nor XDG_DATA_HOME is set").
			WithHint("give --data DIR")
	}
	s.data = filepath.Join(base, "leger", "legerd")
	return nil
}
