package ledger

// The statements about the chains of the audit log. Everything that changes them begins
// with one that replaces the row of audit_chain only as it was read, by its mac, which is
// another after every change: of two at once one writes, and the other reads again.
const (
	selectAuditKey = `SELECT key_id, nonce, sealed_key FROM audit_chain`

	selectLinked = `SELECT EXISTS (SELECT 1 FROM audit_log WHERE number IS NOT NULL) OR EXISTS (SELECT 1 FROM audit_heads)`

	// Of several at once the first stays.
	insertAuditKey = `
INSERT INTO audit_chain (id, key_id, nonce, sealed_key, made_at) VALUES (1, ?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING`

	updateAuditKey = `
UPDATE audit_chain SET key_id = ?1, nonce = ?2, sealed_key = ?3 WHERE key_id = ?4 AND nonce = ?5`

	chainColumns = `CAST(begun_at AS TEXT) AS begun_at, CAST(found_id AS INTEGER) AS found_id,
       CAST(pruned_id AS INTEGER) AS pruned_id, CAST(sealed_id AS INTEGER) AS sealed_id,
       CAST(heads AS INTEGER) AS heads, CAST(mac AS TEXT) AS mac`

	selectChain = `SELECT made_at, ` + chainColumns + ` FROM audit_chain`

	selectEventRange = `
SELECT coalesce(min(id), 1), coalesce(max(id), 0), max(number) IS NOT NULL OR EXISTS (SELECT 1 FROM audit_heads) FROM audit_log`

	// ?1 is the mac as it was read.
	updateChain = `
UPDATE audit_chain SET begun_at = ?2, found_id = ?3, pruned_id = ?4, sealed_id = ?5, heads = ?6, mac = ?7 WHERE mac = ?1`

	// Whatever a row holds instead of what it should, it is read, so that it can be named.
	rowColumns = `id, coalesce(CAST(number AS INTEGER), 0) AS number, CAST(at AS TEXT) AS at, CAST(user_uuid AS TEXT) AS user_uuid,
       CAST(action AS TEXT) AS action, CAST(subject AS TEXT) AS subject, CAST(version AS TEXT) AS version,
       CAST(count AS TEXT) AS count, CAST(credential AS TEXT) AS credential, CAST(device_id AS TEXT) AS device_id,
       CAST(remote_addr AS TEXT) AS remote_addr, CAST(request_id AS TEXT) AS request_id, CAST(detail AS TEXT) AS detail,
       CAST(seal AS TEXT) AS seal`

	selectUnlinked = `SELECT ` + rowColumns + ` FROM audit_log WHERE id > ?1 ORDER BY id LIMIT ?2`

	headColumns = `CAST(h.user_uuid AS TEXT) AS user_uuid, CAST(h.start_number AS INTEGER) AS start_number,
       CAST(h.start_seal AS TEXT) AS start_seal, CAST(h.last_number AS INTEGER) AS last_number,
       CAST(h.last_seal AS TEXT) AS last_seal, CAST(h.mac AS TEXT) AS mac`

	// ?1 is a JSON array of accounts. One whose first event is linked has a head.
	selectHeads = `
SELECT asked.value AS asked,
       coalesce((SELECT l.number FROM audit_log AS l WHERE l.user_uuid = asked.value ORDER BY l.id LIMIT 1), 0) AS oldest,
       ` + headColumns + `
FROM json_each(?1) AS asked LEFT JOIN audit_heads AS h ON h.user_uuid = asked.value`

	// ?1 is a JSON array of [id, number, seal].
	linkEvents = `
UPDATE audit_log SET number = linked.number, seal = linked.seal
FROM (SELECT value ->> 0 AS id, value ->> 1 AS number, value ->> 2 AS seal FROM json_each(?1)) AS linked
WHERE audit_log.id = linked.id AND audit_log.number IS NULL`

	// ?1 is a JSON array of heads.
	putHeads = `
INSERT OR REPLACE INTO audit_heads (user_uuid, start_number, start_seal, last_number, last_seal, mac)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1)`

	deleteHeads = `DELETE FROM audit_heads WHERE user_uuid IN (SELECT value FROM json_each(?1))`

	// ?1 is a JSON array of accounts.
	selectGone = `
SELECT value FROM json_each(?1) AS asked WHERE NOT EXISTS (SELECT 1 FROM users AS u WHERE u.user_uuid = asked.value)`

	// Ids grow with time, so the first event that stays ends the search, and no
	// index on the time has to be kept. An event from the future (after ?2) ends
	// nothing: it goes with its neighbours. The newest event stays in any case, so
	// that no id is given twice.
	selectOldEvents = `
SELECT ` + rowColumns + ` FROM audit_log WHERE id < min(
    (SELECT max(id) FROM audit_log),
    coalesce((SELECT id FROM audit_log WHERE at >= ?1 AND at <= ?2 ORDER BY id LIMIT 1),
             (SELECT max(id) + 1 FROM audit_log WHERE at < ?1), 0))
ORDER BY id LIMIT ?3`

	deleteOldEvents = `DELETE FROM audit_log WHERE id <= ?1`

	forgetChain = `DELETE FROM audit_chain`
	forgetHeads = `DELETE FROM audit_heads`
	forgetLinks = `UPDATE audit_log SET number = NULL, seal = ''`

	selectUserEmails = `SELECT user_uuid, tailscale_email FROM users`

	// The whole log as it is at one moment: the chain, its heads, the events, which the
	// first column tells apart.
	selectWholeLog = `
SELECT 0 AS kind, ` + chainColumns + `, '', '', '', '', '', '', '', '' FROM audit_chain
UNION ALL
SELECT 1, ` + headColumns + `, '', '', '', '', '', '', '', '' FROM audit_heads AS h
UNION ALL
SELECT 2, ` + rowColumns + ` FROM audit_log`
)
