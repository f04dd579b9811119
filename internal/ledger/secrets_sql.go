package ledger

// The statements about secrets. Those that write come in lists: the first
// decides, and each later one writes only if the one before it wrote
// ("changes() > 0"), or is right whatever was decided.

// sealedColumns are read by sealedSecret.
const sealedColumns = `secret_id, name, version, created_at, updated_at, last_accessed, encrypted_value, nonce, encryption_version, key_id`

const (
	selectSecrets = `
SELECT secret_id, name, version, created_at, updated_at, last_accessed
FROM secrets WHERE user_uuid = ?1 AND deleted_at IS NULL ORDER BY name`

	selectSealedSecrets = `SELECT ` + sealedColumns + ` FROM secret_records WHERE user_uuid = ?1 ORDER BY name`

	selectSealedSecret = `SELECT ` + sealedColumns + ` FROM secret_records WHERE user_uuid = ?1 AND name = ?2`

	// The time of the version asked for stands in for updated_at.
	selectSealedVersion = `
SELECT s.secret_id, s.name, v.version, s.created_at, v.created_at, s.last_accessed,
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
       s.secret_id, s.name, s.version, s.created_at, s.updated_at, s.last_accessed,
       v.encrypted_value, v.nonce, v.encryption_version, v.key_id
FROM json_each(?2) AS asked
CROSS JOIN secrets AS s ON s.user_uuid = ?1 AND s.name = asked.value
LEFT JOIN secret_versions AS v
       ON v.user_uuid = s.user_uuid AND v.name = s.name AND v.version = s.version AND s.deleted_at IS NULL`

	selectVersions = `
SELECT v.version, v.created_at, v.version = s.version
FROM secrets AS s
JOIN secret_versions AS v ON v.user_uuid = s.user_uuid AND v.name = s.name
WHERE s.user_uuid = ?1 AND s.name = ?2 AND s.deleted_at IS NULL
ORDER BY v.version DESC`
)

// To put a secret: insertVersion decides, updateLedger, insertAudit and
// pruneVersions follow.
const (
	// ?3 is the new version, ?9 the most live secrets a user may own.
	insertVersion = `
INSERT INTO secret_versions (user_uuid, name, version, encrypted_value, nonce, encryption_version, key_id, created_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE EXISTS (SELECT 1 FROM users WHERE user_uuid = ?1)
  AND coalesce((SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2), 0) = ?3 - 1
  AND (EXISTS (SELECT 1 FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL)
       OR (SELECT count(*) FROM secrets WHERE user_uuid = ?1 AND deleted_at IS NULL) < ?9)`

	// A secret that comes back after its deletion is a new one with old numbers.
	updateLedger = `
INSERT INTO secrets (user_uuid, name, version, secret_id, created_at, updated_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE changes() > 0
ON CONFLICT (user_uuid, name) DO UPDATE SET
    version = excluded.version,
    updated_at = excluded.updated_at,
    secret_id = CASE WHEN deleted_at IS NULL THEN secret_id ELSE excluded.secret_id END,
    created_at = CASE WHEN deleted_at IS NULL THEN created_at ELSE excluded.created_at END,
    last_accessed = CASE WHEN deleted_at IS NULL THEN last_accessed END,
    deleted_at = NULL`

	// ?3 is the number of versions that stay.
	pruneVersions = `
DELETE FROM secret_versions WHERE user_uuid = ?1 AND name = ?2
  AND version <= (SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2) - ?3`

	selectWhyNotPut = `
SELECT (SELECT count(*) FROM users WHERE user_uuid = ?1),
       coalesce((SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2), 0),
       (SELECT count(*) FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NOT NULL),
       (SELECT count(*) FROM secrets WHERE user_uuid = ?1 AND deleted_at IS NULL)`
)

// To delete a secret: markDeleted decides, insertAudit and forgetVersions follow.
const (
	markDeleted = `
UPDATE secrets SET deleted_at = ?4, updated_at = ?4
WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL AND (?3 = 0 OR version = ?3)`

	forgetVersions = `
DELETE FROM secret_versions WHERE user_uuid = ?1 AND name = ?2
  AND EXISTS (SELECT 1 FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NOT NULL)`

	selectLiveVersion = `SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2 AND deleted_at IS NULL`
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

const selectKeyIDs = `SELECT DISTINCT key_id FROM secret_versions ORDER BY key_id`

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
