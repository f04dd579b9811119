-- Secrets: a ledger that says which version is current, and the sealed values.
-- Timestamps are text, UTC, RFC 3339 with microseconds and Z, so that they sort.

-- One row for every name a user ever used. A deleted secret keeps its row, so
-- that its versions go on where they ended. version is the last ever given.
CREATE TABLE secrets (
    secret_id TEXT NOT NULL,
    user_uuid TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    last_accessed TEXT,
    deleted_at TEXT,
    PRIMARY KEY (user_uuid, name),
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
) WITHOUT ROWID;

-- The newest values of every live secret. It references users and not secrets,
-- because the row of a new version is written before the ledger's: writing it is
-- the compare-and-swap.
CREATE TABLE secret_versions (
    user_uuid TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    encrypted_value TEXT NOT NULL,
    nonce TEXT NOT NULL,
    encryption_version INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (user_uuid, name, version),
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
) WITHOUT ROWID;

-- The record of the specification, and the key it is sealed with, for every
-- secret that is there.
CREATE VIEW secret_records AS
SELECT s.secret_id, s.user_uuid, s.name, v.encrypted_value, v.nonce, v.encryption_version,
       s.version, s.created_at, s.updated_at, s.last_accessed, v.key_id
FROM secrets AS s
JOIN secret_versions AS v ON v.user_uuid = s.user_uuid AND v.name = s.name AND v.version = s.version
WHERE s.deleted_at IS NULL;
