package cli

import (
	"context"
	"errors"
	"net/mail"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/report"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/settings"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/tailnet"
	"leger.run/leger/internal/terminal"
	"leger.run/leger/internal/token"
)

// openPatience is how long xdg-open may take to hand the link to a browser. Some
// desktops keep it running as long as the browser; then it is left to itself.
const openPatience = 3 * time.Second

type login struct {
	noBrowser     bool
	localIdentity string // e-mail; "" asks Tailscale
	// invitationFile holds an invitation; "-" is standard input.
	invitationFile string
}

// loginJSON is what a sign-in prints in --json. Link works once, for 2 minutes; there
// is none where a code or an invitation enrolled the machine just now.
type loginJSON struct {
	authJSON
	Link          string    `json:"link,omitempty"`
	LinkExpiresAt time.Time `json:"link_expires_at,omitzero"`
	BrowserOpened bool      `json:"browser_opened"`
}

// login asks how one signs in at the server, finds out who this is, lets the server
// check it, keeps the sign-in, and gives a link for the browser. It waits for nothing.
func (a *app) login(ctx context.Context, in login) error {
	server, err := a.value(settings.Server)
	if err != nil {
		return err
	}
	anon, err := a.client(server, "")
	if err != nil {
		return err
	}
	if in.localIdentity != "" && !anon.IsLoopback() {
		return leger.Errorf(leger.CodeForbidden,
			"--local-identity works only at a server on this machine, and %s is not", anon.Server()).
			WithHint("leave the flag out to sign in through Tailscale")
	}
	accepted, origin, err := anon.AuthMethods(ctx)
	if err != nil {
		return err
	}
	if err := signin.CheckName(anon.Server(), origin); err != nil {
		return err
	}
	if _, err := signin.Choose(anon.Server(), accepted); err != nil {
		return err
	}
	file, err := a.signInFile()
	if err != nil {
		return err
	}
	former, err := file.Read()
	if err != nil {
		former = signin.SignIn{}
	}
	if again, err := a.signedInAlready(ctx, in, anon, former, file); again || err != nil {
		return err
	}
	ownKey := slices.Contains(accepted, leger.SignInMachine)
	invitation, err := a.invitation(in)
	if err != nil {
		return err
	}
	if invitation != "" {
		return a.signInInvited(ctx, anon, invitation, former, file)
	}
	onTailnet := slices.Contains(accepted, leger.SignInTailnet)
	if ownKey && in.localIdentity == "" && (onTailnet || !a.hasSecret(accepted)) {
		if err := a.signInByCode(ctx, in, anon, accepted, former, file); !errors.Is(err, errNotVouched) {
			return err
		}
	}
	return a.signInAnew(ctx, in, anon, former, file, ownKey)
}

// hasSecret reports whether this machine has a shared secret, and the server takes it.
func (a *app) hasSecret(accepted []leger.SignInMethod) bool {
	src, err := a.sharedSecretSource()
	return slices.Contains(accepted, leger.SignInSharedSecret) && (err != nil || src.From != "")
}

// signedInAlready gives a browser its link where the machine signs in with a key of
// its own, which the server takes, and the user is still the same. Nothing else is
// needed then: no shared secret, and no Tailscale. The server may be another one, to which
// the former one's data was moved: then the sign-in is one at that from now on. What it is
// asked with is a token for it alone.
func (a *app) signedInAlready(
	ctx context.Context, in login, anon *client.Client, former signin.SignIn, file signin.File,
) (bool, error) {
	if former.MachineID == "" || (in.localIdentity != "" && in.localIdentity != former.Email) {
		return false, nil
	}
	byIdentity := former.EnrolledBy == leger.SignInSharedSecret || former.EnrolledBy == leger.SignInTailnet
	if in.localIdentity == "" && byIdentity {
		if id, err := tailnet.New(a.tailnetConfig()).Identity(ctx); err == nil && id.UserID() != former.UserUUID {
			return false, nil
		}
	}
	from := former.Server
	former.Server = anon.Server()
	c, err := a.clientOf(former.Server, former)
	if err != nil {
		return false, err
	}
	profile, err := c.Profile(ctx)
	switch {
	case errors.Is(err, leger.ErrInvalidToken):
		return false, nil // it was revoked, or was never known there
	case err != nil:
		return false, err
	}
	if former.Server != from {
		if err := file.Write(former); err != nil {
			return false, err
		}
		a.say("%s knows this machine's key: the data of %s is there now.", former.Server, from)
	}
	a.say("You are signed in at %s as %s, by this machine's own key.", former.Server, former.Email)
	if profile.Machine != nil && profile.Machine.Role != leger.RoleFull { // it signs no browser in
		return true, a.signedInWithoutLink(former)
	}
	return true, a.giveLink(ctx, in, former, signin.Signer{}, leger.Identity{})
}

// signInAnew signs in with the shared secret. ownKey: the server takes a key of the
// machine's own, which is used from then on.
func (a *app) signInAnew(ctx context.Context, in login, anon *client.Client, former signin.SignIn, file signin.File, ownKey bool) error {
	secret, err := a.sharedSecret()
	if err != nil {
		return err
	}
	id, err := a.identity(ctx, in, anon)
	if err != nil {
		return err
	}
	auth, err := a.signIn(ctx, anon.Server(), secret, id, ownKey)
	if err != nil {
		return err
	}
	auth.Local = in.localIdentity != ""
	if ownKey {
		if auth, err = a.enrol(ctx, a.signer(secret), auth, former); err != nil {
			return err
		}
	}
	if err := file.Write(auth); err != nil {
		if auth.MachineID != former.MachineID { // nobody holds its key
			_ = a.revoke(ctx, auth)
		}
		return err
	}
	a.say("Signed in at %s until %s.", auth.Server, until(auth))
	if ownKey {
		a.adviseOnSecret()
	}
	if !former.Ended(a.env.Now()) && (former.MachineID == "" || former.MachineID != auth.MachineID) {
		if err := a.revoke(ctx, former); err != nil {
			a.detail("the former sign-in at %s was not revoked: %v", former.Server, err)
		}
	}
	return a.giveLink(ctx, in, auth, a.signer(secret), id)
}

// identity asks Tailscale, or takes the e-mail given for a server on this machine.
func (a *app) identity(ctx context.Context, in login, c *client.Client) (leger.Identity, error) {
	if in.localIdentity == "" {
		id, err := tailnet.New(a.tailnetConfig()).Identity(ctx)
		if err != nil {
			return id, a.suggestLocal(err, c)
		}
		a.say("You are %s on %s (Tailscale).", id.Email, id.Tailnet)
		return id, nil
	}
	addr, err := mail.ParseAddress(in.localIdentity)
	if err != nil || addr.Address != in.localIdentity {
		return leger.Identity{}, leger.Invalid("local-identity", "--local-identity takes an e-mail address such as me@example.com")
	}
	id := leger.LocalIdentity(in.localIdentity)
	if err := id.Validate(); err != nil {
		return leger.Identity{}, err
	}
	a.warn("signing in as %s without Tailscale: nobody vouches for this identity, it is for a server on this machine only", id.Email)
	return id, nil
}

// suggestLocal tells of --local-identity where that would work.
func (a *app) suggestLocal(err error, c *client.Client) error {
	var e *leger.Error
	if c.IsLoopback() && errors.Is(err, leger.ErrMissingPart) && errors.As(err, &e) {
		return e.WithHint("%s\n      or, as this server is on this machine: leger auth login --local-identity you@example.com", e.Hint)
	}
	return err
}

func (a *app) tailnetConfig() tailnet.Config {
	c := tailnet.Config{Socket: a.env.get("LEGER_TAILSCALE_SOCKET"), Now: a.env.Now}
	c.StatusCommand = func(ctx context.Context, peers bool) ([]byte, error) {
		var args []string
		if c.Socket != "" {
			args = append(args, "--socket="+c.Socket)
		}
		args = append(args, "status", "--json", "--peers="+strconv.FormatBool(peers))
		res, err := a.runner().Run(ctx, run.Command{
			Path: "tailscale", Args: args, Env: run.MinimalEnv(a.env.LookupEnv), MaxOutput: tailnet.MaxStatus,
		})
		return res.Stdout, err
	}
	return c
}

// signIn makes the access token and lets the server check it.
func (a *app) signIn(ctx context.Context, server string, secret token.Secret, id leger.Identity, brief bool) (signin.SignIn, error) {
	in, err := a.signer(secret).In(ctx, server, id, brief)
	if !fromServer(err) || !errors.Is(err, leger.ErrInvalidToken) {
		return in, err
	}
	src, _ := a.sharedSecretSource()
	from := src.From
	if src.File != "" {
		from += ", " + src.File
	}
	return in, leger.Wrap(leger.CodeInvalidToken, nil, "%s did not accept the sign-in: the shared secret is not the server's, or the clocks differ", server).
		WithHint("compare the shared secret (%s) with the server's, then: leger doctor", from)
}

// giveLink makes the browser's link, with a token of its own that works once, and
// opens or prints it. A server takes no browser over plain http, but for one on its
// own machine.
func (a *app) giveLink(ctx context.Context, in login, auth signin.SignIn, s signin.Signer, id leger.Identity) error {
	base, err := url.Parse(auth.Server)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "read the server's address")
	}
	if base.Scheme == "http" && token.LoopbackOrigin(base.Host) == "" {
		a.say("No browser is signed in: %s is served over plain http, where its session could be read.", base.Host)
		return a.signedInWithoutLink(auth)
	}
	text, expires, err := a.linkToken(auth, s, id)
	if err != nil {
		return err
	}
	link := auth.Server + "/auth?token=" + url.QueryEscape(text)
	opened := !in.noBrowser && a.openBrowser(ctx, link)
	switch {
	case opened:
		a.say("Your browser opens a page of %s, signed in.", base.Host)
	default:
		a.say("Open this link of %s to sign a browser in. It works once, within %s:", base.Host, "2 minutes")
	}
	if a.flags.json {
		out := loginJSON{authJSON: signInJSON(auth), Link: link, LinkExpiresAt: expires.UTC(), BrowserOpened: opened}
		out.Confirmed = true
		return a.printJSON(out)
	}
	if opened {
		return nil
	}
	return a.print(link + "\n")
}

// signedInWithoutLink prints a sign-in that brings no browser along.
func (a *app) signedInWithoutLink(in signin.SignIn) error {
	if !a.flags.json {
		return nil
	}
	out := loginJSON{authJSON: signInJSON(in)}
	out.Confirmed = true
	return a.printJSON(out)
}

// linkToken makes the token of a link with the machine's own key, where it has one.
func (a *app) linkToken(auth signin.SignIn, s signin.Signer, id leger.Identity) (string, time.Time, error) {
	if auth.MachineID != "" {
		return a.tokens(auth).Link()
	}
	return s.Link(auth.Server, id)
}

// enrol makes this machine known to the server by a key of its own.
func (a *app) enrol(ctx context.Context, s signin.Signer, auth, former signin.SignIn) (signin.SignIn, error) {
	about, err := a.about(auth)
	if err != nil {
		return auth, err
	}
	return s.Enrol(ctx, auth, former, about)
}

// about is what this machine tells of itself when it is enrolled.
func (a *app) about(auth signin.SignIn) (signin.About, error) {
	name, err := a.env.Hostname()
	if err != nil || name == "" {
		name = "unnamed machine"
	}
	user, err := a.env.Username()
	if err != nil {
		return signin.About{}, leger.Wrap(leger.CodeMissingPart, err, "find out the name of your Unix user").
			WithHint("is it in /etc/passwd? getent passwd $(id -u)")
	}
	// By this id it reported until now, if it did.
	device, err := report.DeviceID(a.env.MachineID, a.env.Hostname, auth)
	if err != nil {
		device = ""
	}
	return signin.About{
		Name: terminal.Line(name, leger.MaxHostName), UnixUser: terminal.Line(user, leger.MaxUnixUser), DeviceID: device,
	}, nil
}

// adviseOnSecret: with a key of its own the machine does not need the secret, and
// whoever reads it can sign in as anybody.
func (a *app) adviseOnSecret() {
	if src, err := a.sharedSecretSource(); err == nil && src.File != "" && !src.Credential {
		a.say("This machine has a key of its own now, and needs the shared secret no more. Delete it here: rm %s", src.File)
	}
}

// openBrowser reports whether a browser took the link. The link is seen in the
// opener's arguments for a moment; there is no other way to hand it over, which
// is why its token works once and only for 2 minutes.
func (a *app) openBrowser(ctx context.Context, link string) bool {
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		opener = "open"
	} else if a.env.get("DISPLAY") == "" && a.env.get("WAYLAND_DISPLAY") == "" {
		return false
	}
	if a.env.get("SSH_CONNECTION") != "" || a.env.get("SSH_TTY") != "" {
		return false // the browser is at the other end
	}
	p, err := a.runner().Start(context.WithoutCancel(ctx), run.Command{
		Path: opener, Args: []string{link},
		Env: run.MinimalEnv(a.env.LookupEnv, "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_CURRENT_DESKTOP", "XDG_SESSION_TYPE", "BROWSER", "XDG_DATA_DIRS"),
	})
	if err != nil {
		a.detail("no browser was opened: %v", err)
		return false
	}
	type end struct {
		res run.Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		res, err := p.Wait()
		ended <- end{res, err}
	}()
	timer := time.NewTimer(openPatience)
	defer timer.Stop()
	select {
	case e := <-ended:
		return e.err == nil && e.res.Code == 0
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
