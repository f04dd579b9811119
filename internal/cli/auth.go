package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/terminal"
)

func (a *app) authCmd() *cobra.Command {
	var in login
	loginCmd := &cobra.Command{
		Use: "login", Short: "Sign in with this machine's Tailscale identity",
		Long: `Sign in with this machine's Tailscale identity. The server gets to know this machine
by a key of its own, which never leaves it: it is signed in until you sign out or
revoke it (leger machines revoke), and the shared secret is not needed on it any more.
An older server keeps no keys of machines: there a sign-in ends after 30 days.
A link that works once, for 2 minutes, signs a browser in too.

A server on your tailnet may know from Tailscale whose machine this is, and then asks
nothing. Else, without the shared secret, it shows a code, which you approve in a browser
that is signed in, or with leger machines approve. An invitation (leger machines invite) needs
nobody: it is read from a file, or from LEGER_INVITATION or LEGER_INVITATION_FILE.`,
		Example: `  leger auth login
  leger auth login --invitation-file /run/secrets/leger-invitation
  leger auth login --no-browser            # print the link instead of opening it
  leger auth login --server http://127.0.0.1:8787 --local-identity me@example.com`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.login(cmd.Context(), in) },
	}
	loginCmd.Flags().BoolVar(&in.noBrowser, "no-browser", false, "print the link, open nothing")
	loginCmd.Flags().StringVar(&in.localIdentity, "local-identity", "",
		"sign in as this e-mail without Tailscale; only at a server on this machine")
	loginCmd.Flags().StringVar(&in.invitationFile, "invitation-file", "", "enrol this machine with the invitation in a file; - reads it from standard input")
	logout := &cobra.Command{
		Use: "logout", Short: "Sign this machine out, on the server too",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.logout(cmd.Context()) },
	}
	status := &cobra.Command{
		Use: "status", Short: "Who is signed in here, and does the server agree",
		Example: "  leger auth status --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.authStatus(cmd.Context()) },
	}
	tok := &cobra.Command{
		Use: "token", Short: "Print a token, for scripts",
		Long: `Print a token, for scripts. A machine with a key of its own signs one that lives five
minutes; else it is the sign-in's own, which lives as long as the sign-in.`,
		Example: `  curl -H "Authorization: Bearer $(leger auth token)" "$(leger config get server)/api/secrets"`,
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.authToken() },
	}
	return group("auth", "Sign in and out", loginCmd, logout, status, tok)
}

// logout revokes the token and forgets it. Without the server it still forgets,
// and warns that the token itself lives on.
func (a *app) logout(ctx context.Context) error {
	file, err := a.signInFile()
	if err != nil {
		return err
	}
	f, unreadable := file.Read()
	if unreadable == nil && !f.Ended(a.env.Now()) {
		if err := a.revoke(ctx, f); err != nil {
			if errors.Is(err, leger.ErrInterrupted) {
				return err
			}
			a.warn("the server was not told (%v): a copy of %s", err, copyWorks(f))
		}
	}
	switch there, err := file.Remove(); {
	case err != nil:
		return err
	case !there:
		a.say("You were not signed in.")
	case unreadable == nil:
		a.say("%s is signed out of %s.", f.Email, f.Server)
	default:
		a.say("Signed out.")
	}
	return nil
}

// copyWorks says how long a copy of a sign-in that was not revoked works.
func copyWorks(f signin.SignIn) string {
	if f.MachineID != "" {
		return "this machine's key would work until you revoke the machine elsewhere: leger machines revoke"
	}
	return "the token would work until " + f.ExpiresAt.Local().Format(time.DateOnly)
}

// revoke makes a sign-in unusable. It does not wait long for a server that is away:
// the user wants to go on.
func (a *app) revoke(ctx context.Context, f signin.SignIn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := a.clientOf(f.Server, f)
	if err != nil {
		return err
	}
	return f.End(ctx, c)
}

// authJSON is the sign-in in --json.
type authJSON struct {
	Server          string `json:"server"`
	UserUUID        string `json:"user_uuid"`
	Email           string `json:"email"`
	Tailnet         string `json:"tailnet"`
	TailscaleUserID string `json:"tailscale_user_id"`
	DeviceID        string `json:"device_id,omitempty"`
	LocalIdentity   bool   `json:"local_identity"`
	// Method is how this machine signed in; ServerMethods, in auth status, are the
	// ways that the server accepts now.
	Method        leger.SignInMethod   `json:"method"`
	ServerMethods []leger.SignInMethod `json:"server_methods,omitempty"`
	// ExpiresAt is absent for a machine with a key of its own: it is signed in until it
	// is revoked.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	MachineID string    `json:"machine_id,omitempty"`
	// Fingerprint is the public key's, to compare with what leger machines list shows.
	Fingerprint string       `json:"fingerprint,omitempty"`
	Confirmed   bool         `json:"confirmed"` // the server took the token just now
	Error       *failureJSON `json:"error,omitempty"`
}

func signInJSON(f signin.SignIn) authJSON {
	out := authJSON{
		Server: f.Server, UserUUID: f.UserUUID.String(), Email: f.Email, Tailnet: f.Tailnet,
		TailscaleUserID: f.TailscaleUserID, DeviceID: f.DeviceID, LocalIdentity: f.Local, Method: f.Method,
		MachineID: f.MachineID,
	}
	if f.MachineID != "" {
		out.Fingerprint = f.Key.Public().Fingerprint()
	} else {
		out.ExpiresAt = f.ExpiresAt.UTC()
	}
	return out
}

// until says until when somebody is signed in.
func until(f signin.SignIn) string {
	if f.MachineID != "" {
		return "this machine is revoked"
	}
	return f.ExpiresAt.Local().Format("2 January 2006 15:04")
}

// authStatus shows the sign-in and asks the server whether it holds. An
// unreachable server is no reason to hide what is known here.
func (a *app) authStatus(ctx context.Context) error {
	f, c, err := a.signedIn()
	if err != nil {
		return err
	}
	_, askErr := c.User(ctx)
	if errors.Is(askErr, leger.ErrInterrupted) {
		return askErr
	}
	accepted, err := a.acceptedMethods(ctx, f, c, askErr)
	if err != nil {
		return err
	}
	out := signInJSON(f)
	out.ServerMethods = accepted
	out.Confirmed, out.Error = askErr == nil, failureOf(askErr)
	if a.flags.json {
		return a.printJSON(out)
	}
	if askErr != nil {
		a.warn("not confirmed: %v", askErr)
	}
	return a.print(lines(
		"server", f.Server,
		"user", f.Who(),
		"user id", f.UserUUID.String(),
		"device", f.DeviceID,
		"signed in by", string(f.Method),
		"machine", f.MachineID,
		"key", out.Fingerprint,
		"signed in until", until(f),
		"confirmed by the server", yesNo(askErr == nil),
	))
}

func (a *app) authToken() error {
	f, _, err := a.signedIn()
	if err != nil {
		return err
	}
	if f.MachineID != "" {
		text, err := a.tokens(f).Token()
		if err != nil {
			return err
		}
		a.warn("whoever has this token can read your secrets for the next 5 minutes")
		return a.print(text + "\n")
	}
	a.warn("whoever has this token can read your secrets until %s; leger auth logout revokes it", f.ExpiresAt.Local().Format(time.DateOnly))
	return a.print(f.Token + "\n")
}

// lines aligns label and value pairs; those without a value are left out.
func lines(pairs ...string) string {
	width := 0
	for pair := range slices.Chunk(pairs, 2) {
		width = max(width, len(pair[0]))
	}
	var out strings.Builder
	for pair := range slices.Chunk(pairs, 2) {
		if value := pair[len(pair)-1]; value != "" {
			out.WriteString(pad(pair[0]+":", width+2) + terminal.Hang(value, width+2) + "\n")
		}
	}
	return out.String()
}

func pad(s string, width int) string {
	for len(s) < width {
		s += " "
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
