package ledger

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"slices"
	"strings"

	"leger.run/leger"
)

const (
	hostColumns = `h.device_id, h.name, h.cli_version, h.legerd_version, h.podman_version, h.created_at, h.last_seen`

	heldByHost = `
(SELECT json_group_array(json_object('name', s.name, 'version', s.version, 'synced_at', s.synced_at))
 FROM host_secrets AS s WHERE s.user_uuid = ?1 AND s.device_id = h.device_id)`

	// One statement reads a machine with its lists, as JSON, so that what is given is
	// one state of the database. The lists are in order of their primary keys by
	// chance only, and are sorted afterwards.
	selectHost = `
SELECT ` + hostColumns + `,` + heldByHost + `,
       (SELECT json_group_array(json_object('release', d.release, 'version', d.version, 'commit', d.git_commit,
               'state', d.state, 'installed_at', d.installed_at, 'updated_at', d.updated_at, 'units', json(d.units),
               'generation', d.generation, 'health', d.health, 'findings', json(d.findings), 'reported_at', d.reported_at))
        FROM deployments AS d WHERE d.user_uuid = ?1 AND d.device_id = h.device_id)
FROM hosts AS h WHERE h.user_uuid = ?1 AND h.device_id = ?2`

	// A page of machines after the name ?2 with the device id ?3. ?4 is the number of
	// machines, ?5 and ?6 are 1 to list secrets and deployments, ?7 is the most that
	// are listed, and ?8 the kinds of grave findings in JSON. What a machine lists is
	// counted before it is read, so that no more is read than is given. Of a machine
	// that does not fit, and of those after it, the lists are NULL.
	selectHosts = `
WITH page AS MATERIALIZED (
    SELECT * FROM hosts WHERE user_uuid = ?1 AND (name, device_id) > (?2, ?3)
    ORDER BY name, device_id LIMIT ?4
), held AS MATERIALIZED (
    SELECT device_id, count(*) AS secrets FROM host_secrets
    WHERE user_uuid = ?1 AND device_id IN (SELECT device_id FROM page) GROUP BY device_id
), installed AS MATERIALIZED (
    SELECT d.device_id, count(*) AS deployments,
           sum((SELECT count(*) FROM json_each(d.units)
                WHERE value ->> 'state' IN ('failed', 'stopped'))) AS down,
           sum((SELECT count(*) FROM json_each(d.findings)
                WHERE value ->> 'kind' IN (SELECT value FROM json_each(?8)))) AS grave,
           sum(json_array_length(d.findings)) AS findings
    FROM deployments AS d
    WHERE d.user_uuid = ?1 AND d.device_id IN (SELECT device_id FROM page) GROUP BY d.device_id
), counted AS (
    SELECT p.*, coalesce(s.secrets, 0) AS secrets, coalesce(i.deployments, 0) AS deployments,
           coalesce(i.down, 0) AS down, coalesce(i.grave, 0) AS grave, coalesce(i.findings, 0) AS findings,
           ?5 * coalesce(s.secrets, 0) + ?6 * coalesce(i.deployments, 0) AS items
    FROM page AS p LEFT JOIN held AS s USING (device_id) LEFT JOIN installed AS i USING (device_id)
), fitted AS (
    SELECT *, sum(items) OVER (ORDER BY name, device_id) AS so_far FROM counted
)
SELECT ` + hostColumns + `, h.secrets, h.deployments, h.down, h.grave, h.findings,
       CASE WHEN h.so_far > ?7 AND h.so_far > h.items THEN NULL WHEN ?5 = 0 THEN '[]' ELSE ` + heldByHost + ` END,
       CASE WHEN h.so_far > ?7 AND h.so_far > h.items THEN NULL WHEN ?6 = 0 THEN '[]' ELSE
       (SELECT json_group_array(json_object('release', d.release, 'version', d.version, 'state', d.state,
               'updated_at', d.updated_at, 'health', d.health))
        FROM deployments AS d WHERE d.user_uuid = ?1 AND d.device_id = h.device_id) END
FROM fitted AS h ORDER BY h.name, h.device_id`

	selectHostName = `SELECT name FROM hosts WHERE user_uuid = ?1 AND device_id = ?2`
)

// The lists of a machine as JSON, between Go and SQL. Times are text, as in the
// tables; absent: not given.
type (
	hostSecretJSON struct {
		Name     leger.SecretName `json:"name"`
		Version  leger.Version    `json:"version"`
		SyncedAt string           `json:"synced_at,omitempty"`
	}
	deploymentJSON struct {
		Key         string            `json:"key,omitempty"`
		Release     leger.ReleaseName `json:"release"`
		Version     leger.Version     `json:"version"`
		Commit      string            `json:"commit"`
		State       leger.HostState   `json:"state"`
		InstalledAt string            `json:"installed_at,omitempty"`
		UpdatedAt   string            `json:"updated_at"`
		Units       []unitJSON        `json:"units"`
		Generation  int64             `json:"generation"`
		Health      leger.HostHealth  `json:"health"`
		Findings    []findingJSON     `json:"findings"`
		ReportedAt  string            `json:"reported_at,omitempty"`
	}
	unitJSON struct {
		Name  string          `json:"name"`
		State leger.HostState `json:"state"`
	}
	findingJSON struct {
		Kind    leger.FindingKind `json:"kind"`
		Subject string            `json:"subject"`
		Text    string            `json:"text"`
	}
)

// placeSeparator is between name and device id in what a page is continued from:
// neither can hold it.
const placeSeparator = "\n"

// Hosts implements leger.HostStore. A Limit outside 1 to MaxPageSize is moved into it.
func (s *Store) Hosts(
	ctx context.Context, user leger.UserID, page leger.HostPage,
) (list []leger.HostSummary, next string, err error) {
	grave, err := json.Marshal(leger.GraveFindings())
	if err != nil {
		return nil, "", leger.Wrap(leger.CodeInternal, err, "encode the kinds of findings")
	}
	limit := pageLimit(page.Limit)
	name, device, _ := strings.Cut(page.After, placeSeparator)
	full := false // the page is, and there is a machine that is not on it
	err = s.read(ctx, selectHosts, []driver.Value{
		user.String(), name, device, int64(limit + 1), flag(page.Secrets), flag(page.Deployments),
		int64(leger.MaxHostPageItems), string(grave),
	}, func(r *Row) {
		host, fits := hostSummary(r, user)
		if full = full || !fits || len(list) == limit; !full {
			list = append(list, host)
		}
	})
	if err != nil {
		return nil, "", err
	}
	if full && len(list) > 0 {
		last := list[len(list)-1]
		next = last.Name + placeSeparator + last.DeviceID
	}
	return list, next, nil
}

func flag(set bool) int64 {
	if set {
		return 1
	}
	return 0
}

// hostSummary reads a row of selectHosts; fits is whether the page has room for it.
func hostSummary(r *Row, user leger.UserID) (h leger.HostSummary, fits bool) {
	h = leger.HostSummary{Host: host(r, user), Counts: leger.HostCounts{
		Secrets: int(r.Integer()), Deployments: int(r.Integer()), UnitsDown: int(r.Integer()),
		GraveFindings: int(r.Integer()),
	}}
	h.Counts.OtherFindings = int(r.Integer()) - h.Counts.GraveFindings
	if r.null() {
		return h, false
	}
	h.Secrets = hostSecrets(r)
	h.Deployments = deployments(r)
	return h, true
}

// Host implements leger.HostStore.
func (s *Store) Host(ctx context.Context, user leger.UserID, deviceID string) (found leger.Host, err error) {
	err = s.read(ctx, selectHost, []driver.Value{user.String(), deviceID}, func(r *Row) {
		found = host(r, user)
		found.Secrets, found.Deployments = hostSecrets(r), deployments(r)
	})
	if err == nil && found.DeviceID == "" {
		err = noHost()
	}
	return found, err
}

// HostName implements leger.HostStore.
func (s *Store) HostName(ctx context.Context, user leger.UserID, deviceID string) (name string, err error) {
	err = s.read(ctx, selectHostName, []driver.Value{user.String(), deviceID}, func(r *Row) { name = r.Text() })
	if err == nil && name == "" {
		err = noHost()
	}
	return name, err
}

func noHost() error { return leger.Errorf(leger.CodeNotFound, "there is no such machine") }

// host reads hostColumns.
func host(r *Row, user leger.UserID) leger.Host {
	return leger.Host{
		User: user, DeviceID: r.Text(), Name: r.Text(), CLIVersion: r.Text(), LegerdVersion: r.Text(), PodmanVersion: r.Text(),
		CreatedAt: r.Time(), LastSeen: r.Time(),
	}
}

func hostSecrets(r *Row) []leger.HostSecret {
	var rows []hostSecretJSON
	r.json(&rows)
	list := make([]leger.HostSecret, len(rows))
	for i, s := range rows {
		list[i] = leger.HostSecret{Name: s.Name, Version: s.Version, SyncedAt: r.timeOf(s.SyncedAt)}
	}
	slices.SortFunc(list, func(a, b leger.HostSecret) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return list
}

func deployments(r *Row) []leger.HostDeployment {
	var rows []deploymentJSON
	r.json(&rows)
	list := make([]leger.HostDeployment, len(rows))
	for i, d := range rows {
		list[i] = leger.HostDeployment{
			Release: d.Release, Version: d.Version, Commit: d.Commit, State: d.State,
			InstalledAt: r.maybeTimeOf(d.InstalledAt), UpdatedAt: r.timeOf(d.UpdatedAt), Units: make([]leger.HostUnit, len(d.Units)),
			Generation: d.Generation, Health: d.Health, Findings: make([]leger.HostFinding, len(d.Findings)),
			ReportedAt: r.maybeTimeOf(d.ReportedAt),
		}
		for n, f := range d.Findings {
			list[i].Findings[n] = leger.HostFinding(f)
		}
		for n, u := range d.Units {
			list[i].Units[n] = leger.HostUnit(u)
		}
	}
	slices.SortFunc(list, func(a, b leger.HostDeployment) int { return cmp.Compare(a.Release.Key(), b.Release.Key()) })
	return list
}
