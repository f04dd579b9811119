package ledger

// The statements about secrets. Those that write come in lists: the first
// decides, and each later one writes only if the one before it wrote
// ("changes() > 0"), or is right whatever was decided.

const (
	// infoColumns are read by secretInfo, and with valueColumns by sealedSecret.
	infoColumns  = `s.secret_id, s.name, s.version, s.created_at, s.updated_at, s.last_accessed, s.value_id, s.scope`
	valueColumns = `v.encrypted_value, v.nonce, v.encryption_version, v.key_id`

	currentVersion = `v.user_uuid = s.user_uuid AND v.name = s.name AND v.version = s.version`

	// A list has a first row even when it is empty, so that the number of secrets
	// there should be is always known. The two columns before the others say it, and
	// whether the row holds a secret.
	fromLedger = `
FROM users AS u
LEFT JOIN secrets AS s ON s.user_uuid = u.user_uuid AND s.deleted_at IS NULL`
	ofUserByName = ` WHERE u.user_uuid = ?1 ORDER BY s.name`

	selectSecrets = `
SELECT u.secret_count, s.name IS NOT NULL AS there,
       EXISTS (SELECT 1 FROM secret_versions AS v WHERE ` + currentVersion + `) AS whole, ` + infoColumns +
		fromLedger + ofUserByName

	selectSealedSecrets = `
SELECT u.secret_count, s.name IS NOT NULL AS there, ` + infoColumns + `, ` + valueColumns + fromLedger + `
LEFT JOIN secret_versions AS v ON ` + currentVersion + ofUserByName

	selectSealedSecret = `
SELECT ` + infoColumns + `, ` + valueColumns + `
FROM secrets AS s LEFT JOIN secret_versions AS v ON ` + currentVersion + `
WHERE s.user_uuid = ?1 AND s.name = ?2 AND s.deleted_at IS NULL`

	// A secret is there exactly when versions of it are kept.
	selectWhyAbsent = `
SELECT EXISTS (SELECT 1 FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL) AS live,
       EXISTS (SELECT 1 FROM secret_versions WHERE user_uuid = ?1 AND name = ?2) AS kept`

	// The time of the version asked for stands in for updated_at.
	selectSealedVersion = `
SELECT s.secret_id, s.name, v.version, s.created_at, v.created_at, s.last_accessed, v.nonce AS value_id, s.scope,
       v.encrypted_value, v.nonce, v.encryption_version, v.key_id
FROM secrets AS s
JOIN secret_versions AS v ON v.user_uuid = s.user_uuid AND v.name = s.name AND v.version = ?3
WHERE s.user_uuid = ?1 AND s.name = ?2 AND s.deleted_at IS NULL`

	// ?2 is a JSON array of names: D1 takes at most 100 parameters. CROSS JOIN keeps
	// the order (https://www.sqlite.org/lang_select.html, "Side note"): left to
	// itself SQLite goes through all of the user's secrets and reads the array anew
	// for each. No two columns have the same name: D1's batches would give one of them.
	selectStates = `
SELECT s.name AS asked_name, s.version AS last_version, s.deleted_at IS NOT NULL AS gone,
       ` + infoColumns + `, ` + valueColumns + `
FROM json_each(?2) AS asked
CROSS JOIN secrets AS s ON s.user_uuid = ?1 AND s.name = asked.value
LEFT JOIN secret_versions AS v
       ON ` + currentVersion + ` AND s.deleted_at IS NULL`

	selectVersions = `
SELECT v.version, v.created_at, v.version = s.version
FROM secrets AS s
JOIN secret_versions AS v ON v.user_uuid = s.user_uuid AND v.name = s.name
WHERE s.user_uuid = ?1 AND s.name = ?2 AND s.deleted_at IS NULL
ORDER BY v.version DESC`
)

// To put a secret: insertVersion decides, countNew, updateLedger, insertAudit
// and pruneVersions follow.
const (
	// ?3 is the new version, ?9 the most live secrets a user may own. Kept versions
	// that the ledger does not know of are damage, to which nothing is added.
	insertVersion = `
INSERT INTO secret_versions (user_uuid, name, version, encrypted_value, nonce, encryption_version, key_id, created_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE EXISTS (SELECT 1 FROM users WHERE user_uuid = ?1)
  AND coalesce((SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2), 0) = ?3 - 1
  AND NOT EXISTS (SELECT 1 FROM secret_versions WHERE user_uuid = ?1 AND name = ?2 AND version >= ?3)
  AND (EXISTS (SELECT 1 FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL)
       OR (SELECT count(*) FROM secrets WHERE user_uuid = ?1 AND deleted_at IS NULL) < ?9)`

	// It writes its row when it counts nothing, too: what follows goes by that.
	countNew = `
UPDATE users SET secret_count = secret_count
    + NOT EXISTS (SELECT 1 FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL)
WHERE user_uuid = ?1 AND changes() > 0`

	// A secret that comes back after its deletion is a new one with old numbers. ?8 is
	// the scope that it gets, NULL for the one it has.
	updateLedger = `
INSERT INTO secrets (user_uuid, name, version, secret_id, created_at, updated_at, value_id, scope)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, '') WHERE changes() > 0
ON CONFLICT (user_uuid, name) DO UPDATE SET
    version = excluded.version,
    value_id = excluded.value_id,
    updated_at = excluded.updated_at,
    secret_id = CASE WHEN deleted_at IS NULL THEN secret_id ELSE excluded.secret_id END,
    created_at = CASE WHEN deleted_at IS NULL THEN created_at ELSE excluded.created_at END,
    last_accessed = CASE WHEN deleted_at IS NULL THEN last_accessed END,
    scope = CASE WHEN ?8 IS NULL AND deleted_at IS NULL THEN scope ELSE excluded.scope END,
    deleted_at = NULL`

	// ?3 is the number of versions that stay.
	pruneVersions = `
DELETE FROM secret_versions WHERE user_uuid = ?1 AND name = ?2
  AND version <= (SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2) - ?3`

	selectWhyNotPut = `
SELECT (SELECT count(*) FROM users WHERE user_uuid = ?1),
       coalesce((SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2), 0),
       (SELECT count(*) FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NOT NULL),
       (SELECT count(*) FROM secrets WHERE user_uuid = ?1 AND deleted_at IS NULL),
       (SELECT count(*) FROM secret_versions WHERE user_uuid = ?1 AND name = ?2 AND version > ?3)`
)

// To delete a secret: markDeleted decides, countDeleted, insertAudit and
// forgetVersions follow.
const (
	markDeleted = `
UPDATE secrets SET deleted_at = ?4, updated_at = ?4
WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL AND (?3 = 0 OR version = ?3)`

	countDeleted = `UPDATE users SET secret_count = secret_count - 1 WHERE user_uuid = ?1 AND changes() > 0`

	forgetVersions = `
DELETE FROM secret_versions WHERE user_uuid = ?1 AND name = ?2
  AND EXISTS (SELECT 1 FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NOT NULL)`

	selectLiveVersion = `SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL`
)

// To change a secret's scope: setScope decides, insertAudit follows.
const (
	setScope = `UPDATE secrets SET scope = ?3 WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL`

	// ?2 is a machine that is no more. A subquery's JSON is text to json_set, unless
	// json() says otherwise.
	leaveScopes = `
UPDATE secrets SET scope = json_set(scope, '$.machines', json((
    SELECT json_group_array(value) FROM json_each(secrets.scope, '$.machines') WHERE value <> ?2)))
WHERE user_uuid = ?1 AND scope <> '' AND EXISTS (
    SELECT 1 FROM json_each(secrets.scope, '$.machines') WHERE value = ?2)`
)

// To record a read: insertEvent always, and one of these. Neither touches a row
// that says this minute already.
const (
	touchAllSecrets = `
UPDATE secrets SET last_accessed = ?2
WHERE user_uuid = ?1 AND deleted_at IS NULL AND (last_accessed IS NULL OR last_accessed < ?2)`

	touchSecrets = `
UPDATE secrets SET last_accessed = ?2
WHERE user_uuid = ?1 AND deleted_at IS NULL AND (last_accessed IS NULL OR last_accessed < ?2)
  AND name IN (SELECT value FROM json_each(?3))`
)

const selectKeyIDs = `SELECT key_id FROM secret_versions UNION SELECT key_id FROM audit_chain ORDER BY key_id`

// What was deleted is looked up in the audit log, whose newest end is near, and
// not in the tables. ?1 is the time to go back to.
const (
	sinceThen = `a.id > coalesce((SELECT id FROM audit_log WHERE at < ?1 ORDER BY id DESC LIMIT 1), 0)`

	selectDeletedSecrets = `
SELECT DISTINCT a.user_uuid, a.subject FROM audit_log AS a
WHERE ` + sinceThen + ` AND a.action = ?2 AND NOT EXISTS (
    SELECT 1 FROM secrets AS s WHERE s.user_uuid = a.user_uuid AND s.name = a.subject AND s.deleted_at IS NULL)
LIMIT 1000`

	// An account leaves nothing but the event of its deletion.
	selectDeletedUsers = `
SELECT DISTINCT a.user_uuid FROM audit_log AS a
WHERE ` + sinceThen + ` AND a.action = ?2 AND NOT EXISTS (SELECT 1 FROM users AS u WHERE u.user_uuid = a.user_uuid)
LIMIT 1000`
)
