package ledger

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"slices"
	"time"

	"leger.run/leger"
)

// To report: insertHost, insertAudit, then updateHost, which decides, and those
// below for the lists that are given. Every statement is right whatever the ones
// before it did: without the machine they write nothing.
const (
	// ?8 is the most machines a user may have.
	insertHost = `
INSERT INTO hosts (user_uuid, device_id, name, cli_version, legerd_version, podman_version, created_at, last_seen)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7
WHERE EXISTS (SELECT 1 FROM users WHERE user_uuid = ?1)
  AND NOT EXISTS (SELECT 1 FROM hosts WHERE user_uuid = ?1 AND device_id = ?2)
  AND (SELECT count(*) FROM hosts WHERE user_uuid = ?1) < ?8`

	updateHost = `
UPDATE hosts SET name = ?3,
    cli_version = coalesce(nullif(?4, ''), cli_version),
    legerd_version = coalesce(nullif(?5, ''), legerd_version),
    podman_version = coalesce(nullif(?6, ''), podman_version),
    last_seen = max(last_seen, ?7)
WHERE user_uuid = ?1 AND device_id = ?2`

	// ?3 is a JSON array, as D1 takes at most 100 parameters.
	dropUnheld = `
DELETE FROM host_secrets WHERE user_uuid = ?1 AND device_id = ?2
  AND name NOT IN (SELECT value ->> 'name' FROM json_each(?3))`

	// A time that is not given is the one this version was reported with before, or
	// else ?4.
	upsertHeld = `
INSERT INTO host_secrets (user_uuid, device_id, name, version, synced_at)
SELECT ?1, ?2, r.value ->> 'name', r.value ->> 'version', coalesce(r.value ->> 'synced_at', (
    SELECT s.synced_at FROM host_secrets AS s
    WHERE s.user_uuid = ?1 AND s.device_id = ?2 AND s.name = r.value ->> 'name' AND s.version = r.value ->> 'version'), ?4)
FROM json_each(?3) AS r
WHERE EXISTS (SELECT 1 FROM hosts WHERE user_uuid = ?1 AND device_id = ?2)
ON CONFLICT (user_uuid, device_id, name) DO UPDATE SET version = excluded.version, synced_at = excluded.synced_at
WHERE version <> excluded.version OR synced_at <> excluded.synced_at`

	dropUninstalled = `
DELETE FROM deployments WHERE user_uuid = ?1 AND device_id = ?2
  AND release_key NOT IN (SELECT value ->> 'key' FROM json_each(?3))`

	upsertInstalled = `
INSERT INTO deployments (user_uuid, device_id, release_key, release, version, git_commit, state, installed_at, updated_at, units,
    generation, health, findings, reported_at)
SELECT ?1, ?2, r.value ->> 'key', r.value ->> 'release', r.value ->> 'version', r.value ->> 'commit', r.value ->> 'state',
       coalesce(r.value ->> 'installed_at', (
           SELECT d.installed_at FROM deployments AS d
           WHERE d.user_uuid = ?1 AND d.device_id = ?2 AND d.release_key = r.value ->> 'key'), ?4),
       r.value ->> 'updated_at', r.value -> 'units', r.value ->> 'generation', r.value ->> 'health', r.value -> 'findings', ?4
FROM json_each(?3) AS r
WHERE EXISTS (SELECT 1 FROM hosts WHERE user_uuid = ?1 AND device_id = ?2)
ON CONFLICT (user_uuid, device_id, release_key) DO UPDATE SET
    release = excluded.release, version = excluded.version, git_commit = excluded.git_commit, state = excluded.state,
    installed_at = excluded.installed_at, updated_at = excluded.updated_at, units = excluded.units,
    generation = excluded.generation, health = excluded.health, findings = excluded.findings, reported_at = excluded.reported_at`

	countUser = `SELECT count(*) FROM users WHERE user_uuid = ?1`

	deleteHost = `DELETE FROM hosts WHERE user_uuid = ?1 AND device_id = ?2`
)

// ReportHost implements leger.HostStore.
func (s *Store) ReportHost(ctx context.Context, r leger.HostReport, audit leger.AuditEvent) (created bool, err error) {
	secrets, err := listJSON(secretRows(r.Secrets))
	if err != nil {
		return false, err
	}
	deployed, err := listJSON(deploymentRows(r.Deployments))
	if err != nil {
		return false, err
	}
	host := []driver.Value{
		r.User.String(), r.DeviceID, r.Name, r.CLIVersion, r.LegerdVersion, r.PodmanVersion, Timestamp(r.At),
	}
	list := []Statement{
		statement(insertHost, append(slices.Clone(host), int64(leger.MaxHostsPerUser))...),
		s.auditChange(audit),
		deciding(updateHost, host...),
	}
	if r.Secrets != nil {
		list = append(list, replaceList(r, secrets, dropUnheld, upsertHeld)...)
	}
	if r.Deployments != nil {
		list = append(list, replaceList(r, deployed, dropUninstalled, upsertInstalled)...)
	}
	written, err := s.decide(ctx, SurvivesProcessEnd, list, func(ctx context.Context) error { return s.whyNotHost(ctx, r.User) })
	return err == nil && written[0] > 0, err
}

func (s *Store) whyNotHost(ctx context.Context, user leger.UserID) error {
	var users int64
	err := s.read(ctx, countUser, []driver.Value{user.String()}, func(r *Row) { users = r.Integer() })
	switch {
	case err != nil:
		return err
	case users == 0:
		return noUser()
	}
	return leger.Errorf(leger.CodeConflict, "there are %d machines already, which is the most one account may have", leger.MaxHostsPerUser).
		WithHint("forget a machine that is not in use any more")
}

func replaceList(r leger.HostReport, list, remove, upsert string) []Statement {
	return []Statement{
		statement(remove, r.User.String(), r.DeviceID, list),
		statement(upsert, r.User.String(), r.DeviceID, list, Timestamp(r.At)),
	}
}

func secretRows(list []leger.HostSecret) []hostSecretJSON {
	rows := make([]hostSecretJSON, len(list))
	for i, s := range list {
		rows[i] = hostSecretJSON{Name: s.Name, Version: s.Version, SyncedAt: maybeTimestamp(s.SyncedAt)}
	}
	return rows
}

func deploymentRows(list []leger.HostDeployment) []deploymentJSON {
	rows := make([]deploymentJSON, len(list))
	for i, d := range list {
		rows[i] = deploymentJSON{
			Key: d.Release.Key(), Release: d.Release, Version: d.Version, Commit: d.Commit, State: d.State,
			InstalledAt: maybeTimestamp(d.InstalledAt), UpdatedAt: Timestamp(d.UpdatedAt), Units: make([]unitJSON, len(d.Units)),
			Generation: d.Generation, Health: d.Health, Findings: make([]findingJSON, len(d.Findings)),
		}
		for n, f := range d.Findings {
			rows[i].Findings[n] = findingJSON(f)
		}
		for n, u := range d.Units {
			rows[i].Units[n] = unitJSON(u)
		}
	}
	return rows
}

func maybeTimestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return Timestamp(t)
}

func listJSON(list any) (string, error) {
	b, err := json.Marshal(list)
	if err != nil {
		return "", leger.Wrap(leger.CodeInternal, err, "encode a list for the database")
	}
	return string(b), nil
}

// ForgetHost implements leger.HostStore.
func (s *Store) ForgetHost(ctx context.Context, user leger.UserID, deviceID string, audit leger.AuditEvent) error {
	list := []Statement{deciding(deleteHost, user.String(), deviceID), s.auditChange(audit)}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(context.Context) error { return noHost() })
	return err
}
