package ledger

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"slices"

	"leger.run/leger"
)

const (
	// machineColumns are read by machineOf.
	machineColumns = `m.machine_id, m.user_uuid, m.name, m.unix_user, m.device_id, m.role, m.group_names, m.public_key,
       m.cli_version, m.enrolled_by, m.enrolled_at, m.enrolled_from, m.last_seen, m.last_addr`

	selectMachines = `SELECT ` + machineColumns + ` FROM machines AS m WHERE m.user_uuid = ?1 ORDER BY m.name, m.machine_id`

	selectMachine = `SELECT ` + machineColumns + ` FROM machines AS m WHERE m.user_uuid = ?1 AND m.machine_id = ?2`

	selectMachineByKey = `SELECT ` + machineColumns + ` FROM machines AS m WHERE m.public_key = ?1`

	selectMachineUser = `
SELECT ` + machineColumns + `, ` + userColumns + `
FROM machines AS m JOIN users ON users.user_uuid = m.user_uuid WHERE m.machine_id = ?1`

	// To enrol: insertMachine, then updateEnrolled, which decides, then insertAudit.
	// ?13 is the most machines a user may have.
	insertMachine = `
INSERT INTO machines (machine_id, user_uuid, name, unix_user, device_id, role, group_names, public_key,
                      cli_version, enrolled_by, enrolled_at, enrolled_from, last_seen, last_addr)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?11, ?12
WHERE EXISTS (SELECT 1 FROM users WHERE user_uuid = ?2)
  AND NOT EXISTS (SELECT 1 FROM machines WHERE public_key = ?8)
  AND (SELECT count(*) FROM machines WHERE user_uuid = ?2) < ?13`

	updateEnrolled = `
UPDATE machines SET unix_user = ?3, device_id = ?4, cli_version = coalesce(nullif(?5, ''), cli_version),
    enrolled_by = ?6, enrolled_at = ?7, enrolled_from = ?8, last_seen = max(last_seen, ?7), last_addr = ?8
WHERE public_key = ?1 AND user_uuid = ?2`

	updateMachine = `
UPDATE machines SET name = coalesce(?3, name), role = coalesce(?4, role), group_names = coalesce(?5, group_names)
WHERE user_uuid = ?1 AND machine_id = ?2`

	touchMachine = `
UPDATE machines SET last_seen = max(last_seen, ?2), last_addr = ?3, cli_version = coalesce(nullif(?4, ''), cli_version)
WHERE machine_id = ?1`

	touchUser = `UPDATE users SET last_seen = max(last_seen, ?2) WHERE user_uuid = ?1`

	deleteMachine = `DELETE FROM machines WHERE user_uuid = ?1 AND machine_id = ?2`

	// Without its machine a report would stay for ever.
	deleteReport = `DELETE FROM hosts WHERE user_uuid = ?1 AND device_id = ?2`
)

// machineOf reads machineColumns.
func machineOf(r *Row) leger.Machine {
	m := leger.Machine{
		ID: r.Text(), User: parsed(r, leger.ParseUserID), Name: r.Text(), UnixUser: r.Text(), DeviceID: r.Text(),
		Role: parsed(r, leger.ParseMachineRole),
	}
	r.json(&m.Groups)
	m.Key = parsed(r, leger.ParseMachineKey)
	m.CLIVersion, m.EnrolledBy, m.EnrolledAt, m.EnrolledFrom = r.Text(), leger.SignInMethod(r.Text()), r.Time(), r.Text()
	m.LastSeen, m.LastAddr = r.Time(), r.Text()
	return m
}

func noMachine() error { return leger.Errorf(leger.CodeNotFound, "there is no such machine") }

// EnrolMachine implements leger.MachineStore.
func (s *Store) EnrolMachine(ctx context.Context, m leger.Machine, audit leger.AuditEvent) (enrolled leger.Machine, created bool, err error) {
	return s.enrol(ctx, m, audit, nil, func(context.Context) error { return nil })
}

// enrol makes a machine known if the statements of first, which decide, hold. whyNot
// says what is wrong with those, nil when nothing is.
func (s *Store) enrol(
	ctx context.Context, m leger.Machine, audit leger.AuditEvent, first []Statement, whyNot func(context.Context) error,
) (enrolled leger.Machine, created bool, err error) {
	groups, err := groupNames(m.Groups)
	if err != nil {
		return leger.Machine{}, false, err
	}
	at := Timestamp(m.EnrolledAt)
	list := append(slices.Clip(first),
		statement(insertMachine, m.ID, m.User.String(), m.Name, m.UnixUser, m.DeviceID, string(m.Role), groups, m.Key.String(),
			m.CLIVersion, string(m.EnrolledBy), at, m.EnrolledFrom, int64(leger.MaxMachinesPerUser)),
		deciding(updateEnrolled, m.Key.String(), m.User.String(), m.UnixUser, m.DeviceID, m.CLIVersion,
			string(m.EnrolledBy), at, m.EnrolledFrom),
		s.auditChange(audit),
		Statement{Text: selectMachineByKey, Args: []driver.Value{m.Key.String()}, Each: func(r *Row) { enrolled = machineOf(r) }},
	)
	written, err := s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error {
		if err := whyNot(ctx); err != nil {
			return err
		}
		return s.whyNotEnrolled(ctx, m)
	})
	if err != nil {
		return leger.Machine{}, false, err
	}
	return enrolled, written[len(first)] > 0, nil
}

func (s *Store) whyNotEnrolled(ctx context.Context, m leger.Machine) error {
	if _, err := s.User(ctx, m.User); err != nil {
		return err
	}
	taken := false
	err := s.read(ctx, selectMachineByKey, []driver.Value{m.Key.String()}, func(r *Row) { taken = machineOf(r).User != m.User })
	switch {
	case err != nil:
		return err
	case taken:
		return leger.Errorf(leger.CodeConflict, "this key is another machine's: it was not enrolled").
			WithHint("sign in again, with a new key: leger auth logout, then leger auth login")
	}
	return leger.Errorf(leger.CodeConflict, "you have %d machines, and no more are taken", leger.MaxMachinesPerUser).
		WithHint("revoke those that you no longer use: leger machines list")
}

func groupNames(groups []string) (string, error) {
	if len(groups) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(groups)
	if err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "encode the groups of a machine")
	}
	return string(b), nil
}

// Machines implements leger.MachineStore.
func (s *Store) Machines(ctx context.Context, user leger.UserID) (list []leger.Machine, err error) {
	err = s.read(ctx, selectMachines, []driver.Value{user.String()}, func(r *Row) { list = append(list, machineOf(r)) })
	return list, err
}

// MachineUser implements leger.MachineStore, in one read.
func (s *Store) MachineUser(ctx context.Context, id string) (m leger.Machine, u leger.User, err error) {
	err = s.read(ctx, selectMachineUser, []driver.Value{id}, func(r *Row) {
		m = machineOf(r)
		u = userOf(r, m.User)
	})
	if err == nil && m.ID == "" {
		err = noMachine()
	}
	return m, u, err
}

// ChangeMachine implements leger.MachineStore.
func (s *Store) ChangeMachine(ctx context.Context, user leger.UserID, id string, change leger.MachineChange, audit leger.AuditEvent) (m leger.Machine, err error) {
	var name, role, groups driver.Value
	if change.Name != nil {
		name = *change.Name
	}
	if change.Role != nil {
		role = string(*change.Role)
	}
	if change.Groups != nil {
		if groups, err = groupNames(*change.Groups); err != nil {
			return leger.Machine{}, err
		}
	}
	list := []Statement{
		deciding(updateMachine, user.String(), id, name, role, groups), s.auditChange(audit),
		{Text: selectMachine, Args: []driver.Value{user.String(), id}, Each: func(r *Row) { m = machineOf(r) }},
	}
	if _, err = s.decide(ctx, SurvivesPowerLoss, list, func(context.Context) error { return noMachine() }); err != nil {
		return leger.Machine{}, err
	}
	return m, nil
}

// TouchMachine implements leger.MachineStore. A machine that is not there any more
// stays away, and is no error.
func (s *Store) TouchMachine(ctx context.Context, m leger.Machine) error {
	at := Timestamp(m.LastSeen)
	return s.write(ctx, SurvivesProcessEnd,
		statement(touchMachine, m.ID, at, m.LastAddr, m.CLIVersion), statement(touchUser, m.User.String(), at))
}

// RevokeMachine implements leger.MachineStore.
func (s *Store) RevokeMachine(ctx context.Context, user leger.UserID, id string, audit leger.AuditEvent) error {
	list := []Statement{
		deciding(deleteMachine, user.String(), id), s.auditChange(audit), following(deleteReport, user.String(), id),
		following(leaveScopes, user.String(), id),
	}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(context.Context) error { return noMachine() })
	return err
}
