package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/terminal"
)

// version is the program's own, as /health and `leger-server version` tell it.
// The build sets it with -ldflags "-X main.version=…".
var version = "0.1.0"

// program is one run of leger-server with all it takes from outside.
type program struct {
	args           []string
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	every          func(time.Duration) <-chan time.Time // as time.Tick
	random         io.Reader
	// listening, when not nil, is told the address once connections are taken.
	listening func(addr string)
}

const usage = `leger-server: Leger's API and web app, on an embedded database.

Usage:
  leger-server [flags]              serve until interrupted
  leger-server backup FILE [flags]  write a backup, while the server runs or not
  leger-server verify FILE [flags]  read a backup to its end and open every record in it
  leger-server restore FILE [flags] put a backup in place, after verifying it; also a
                                    database alone, as Litestream restores it
  leger-server export FILE [flags]  write the data as SQL for a database of Cloudflare's, while
                                    the server runs or not
  leger-server import FILE [flags]  put such SQL in place, or what wrangler d1 export wrote,
                                    after verifying it
  leger-server rekey [flags]        make a new encryption key and seal every record with
                                    it, while the server runs or not; can be interrupted
  leger-server rekey --shared-secret  make a new shared secret: tokens made with the former
                                    one are refused at once, and browsers signed out
  leger-server audit verify [flags] check that no event of the audit log was changed, removed
                                    or slipped in
  leger-server audit export [FILE]  write the audit log as JSON Lines, to FILE or to
                                    standard output
  leger-server audit restart --yes  after verify found what does not fit: keep the events as
                                    they are and begin to link them anew
  leger-server recovery-sheet       print the keys, as text to type and as QR codes
  leger-server restore-keys FILE    write the key files from such a sheet, typed or scanned
  leger-server login-link [flags]   print a sign-in link that works once, for 2 minutes
  leger-server version

Flags (in brackets: the environment variable that does the same; --data is for every
command, --public-url for login-link, too):
  --listen ADDR       where to listen: HOST:PORT, tailnet:PORT (this machine's own
                      addresses in the tailnet, with its certificate) or unix:PATH (for
                      tailscale serve), several with commas between; default
                      127.0.0.1:8787 [LEGER_LISTEN]
  --data DIR          database and keys; default $STATE_DIRECTORY, else
                      $XDG_DATA_HOME/leger-server [LEGER_DATA]
  --public-url URL    as browsers see the server; default http://HOST:PORT, or this
                      machine's name in the tailnet [LEGER_PUBLIC_URL]
  --rate-limit N      requests a second for each user, in bursts of 4N; 0 is no
                      limit; default 100 [LEGER_RATE_LIMIT]
  --new-database      make a new, empty database although the data directory has
                      keys of a former one; otherwise that is refused, since the
                      disk with the database may not be mounted

backup only (FILE may be - for standard output):
  --recipient AGE-KEY         encrypt to this public key (age1...); may be repeated
  --recipients-file PATH      encrypt to the public keys in this file
  --passphrase                encrypt with a passphrase, asked for without showing it
  --passphrase-file PATH      encrypt with the passphrase on this file's first line
  --with-keys                 put the keys in too; only if it is encrypted
  --force                     replace FILE if it exists

export only (FILE may be - for standard output; import takes - as standard input):
  --force                     replace FILE if it exists

verify and restore (FILE may be - for standard input):
  --identity PATH             a file with the secret key (AGE-SECRET-KEY-1...); may be
                              repeated
  --passphrase-file PATH      a file with the passphrase; otherwise it is asked for

rekey only:
  --forget-old                remove the former keys, once no record needs them
  --shared-secret             change the shared secret, and not the encryption key

audit verify only (while the server runs or not; ends with 1 when the log does not fit):
  --against FILE              hold the log against an earlier export, too: tells when the
                              whole database was put back to an earlier state
  --json                      print what was found as JSON

audit export only (while the server runs or not):
  --user EMAIL|ID             only this account's events; nobody: those of callers who
                              proved no account
  --since TIME, --until TIME  only events from this time on, and before this time, as in
                              2026-11-28 or 2026-11-28T14:30:00Z
  --force                     replace FILE if it exists

recovery-sheet only:
  --file PATH                 write the sheet to this file instead of the terminal

login-link only:
  --email ADDRESS             who signs in; needed
  --tailscale-user-id uN      their Tailscale user id; without it the e-mail
                              becomes an identity of this server alone
  --tailnet NAME              their tailnet; needed with --tailscale-user-id

Environment only:
  LEGER_AUTH               what is taken beside a machine's own key, codes and
                           invitations, with a comma between: tailnet (Tailscale is
                           asked who is calling) and shared-secret, the default
  LEGER_TAILNET_ACCESS     who of the tailnet may sign in: everyone, the default, or
                           granted (leger.run/cap/access in the tailnet's policy)
  LEGER_TAILSCALE_SOCKET   tailscaled's socket, where it is not the usual one
  LEGER_TRUST_LOOPBACK_PROXY  1 believes whatever connects from this machine over TCP
                           about whom it speaks for; do not, where others can log in
  JWT_SECRET               the secret shared with the leger command, 32 bytes or more
  ENCRYPTION_KEY           base64 of the 32 bytes that seal the secrets
  ENCRYPTION_KEY_PREVIOUS  former keys that still open, separated by commas

Every variable has a twin with _FILE behind its name that names a file holding
the value, and is read from a systemd credential of its name
($CREDENTIALS_DIRECTORY). A flag wins over the variable, the variable over its
file, the file over the credential. JWT_SECRET and ENCRYPTION_KEY are made at
the first start, in the data directory, when they are given nowhere. Files with
keys must be readable by the server's own user alone, and neither they nor the
data directory writable by others.

Ends with 0 when it is done, 2 for wrong usage or settings, 1 for all else.

Examples:
  leger-server --data /var/lib/leger --public-url https://leger.example.ts.net
  leger-server backup /mnt/usb/leger.backup --with-keys --passphrase
  leger-server restore /mnt/usb/leger.backup --data /var/lib/leger
`

// main runs the program and gives its exit code: 0 done, 1 failed, 2 wrong usage
// or settings.
func (p program) main(ctx context.Context) int {
	err := p.run(ctx)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	out := terminal.NewWriter(p.stderr)
	const name = "leger-server: "
	_ = out.Print(name, terminal.Hang(leger.WithoutPasswords(err.Error()), len(name)), "\n")
	var e *leger.Error
	if errors.As(err, &e) && e.Hint != "" {
		_ = out.Print("hint: ", terminal.Hang(e.Hint, len("hint: ")), "\n")
	}
	if errors.Is(err, leger.ErrInvalid) {
		return 2
	}
	return 1
}

func (p program) run(ctx context.Context) error {
	command := ""
	args := p.args
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	switch command {
	case "":
		return p.serve(ctx, args)
	case "backup":
		return p.backup(ctx, args)
	case "verify":
		return p.verifyBackup(ctx, args)
	case "restore":
		return p.restore(ctx, args)
	case "export":
		return p.export(ctx, args)
	case "import":
		return p.importSQL(ctx, args)
	case "rekey":
		return p.rekey(ctx, args)
	case "audit":
		return p.audit(ctx, args)
	case "recovery-sheet":
		return p.recoverySheet(args)
	case "restore-keys":
		return p.restoreKeys(ctx, args)
	case "login-link":
		return p.loginLink(args)
	case "version":
		_, err := fmt.Fprintf(p.stdout, "leger-server %s\n", version)
		return err
	case "help":
		_, err := io.WriteString(p.stdout, usage)
		return err
	default:
		return leger.Invalid("command", "there is no command %q", command).WithHint("leger-server --help")
	}
}

// flags makes an empty flag set that answers --help with usage and leaves errors
// to main.
func (p program) flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// parse parses flags alone.
func (p program) parse(fs *flag.FlagSet, args []string) error {
	if err := p.parseFlags(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return leger.Invalid("arguments", "unexpected argument %q", fs.Arg(0)).WithHint("leger-server --help")
	}
	return nil
}

// parseFlags parses flags up to the first operand.
func (p program) parseFlags(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(p.stdout, usage)
		return err
	case err != nil:
		return leger.Invalid("flags", "%v", err).WithHint("leger-server --help")
	}
	return nil
}
