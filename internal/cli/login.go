package cli

import (
	"context"
	"errors"
	"net/mail"
	"net/url"
	"runtime"
	"strconv"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/run"
	"leger.run/leger/internal/settings"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/tailnet"
	"leger.run/leger/internal/token"
)

// openPatience is how long xdg-open may take to hand the link to a browser. Some
// desktops keep it running as long as the browser; then it is left to itself.
const openPatience = 3 * time.Second

type login struct {
	noBrowser     bool
	localIdentity string // e-mail; "" asks Tailscale
}

// loginJSON is what a sign-in prints in --json. Link works once, for 2 minutes.
type loginJSON struct {
	authJSON
	Link          string    `json:"link"`
	LinkExpiresAt time.Time `json:"link_expires_at"`
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
	accepted, err := anon.AuthMethods(ctx)
	if err != nil {
		return err
	}
	if _, err := signin.Choose(anon.Server(), accepted); err != nil {
		return err
	}
	secret, err := a.sharedSecret()
	if err != nil {
		return err
	}
	id, err := a.identity(ctx, in, anon)
	if err != nil {
		return err
	}
	auth, err := a.signIn(ctx, anon.Server(), secret, id)
	if err != nil {
		return err
	}
	auth.Local = in.localIdentity != ""
	file, err := a.signInFile()
	if err != nil {
		return err
	}
	former, formerErr := file.Read()
	if err := file.Write(auth); err != nil {
		return err
	}
	a.say("Signed in at %s until %s.", auth.Server, auth.ExpiresAt.Local().Format("2 January 2006"))
	if formerErr == nil && former.ExpiresAt.After(a.env.Now()) {
		if err := a.revoke(ctx, former); err != nil {
			a.detail("the former sign-in at %s was not revoked: %v", former.Server, err)
		}
	}
	return a.giveLink(ctx, in, auth, secret, id)
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
func (a *app) signIn(ctx context.Context, server string, secret token.Secret, id leger.Identity) (signin.SignIn, error) {
	in, err := a.signer(secret).In(ctx, server, id)
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
// opens or prints it.
func (a *app) giveLink(ctx context.Context, in login, auth signin.SignIn, secret token.Secret, id leger.Identity) error {
	text, claims, err := a.signer(secret).Sign(id, token.AudienceLink)
	if err != nil {
		return err
	}
	base, err := url.Parse(auth.Server)
	if err != nil {
		return leger.Wrap(leger.CodeInternal, err, "read the server's address")
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
		out := loginJSON{authJSON: signInJSON(auth), Link: link, LinkExpiresAt: claims.ExpiresAt.UTC(), BrowserOpened: opened}
		out.Confirmed = true
		return a.printJSON(out)
	}
	if opened {
		return nil
	}
	return a.print(link + "\n")
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
