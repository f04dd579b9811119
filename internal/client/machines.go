package client

import (
	"context"
	"net/http"
	"net/url"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// Machines lists the machines that sign in with a key of their own.
func (c *Client) Machines(ctx context.Context) ([]wire.Machine, error) {
	var out wire.Machines
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/api/machines", out: &out})
	return out.Machines, err
}

// EnrolMachine makes this machine known by its key. CodeNotFound from a server that
// is older than machines' keys; CodeConflict when the key is another user's.
func (c *Client) EnrolMachine(ctx context.Context, in wire.MachineEnrolment) (wire.MachineEnrolled, error) {
	var out wire.MachineEnrolled
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/api/machines", body: in, out: &out})
	return out, err
}

// ChangeMachine changes what the patch has. CodeNotFound.
func (c *Client) ChangeMachine(ctx context.Context, id string, in wire.MachinePatch) (wire.Machine, error) {
	var out wire.Machine
	_, err := c.do(ctx, request{method: http.MethodPatch, path: "/api/machines/" + url.PathEscape(id), body: in, out: &out})
	return out, err
}

// RevokeMachine ends a machine's access. CodeNotFound.
func (c *Client) RevokeMachine(ctx context.Context, id string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/api/machines/" + url.PathEscape(id)})
	return err
}

// AskToEnrol asks a server to enrol this machine, without a credential. CodeNotFound:
// the invitation is not good, or the server is older than the route.
func (c *Client) AskToEnrol(ctx context.Context, in wire.EnrolmentAsk) (wire.EnrolmentState, error) {
	var out wire.EnrolmentState
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/api/enrolments", body: in, out: &out})
	return out, err
}

// PollEnrolment asks what became of the request. CodeNotFound: it was denied, or its
// time is over.
func (c *Client) PollEnrolment(ctx context.Context, poll string) (wire.EnrolmentState, error) {
	var out wire.EnrolmentState
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/api/enrolments:poll", body: wire.EnrolmentPoll{Poll: poll}, out: &out})
	return out, err
}

// Enrolment gives the machine that waits under a code. CodeNotFound, CodeRateLimited.
func (c *Client) Enrolment(ctx context.Context, code leger.EnrolmentCode) (wire.Enrolment, error) {
	var out wire.Enrolment
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/api/enrolments/" + code.String(), out: &out})
	return out, err
}

// ApproveEnrolment makes the machine that waits under a code the user's.
func (c *Client) ApproveEnrolment(ctx context.Context, code leger.EnrolmentCode, in wire.MachineTerms) (wire.Machine, error) {
	var out wire.Machine
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/api/enrolments/" + code.String(), body: in, out: &out})
	return out, err
}

// DenyEnrolment forgets the machine that waits under a code.
func (c *Client) DenyEnrolment(ctx context.Context, code leger.EnrolmentCode) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/api/enrolments/" + code.String()})
	return err
}

// Invite makes an invitation for one machine. Its text is the caller's to keep secret.
func (c *Client) Invite(ctx context.Context, in wire.MachineTerms) (wire.InvitationMade, error) {
	var out wire.InvitationMade
	_, err := c.do(ctx, request{method: http.MethodPost, path: "/api/invitations", body: in, out: &out})
	return out, err
}
