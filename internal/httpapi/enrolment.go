package httpapi

import (
	"errors"
	"net/http"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// codeTries is how often a code is made anew that is another machine's at the moment:
// with leger.MaxEnrolments of 20^8 codes taken, one try is nearly always enough.
const codeTries = 3

// askToEnrol takes the request of a machine that is not signed in. With an invitation,
// or where Tailscale says whose it is, it is enrolled at once; else it gets a code, which its owner approves.
func (a *API) askToEnrol(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), a.Requests, "address "+Network(clientAddr(r))); err != nil {
		return err
	}
	if !a.accepts(leger.SignInMachine) {
		return leger.Errorf(leger.CodeForbidden, "machines with a key of their own are not accepted here").
			WithHint("whoever runs the server decides which ways to sign in it accepts")
	}
	body, err := decode[wire.EnrolmentAsk](w, r)
	if err != nil {
		return err
	}
	m, err := a.machineOf(r, wire.MachineEnrolment{
		Name: body.Name, UnixUser: body.UnixUser, DeviceID: body.DeviceID, PublicKey: body.PublicKey,
	})
	if err != nil {
		return err
	}
	m.CLIVersion = body.CLIVersion
	if err := m.Validate(); err != nil {
		return err
	}
	if body.Invitation != "" {
		return a.acceptInvitation(w, r, m, body.Invitation)
	}
	if done, err := a.enrolPeer(w, r, m); done || err != nil {
		return err
	}
	return a.giveCode(w, r, m)
}

// machineOf is what a machine says of itself, with a new id and of the role full.
func (a *API) machineOf(r *http.Request, body wire.MachineEnrolment) (leger.Machine, error) {
	key, err := leger.ParseMachineKey(body.PublicKey)
	if err != nil {
		return leger.Machine{}, err
	}
	id, err := leger.NewID(a.Random)
	if err != nil {
		return leger.Machine{}, err
	}
	now, addr := a.Now(), clientAddr(r)
	return leger.Machine{
		ID: id, Name: body.Name, UnixUser: body.UnixUser, DeviceID: body.DeviceID, Role: leger.RoleFull, Key: key,
		EnrolledAt: now, EnrolledFrom: addr, LastSeen: now, LastAddr: addr,
	}, nil
}

func (a *API) giveCode(w http.ResponseWriter, r *http.Request, m leger.Machine) error {
	poll, err := leger.NewTicket(a.Random, leger.PollPrefix)
	if err != nil {
		return err
	}
	e := leger.Enrolment{Poll: poll.Hash(), Machine: m, ExpiresAt: m.EnrolledAt.Add(leger.EnrolmentLifetime)}
	for range codeTries {
		if e.Code, err = leger.NewEnrolmentCode(a.Random); err != nil {
			return err
		}
		if err = a.Stores.AskToEnrol(r.Context(), e); !errors.Is(err, leger.ErrConflict) {
			break
		}
	}
	if err != nil {
		return err
	}
	expires := wire.At(e.ExpiresAt)
	return ok(w, wire.EnrolmentState{
		State: wire.EnrolmentWaits, Code: e.Code.String(), VerificationURL: a.origin + "/machines/connect", Poll: poll.Reveal(),
		Interval: int(leger.EnrolmentInterval.Seconds()), ExpiresAt: &expires, Fingerprint: m.Key.Fingerprint(),
	})
}

// acceptInvitation enrols a machine on the terms of who made the invitation. A wrong
// one is a wrong credential.
func (a *API) acceptInvitation(w http.ResponseWriter, r *http.Request, m leger.Machine, text string) error {
	ticket, err := leger.ParseTicket("invitation", leger.InvitationPrefix, text)
	if err != nil {
		return err
	}
	in, err := a.Stores.Invitation(r.Context(), ticket.Hash(), a.Now())
	if err != nil {
		return a.refusedInvitation(r, err)
	}
	m.User, m.Role, m.Groups, m.EnrolledBy = in.User, in.Role, in.Groups, leger.SignInInvitation
	if in.Name != "" {
		m.Name = in.Name
	}
	e := a.stranger(r, leger.AuditEvent{})
	e.User, e.Action, e.Subject, e.Detail = in.User, leger.ActionMachineEnrol, m.ID, enrolDetail(m)
	if m, err = a.Stores.AcceptInvitation(r.Context(), in, m, e); err != nil {
		return a.refusedInvitation(r, err)
	}
	return a.enrolled(w, r, m)
}

// refusedInvitation makes a wrong invitation count as a wrong credential.
func (a *API) refusedInvitation(r *http.Request, err error) error {
	if !errors.Is(err, leger.ErrNotFound) {
		return err
	}
	if limited := allow(r.Context(), a.Refusals, "address "+Network(clientAddr(r))); limited != nil {
		return limited
	}
	a.auditRefusal(r, leger.AuditEvent{Action: leger.ActionSignInRefused, Detail: "no such invitation"})
	return err
}

// enrolled tells a machine whose it is. It proved that it may know: by the ticket that
// only it has.
func (a *API) enrolled(w http.ResponseWriter, r *http.Request, m leger.Machine) error {
	u, err := a.Stores.User(r.Context(), m.User)
	if err != nil {
		return err
	}
	user, machine := wire.UserOf(u), wire.MachineOf(m)
	return ok(w, wire.EnrolmentState{State: wire.EnrolmentDone, User: &user, Machine: &machine})
}

// pollEnrolment tells a machine what became of its request.
func (a *API) pollEnrolment(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), a.Requests, "address "+Network(clientAddr(r))); err != nil {
		return err
	}
	body, err := decode[wire.EnrolmentPoll](w, r)
	if err != nil {
		return err
	}
	ticket, err := leger.ParseTicket("poll", leger.PollPrefix, body.Poll)
	if err != nil {
		return err
	}
	e, err := a.Stores.PollEnrolment(r.Context(), ticket.Hash(), a.Now())
	if err != nil {
		return err
	}
	if e.Approved == "" {
		expires := wire.At(e.ExpiresAt)
		return ok(w, wire.EnrolmentState{State: wire.EnrolmentWaits, Interval: int(leger.EnrolmentInterval.Seconds()), ExpiresAt: &expires})
	}
	m, _, err := a.Stores.MachineUser(r.Context(), e.Approved)
	if err != nil {
		return err
	}
	return a.enrolled(w, r, m)
}

// enrolment shows what waits under a code.
func (a *API) enrolment(w http.ResponseWriter, r *http.Request, c caller) error {
	e, err := a.waiting(r, c)
	if err != nil {
		return err
	}
	return ok(w, wire.EnrolmentOf(e))
}

func (a *API) waiting(r *http.Request, c caller) (leger.Enrolment, error) {
	code, err := leger.ParseEnrolmentCode(r.PathValue("code"))
	if err != nil {
		return leger.Enrolment{}, err
	}
	return a.Stores.Enrolment(r.Context(), c.user.ID, code, a.Now())
}

// approveEnrolment makes the machine that waits under a code the caller's.
func (a *API) approveEnrolment(w http.ResponseWriter, r *http.Request, c caller) error {
	e, err := a.waiting(r, c)
	if err != nil {
		return err
	}
	body, err := decodeOptional[wire.MachineTerms](w, r)
	if err != nil {
		return err
	}
	name, role, groups, err := terms(body, leger.RoleFull)
	if err != nil {
		return err
	}
	m := e.Machine
	if m.ID, err = leger.NewID(a.Random); err != nil {
		return err
	}
	if name != "" {
		m.Name = name
	}
	now := a.Now()
	m.User, m.Role, m.Groups, m.EnrolledBy = c.user.ID, role, groups, leger.SignInCode
	m.EnrolledAt, m.LastSeen, m.LastAddr = now, now, m.EnrolledFrom
	ev := a.event(r, c)
	ev.Action, ev.Subject, ev.Detail = leger.ActionMachineEnrol, m.ID, enrolDetail(m)
	if m, err = a.Stores.ApproveEnrolment(r.Context(), e.Code, m, ev); err != nil {
		return err
	}
	return ok(w, wireMachine(m, c))
}

func enrolDetail(m leger.Machine) string { return cut(m.Name+" "+m.Key.Fingerprint(), 200) }

// terms reads what a machine is enrolled as.
func terms(body wire.MachineTerms, otherwise leger.MachineRole) (string, leger.MachineRole, []string, error) {
	if body.Name != "" {
		if err := leger.ParseMachineName(body.Name); err != nil {
			return "", "", nil, err
		}
	}
	role := otherwise
	if body.Role != "" {
		var err error
		if role, err = leger.ParseMachineRole(string(body.Role)); err != nil {
			return "", "", nil, err
		}
	}
	groups, err := leger.ParseMachineGroups(body.Groups)
	return body.Name, role, groups, err
}

// denyEnrolment forgets the machine that waits under a code.
func (a *API) denyEnrolment(w http.ResponseWriter, r *http.Request, c caller) error {
	e, err := a.waiting(r, c)
	if err != nil {
		return err
	}
	ev := a.event(r, c)
	ev.Action, ev.Detail = leger.ActionMachineDeny, enrolDetail(e.Machine)
	if err := a.Stores.DenyEnrolment(r.Context(), e.Code, ev); err != nil {
		return err
	}
	return ok(w, wire.Deleted{Deleted: true})
}

func (a *API) invitations(w http.ResponseWriter, r *http.Request, c caller) error {
	list, err := a.Stores.Invitations(r.Context(), c.user.ID, a.Now())
	if err != nil {
		return err
	}
	out := wire.Invitations{Invitations: make([]wire.Invitation, len(list))}
	for i, in := range list {
		out.Invitations[i] = wire.InvitationOf(in)
	}
	return ok(w, out)
}

// invite makes an invitation, whose text is given here and nowhere else.
func (a *API) invite(w http.ResponseWriter, r *http.Request, c caller) error {
	body, err := decodeOptional[wire.MachineTerms](w, r)
	if err != nil {
		return err
	}
	name, role, groups, err := terms(body, leger.RoleDeliver)
	if err != nil {
		return err
	}
	in, ticket, err := a.newInvitation(c.user.ID)
	if err != nil {
		return err
	}
	in.Name, in.Role, in.Groups = name, role, groups
	ev := a.event(r, c)
	ev.Action, ev.Subject, ev.Detail = leger.ActionMachineInvite, in.ID, inviteDetail(in)
	if err := a.Stores.Invite(r.Context(), in, ev); err != nil {
		return err
	}
	return ok(w, wire.InvitationMade{Invitation: wire.InvitationOf(in), Text: ticket.Reveal()})
}

func inviteDetail(in leger.Invitation) string { return cut(string(in.Role)+" "+in.Name, 200) }

// newInvitation makes an invitation of a user, and its ticket.
func (a *API) newInvitation(user leger.UserID) (leger.Invitation, leger.Ticket, error) {
	id, err := leger.NewID(a.Random)
	if err != nil {
		return leger.Invitation{}, leger.Ticket{}, err
	}
	ticket, err := leger.NewTicket(a.Random, leger.InvitationPrefix)
	now := a.Now()
	return leger.Invitation{
		ID: id, User: user, Ticket: ticket.Hash(), CreatedAt: now, ExpiresAt: now.Add(leger.InvitationLifetime),
	}, ticket, err
}

func (a *API) withdrawInvitation(w http.ResponseWriter, r *http.Request, c caller) error {
	id := r.PathValue("id")
	if !leger.ValidID(id) {
		return leger.Invalid("id", "the invitation's id is not a UUID")
	}
	ev := a.event(r, c)
	ev.Action, ev.Subject = leger.ActionMachineUninvite, id
	if err := a.Stores.WithdrawInvitation(r.Context(), c.user.ID, id, ev); err != nil {
		return err
	}
	return ok(w, wire.Deleted{Deleted: true})
}
