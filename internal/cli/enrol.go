package cli

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/wire"
)

// invitation finds the invitation that this machine was given, "" for none: in the
// file of the flag ("-" is standard input), else LEGER_INVITATION, its file, or the
// systemd credential. Never in an argument, which other users of the machine can see.
func (a *app) invitation(in login) (string, error) {
	const long = 4096
	switch in.invitationFile {
	case "":
		text, _, err := a.env.lookup("LEGER_INVITATION")
		return strings.TrimSpace(text), err
	case "-":
		b, err := io.ReadAll(io.LimitReader(a.env.Stdin, long))
		if err != nil {
			return "", leger.Wrap(leger.CodeInvalid, err, "read the invitation from standard input")
		}
		return strings.TrimSpace(string(b)), nil
	}
	text, err := environ.ReadFile(in.invitationFile)
	if err != nil {
		return "", leger.WrapFile(leger.CodeInvalid, err, "read the invitation")
	}
	return strings.TrimSpace(text), nil
}

// applicant is this machine, which has nothing to sign in with.
func (a *app) applicant(anon *client.Client) (*signin.Applicant, error) {
	about, err := a.about(signin.SignIn{})
	if err != nil {
		return nil, err
	}
	return &signin.Applicant{
		Server: anon, About: about, Version: a.env.Version, Random: a.env.Random, Now: a.env.Now, Wait: a.wait,
	}, nil
}

// wait lasts that long, or until the command is interrupted.
func (a *app) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-a.env.After(d):
		return nil
	case <-ctx.Done():
		return leger.Errorf(leger.CodeInterrupted, "interrupted")
	}
}

// signInInvited enrols this machine with an invitation.
func (a *app) signInInvited(ctx context.Context, anon *client.Client, invitation string, former signin.SignIn, file signin.File) error {
	if _, err := leger.ParseTicket("invitation", leger.InvitationPrefix, invitation); err != nil {
		return err
	}
	who, err := a.applicant(anon)
	if err != nil {
		return err
	}
	auth, err := who.Accept(ctx, invitation)
	if err != nil {
		return err
	}
	return a.keepEnrolled(ctx, auth, former, file)
}

// errNotVouched: Tailscale does not tell the server whose machine this is, and there is
// the shared secret to try before a code is shown.
var errNotVouched = errors.New("the server does not know from Tailscale whose machine this is")

// signInByCode asks to be enrolled. A server that knows from Tailscale whose machine
// this is does it at once; else it shows a code and waits until somebody who is signed
// in approves it. errNotVouched.
func (a *app) signInByCode(
	ctx context.Context, in login, anon *client.Client, accepted []leger.SignInMethod, former signin.SignIn, file signin.File,
) error {
	who, err := a.applicant(anon)
	if err != nil {
		return err
	}
	app, auth, err := who.Apply(ctx)
	switch {
	case err != nil:
		return err
	case auth.MachineID != "":
		return a.keepVouched(ctx, in, auth, former, file)
	case a.hasSecret(accepted):
		return errNotVouched
	}
	a.say("This machine is not known to %s yet. In a browser that is signed in there, open", anon.Server())
	a.say("    %s", app.VerificationURL)
	a.say("and enter the code  %s  within 10 minutes. Compare the fingerprint of this machine's key:", app.Code)
	a.say("    %s", app.Fingerprint)
	a.say("A machine that is signed in can approve it, too: leger machines approve %s", app.Code)
	if page, err := url.Parse(app.VerificationURL); err == nil && !in.noBrowser {
		page.RawQuery = url.Values{"code": {app.Code}}.Encode()
		a.openBrowser(ctx, page.String())
	}
	auth, err = who.Await(ctx, app)
	if err != nil {
		return err
	}
	return a.keepEnrolled(ctx, auth, former, file)
}

// keepVouched keeps the sign-in of a machine that the server knows from Tailscale.
func (a *app) keepVouched(ctx context.Context, in login, auth, former signin.SignIn, file signin.File) error {
	if err := a.keep(ctx, auth, former, file); err != nil {
		return err
	}
	if auth.Role != leger.RoleFull { // it signs no browser in
		return a.signedInWithoutLink(auth)
	}
	return a.giveLink(ctx, in, auth, signin.Signer{}, leger.Identity{})
}

// keepEnrolled keeps the sign-in of a machine that was enrolled by a code or an
// invitation.
func (a *app) keepEnrolled(ctx context.Context, auth, former signin.SignIn, file signin.File) error {
	if err := a.keep(ctx, auth, former, file); err != nil {
		return err
	}
	return a.signedInWithoutLink(auth)
}

// keep writes the sign-in of a machine that was enrolled without the shared secret. The
// former one, if any, is given up.
func (a *app) keep(ctx context.Context, auth, former signin.SignIn, file signin.File) error {
	if err := file.Write(auth); err != nil {
		_ = a.revoke(ctx, auth) // nobody holds its key
		return err
	}
	a.say("Signed in at %s as %s until %s.", auth.Server, auth.Email, until(auth))
	if former.Server != "" && !former.Ended(a.env.Now()) {
		if err := a.revoke(ctx, former); err != nil {
			a.detail("the former sign-in at %s was not revoked: %v", former.Server, err)
		}
	}
	return nil
}

// machinesApprove shows the machine that waits under a code, and makes it the user's.
func (a *app) machinesApprove(ctx context.Context, text string, terms wire.MachineTerms, yes bool) error {
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	code, err := leger.ParseEnrolmentCode(text)
	if err != nil {
		return err
	}
	e, err := c.Enrolment(ctx, code)
	if err != nil {
		return err
	}
	if !a.flags.quiet {
		a.errln(strings.TrimSuffix(lines(
			"machine", e.Name,
			"Unix user", e.UnixUser,
			"key", e.Fingerprint,
			"asked", a.when(e.AskedAt.Time)+" from "+e.AskedFrom,
		), "\n"))
	}
	if !yes {
		switch err := a.mustConfirm(ctx, "Does the machine show the same key, and is it yours?"); {
		case errors.Is(err, leger.ErrDeclined):
			if err := c.DenyEnrolment(ctx, code); err != nil {
				return err
			}
			return leger.Errorf(leger.CodeDeclined, "you answered no: the machine was denied")
		case err != nil:
			return err
		}
	}
	m, err := c.ApproveEnrolment(ctx, code, terms)
	if err != nil {
		return err
	}
	return a.printMachine(m)
}

// machinesInvite prints an invitation.
func (a *app) machinesInvite(ctx context.Context, terms wire.MachineTerms) error {
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	in, err := c.Invite(ctx, terms)
	if err != nil {
		return olderThanMachines(err)
	}
	if a.flags.json {
		return a.printJSON(in)
	}
	a.say("Whoever has this enrols one machine as %s, within an hour. On the machine:", in.Role)
	a.say("    leger auth login --server %s --invitation-file -", c.Server())
	return a.print(in.Text + "\n")
}
