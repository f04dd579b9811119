package httpapi

import (
	"net/http"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

func (a *API) machines(w http.ResponseWriter, r *http.Request, c caller) error {
	list, err := a.Stores.Machines(r.Context(), c.user.ID)
	if err != nil {
		return err
	}
	out := wire.Machines{Machines: make([]wire.Machine, len(list))}
	for i, m := range list {
		out.Machines[i] = wireMachine(m, c)
	}
	return ok(w, out)
}

// wireMachine marks the one that asks.
func wireMachine(m leger.Machine, c caller) wire.Machine {
	out := wire.MachineOf(m)
	out.Current = c.machine != nil && c.machine.ID == m.ID
	return out
}

// enrolMachine makes the caller's machine known by its key. A token made with the
// shared secret enrols; a browser has no key, and a machine has one already.
func (a *API) enrolMachine(w http.ResponseWriter, r *http.Request, c caller) error {
	if c.session != nil || c.machine != nil {
		return a.forbid(r, c, leger.Errorf(leger.CodeForbidden, "a machine is enrolled by the leger command on it").
			WithHint("on the machine: leger auth login"))
	}
	body, err := decode[wire.MachineEnrolment](w, r)
	if err != nil {
		return err
	}
	m, err := a.machineOf(r, body)
	if err != nil {
		return err
	}
	m.User, m.CLIVersion, m.EnrolledBy = c.user.ID, c.claims.CLIVersion, leger.SignInSharedSecret
	if err := m.Validate(); err != nil {
		return err
	}
	e := a.event(r, c)
	e.Action, e.Subject, e.Detail = leger.ActionMachineEnrol, m.ID, enrolDetail(m)
	m, created, err := a.Stores.EnrolMachine(r.Context(), m, e)
	if err != nil {
		return err
	}
	return ok(w, wire.MachineEnrolled{Machine: wireMachine(m, c), Created: created})
}

// changeMachine renames a machine, or changes what it may do.
func (a *API) changeMachine(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := machineID(r)
	if err != nil {
		return err
	}
	body, err := decode[wire.MachinePatch](w, r)
	if err != nil {
		return err
	}
	change := leger.MachineChange{Name: body.Name}
	if body.Name != nil {
		if err := leger.ParseMachineName(*body.Name); err != nil {
			return err
		}
	}
	if body.Role != nil {
		role, err := leger.ParseMachineRole(string(*body.Role))
		if err != nil {
			return err
		}
		change.Role = &role
	}
	if body.Groups != nil {
		groups, err := leger.ParseMachineGroups(*body.Groups)
		if err != nil {
			return err
		}
		change.Groups = &groups
	}
	if change == (leger.MachineChange{}) {
		return leger.Invalid("", "nothing to change: name, role or groups is needed")
	}
	e := a.event(r, c)
	e.Action, e.Subject, e.Detail = leger.ActionMachineUpdate, id, describe(change)
	m, err := a.Stores.ChangeMachine(r.Context(), c.user.ID, id, change, e)
	if err != nil {
		return err
	}
	return ok(w, wireMachine(m, c))
}

// describe says in the audit log what was changed.
func describe(change leger.MachineChange) string {
	var words []string
	if change.Name != nil {
		words = append(words, "name", *change.Name)
	}
	if change.Role != nil {
		words = append(words, "role", string(*change.Role))
	}
	if change.Groups != nil {
		words = append(append(words, "groups"), *change.Groups...)
	}
	return cut(strings.Join(words, " "), 200)
}

// revokeMachine ends a machine's access with its next request. A machine that only
// delivers may give up its own.
func (a *API) revokeMachine(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := machineID(r)
	if err != nil {
		return err
	}
	if m := c.machine; m != nil && m.Role != leger.RoleFull && m.ID != id {
		return a.forbid(r, c, onlyDelivers())
	}
	e := a.event(r, c)
	e.Action, e.Subject = leger.ActionMachineRevoke, id
	list, err := a.Stores.Machines(r.Context(), c.user.ID)
	if err != nil {
		return err
	}
	for _, m := range list { // afterwards the id means nothing to anybody
		if m.ID == id {
			e.Detail = m.Name
		}
	}
	if err := a.Stores.RevokeMachine(r.Context(), c.user.ID, id, e); err != nil {
		return err
	}
	return ok(w, wire.Deleted{Deleted: true})
}

func machineID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !leger.ValidID(id) {
		return "", leger.Invalid("id", "the machine's id is not a UUID")
	}
	return id, nil
}
