package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/wire"
)

// validateTailnet signs a browser in as who Tailscale says it is: one click, and
// nothing to copy.
func (a *API) validateTailnet(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), a.Requests, "address "+Network(clientAddr(r))); err != nil {
		return err
	}
	if !a.cookie.mayHold(r) {
		return errPlainHTTP()
	}
	peer, err := a.person(r)
	if err != nil {
		return a.refusedPeer(r, err)
	}
	session, id, err := a.newSession(r, peer.Identity.UserID())
	if err != nil {
		return err
	}
	u, err := a.signIn(r, proof{identity: peer.Identity, peer: &peer}, session)
	if err != nil {
		return err
	}
	in, err := a.Stores.Installation(r.Context())
	if err != nil {
		return err
	}
	a.cookie.set(w, id, session.ExpiresAt)
	return ok(w, wire.Validated{User: wire.UserOf(u), Installation: wire.InstallationOf(in)})
}

// peer asks Tailscale who sent a request. ErrForbidden, with what to do, when it does
// not say, or the request is not for this server by its own name: a page of a name that
// an attacker points here must not be signed in as whoever looks at it.
func (a *API) peer(r *http.Request) (leger.Peer, error) {
	if !a.accepts(leger.SignInTailnet) || a.WhoIs == nil {
		return leger.Peer{}, leger.Errorf(leger.CodeForbidden, "this server does not ask Tailscale who you are").
			WithHint("sign in with: leger auth login")
	}
	own, err := token.Origin(strings.SplitN(a.origin, ":", 2)[0] + "://" + r.Host)
	if err != nil || own != a.origin {
		return leger.Peer{}, leger.Errorf(leger.CodeForbidden, "Tailscale's word counts under this server's own name only").
			WithHint("open %s", a.origin)
	}
	peer, err := a.WhoIs(r)
	switch {
	case errors.Is(err, leger.ErrNotFound):
		return leger.Peer{}, leger.Wrap(leger.CodeForbidden, err, "Tailscale does not say who you are").
			WithHint("open %s on a device that is signed in to your tailnet, or sign in with: leger auth login", a.origin)
	case err != nil: // what is wrong with this server's Tailscale is for its log
		return leger.Peer{}, leger.Wrap(leger.CodeUnavailable, err, "this server's Tailscale does not answer").
			WithHint("try again in a moment; on the server: tailscale status")
	case a.NeedsGrant && peer.Machine == nil && !peer.Access:
		return leger.Peer{}, leger.Errorf(leger.CodeForbidden, "your tailnet's policy does not let this device sign in to Leger").
			WithHint("whoever looks after the tailnet may grant it %s", leger.GrantAccess)
	}
	return peer, nil
}

// person is peer where that is somebody.
func (a *API) person(r *http.Request) (leger.Peer, error) {
	peer, err := a.peer(r)
	if err == nil && !peer.Person() {
		err = leger.Errorf(leger.CodeForbidden, "this device is tagged (%s): it belongs to the tailnet, not to a person", cut(strings.Join(peer.Tags, ", "), 100)).
			WithHint("enrol it with an invitation (leger machines invite), or grant it %s in the tailnet's policy", leger.GrantMachine)
	}
	return peer, err
}

// refusedPeer slows down and records who is nobody to Tailscale.
func (a *API) refusedPeer(r *http.Request, err error) error {
	if !errors.Is(err, leger.ErrForbidden) {
		return err
	}
	if limited := allow(r.Context(), a.Refusals, "address "+Network(clientAddr(r))); limited != nil {
		return limited
	}
	a.auditRefusal(r, leger.AuditEvent{Action: leger.ActionSignInRefused, Detail: cut("tailnet: "+err.Error(), 200)})
	return err
}

// enrolPeer enrols a machine that Tailscale vouches for, without a question: as its
// user's, or on the terms of the tailnet's policy. False: Tailscale vouches for nobody
// there, and the machine shows a code.
func (a *API) enrolPeer(w http.ResponseWriter, r *http.Request, m leger.Machine) (bool, error) {
	if !a.accepts(leger.SignInTailnet) {
		return false, nil
	}
	peer, err := a.peer(r)
	switch {
	case errors.Is(err, leger.ErrForbidden):
		return false, nil
	case err != nil:
		return false, err
	}
	m.DeviceID, m.EnrolledBy = peer.Node, leger.SignInTailnet
	switch {
	case peer.Person():
		u, err := a.signIn(r, proof{identity: peer.Identity, peer: &peer, cliVersion: m.CLIVersion}, nil)
		if err != nil {
			return false, err
		}
		m.User = u.ID
	case peer.Machine != nil:
		u, err := a.Stores.UserByEmail(r.Context(), peer.Machine.Owner)
		if errors.Is(err, leger.ErrNotFound) {
			return false, leger.Wrap(leger.CodeForbidden, err, "the tailnet's policy gives this device to %s, who has no account here", cut(peer.Machine.Owner, 100)).
				WithHint("that person signs in once at %s; then try again", a.origin)
		} else if err != nil {
			return false, err
		}
		m.User, m.Role, m.Groups = u.ID, peer.Machine.Role, peer.Machine.Groups
	default:
		return false, nil
	}
	e := a.stranger(r, leger.AuditEvent{})
	e.User, e.DeviceID, e.Action, e.Subject, e.Detail = m.User, peer.Node, leger.ActionMachineEnrol, m.ID, enrolDetail(m)
	m, _, err = a.Stores.EnrolMachine(r.Context(), m, e)
	if err != nil {
		return false, err
	}
	return true, a.enrolled(w, r, m)
}
