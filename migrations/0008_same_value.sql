-- One version number is one value: what tells a value from another under the same
-- number, a server from another, and a list with a gap from a whole one.

-- value_id is the nonce of the current version: no two values ever sealed share it.
ALTER TABLE secrets ADD COLUMN value_id TEXT NOT NULL DEFAULT '';
UPDATE secrets SET value_id = coalesce((
    SELECT v.nonce FROM secret_versions AS v
    WHERE v.user_uuid = secrets.user_uuid AND v.name = secrets.name AND v.version = secrets.version), '')
WHERE deleted_at IS NULL;

-- How many live secrets the account has. It is counted up and down, never counted
-- anew from the rows, so that a row lost to damage is missed.
ALTER TABLE users ADD COLUMN secret_count INTEGER NOT NULL DEFAULT 0;
UPDATE users SET secret_count = (
    SELECT count(*) FROM secrets AS s WHERE s.user_uuid = users.user_uuid AND s.deleted_at IS NULL);

-- The one row about this database as a whole. installation_id is random and made
-- with it; epoch grows whenever the database is put back to an earlier state;
-- pruned_at is how far in time pruning has come.
CREATE TABLE installation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    installation_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    pruned_at TEXT
);

-- A UUIDv4 (RFC 9562, 5.4).
INSERT INTO installation (id, installation_id, epoch, pruned_at)
SELECT 1,
       substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-'
           || substr('89ab', 1 + (random() & 3), 1) || substr(h, 18, 3) || '-' || substr(h, 21, 12),
       1,
       (SELECT at FROM audit_log ORDER BY id DESC LIMIT 1)
FROM (SELECT lower(hex(randomblob(16))) AS h);

-- When an account last signed out everywhere. It references nothing, because it
-- outlives the account: the tokens it ended must not make that account anew.
CREATE TABLE sign_outs (
    user_uuid TEXT PRIMARY KEY,
    tokens_valid_after TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO sign_outs (user_uuid, tokens_valid_after)
SELECT user_uuid, tokens_valid_after FROM users WHERE tokens_valid_after IS NOT NULL;
