package signin

import (
	"context"
	"errors"
	"io"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/wire"
)

// Applicant is a machine that has nothing to sign in with, and asks to be enrolled.
type Applicant struct {
	Server  *client.Client // without a credential
	About   About
	Version string // of this program
	Random  io.Reader
	Now     func() time.Time
	// Wait lasts that long, or ends early with the context's error.
	Wait func(context.Context, time.Duration) error

	key PrivateKey
}

// Application is what a machine shows while it waits for its owner.
type Application struct {
	Code            string
	VerificationURL string
	Fingerprint     string
	ExpiresAt       time.Time

	poll     string
	interval time.Duration
}

// Accept enrols the machine with an invitation. CodeInvalidToken: it is not good, or no
// longer.
func (a *Applicant) Accept(ctx context.Context, invitation string) (SignIn, error) {
	state, err := a.ask(ctx, invitation)
	if errors.Is(err, leger.ErrNotFound) {
		return SignIn{}, leger.Wrap(leger.CodeInvalidToken, err, "%s does not accept the invitation", a.Server.Server()).
			WithHint("an invitation works once, within an hour; make another one: leger machines invite")
	}
	if err != nil {
		return SignIn{}, err
	}
	return a.signIn(state)
}

// Apply asks for a code. A server that knows from Tailscale whose machine this is
// enrols it at once, and gives the sign-in instead. CodeForbidden: the server is older
// than codes, or does not take what Tailscale says.
func (a *Applicant) Apply(ctx context.Context) (Application, SignIn, error) {
	state, err := a.ask(ctx, "")
	if err == nil && state.State == wire.EnrolmentDone {
		in, err := a.signIn(state)
		return Application{}, in, err
	}
	app, err := a.application(state, err)
	return app, SignIn{}, err
}

func (a *Applicant) application(state wire.EnrolmentState, err error) (Application, error) {
	if errors.Is(err, leger.ErrNotFound) {
		return Application{}, leger.Wrap(leger.CodeForbidden, err, "%s enrols machines with the shared secret only", a.Server.Server()).
			WithHint("update the server, or: leger config set auth.shared_secret_file FILE")
	}
	if err != nil {
		return Application{}, err
	}
	if state.State != wire.EnrolmentWaits || state.Code == "" || state.Poll == "" || state.ExpiresAt == nil {
		return Application{}, leger.Errorf(leger.CodeInternal, "%s gave no code", a.Server.Server()).WithHint("update leger: the server may be newer")
	}
	own := a.key.Public().Fingerprint()
	return Application{
		Code: state.Code, VerificationURL: state.VerificationURL, Fingerprint: own, ExpiresAt: state.ExpiresAt.Time,
		poll: state.Poll, interval: time.Duration(max(1, state.Interval)) * time.Second,
	}, nil
}

// Await asks until the machine is enrolled. CodeInvalidToken: it was denied, or the
// code's time is over. A server that is away for a moment is asked again.
func (a *Applicant) Await(ctx context.Context, app Application) (SignIn, error) {
	for {
		if err := a.Wait(ctx, app.interval); err != nil {
			return SignIn{}, err
		}
		state, err := a.Server.PollEnrolment(ctx, app.poll)
		switch {
		case err == nil && state.State == wire.EnrolmentDone:
			return a.signIn(state)
		case errors.Is(err, leger.ErrNotFound) || (err != nil && !a.Now().Before(app.ExpiresAt)):
			return SignIn{}, leger.Wrap(leger.CodeInvalidToken, err, "this machine was not enrolled: the code was denied, or its time is over").
				WithHint("leger auth login shows a new one")
		case err != nil && !passes(err):
			return SignIn{}, err
		}
	}
}

// passes reports whether waiting may help.
func passes(err error) bool {
	return errors.Is(err, leger.ErrUnreachable) || errors.Is(err, leger.ErrUnavailable) || errors.Is(err, leger.ErrRateLimited)
}

// ask makes a key, and shows the server its public half.
func (a *Applicant) ask(ctx context.Context, invitation string) (wire.EnrolmentState, error) {
	var err error
	if a.key, err = NewPrivateKey(a.Random); err != nil {
		return wire.EnrolmentState{}, err
	}
	return a.Server.AskToEnrol(ctx, wire.EnrolmentAsk{
		Name: a.About.Name, UnixUser: a.About.UnixUser, DeviceID: a.About.DeviceID, PublicKey: a.key.Public().String(),
		CLIVersion: a.Version, Invitation: invitation,
	})
}

// signIn is the sign-in of a machine that is enrolled.
func (a *Applicant) signIn(state wire.EnrolmentState) (SignIn, error) {
	if state.State != wire.EnrolmentDone || state.User == nil || state.Machine == nil || state.Machine.Fingerprint != a.key.Public().Fingerprint() {
		return SignIn{}, leger.Errorf(leger.CodeInternal, "%s enrolled another machine than this one", a.Server.Server()).
			WithHint("is this the address of your own server? leger config get server")
	}
	u := state.User
	return SignIn{
		Server: a.Server.Server(), UserUUID: u.UserUUID, Email: u.Email, Tailnet: u.Tailnet, TailscaleUserID: u.TailscaleUserID,
		DeviceID: a.About.DeviceID, Method: leger.SignInMachine, EnrolledBy: state.Machine.EnrolledBy, IssuedAt: a.Now().UTC(),
		MachineID: state.Machine.ID, Key: a.key, Role: state.Machine.Role,
	}, nil
}
