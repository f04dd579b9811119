-- Machines that sign their own tokens: one row for each key, which is one for each
-- machine and Unix user.

-- public_key is base64url, group_names a JSON array of text in order, which is only
-- ever read as a whole. What a machine did not tell is empty.
CREATE TABLE machines (
    machine_id TEXT PRIMARY KEY,
    user_uuid TEXT NOT NULL,
    name TEXT NOT NULL,
    unix_user TEXT NOT NULL,
    device_id TEXT NOT NULL,
    role TEXT NOT NULL,
    group_names JSON NOT NULL DEFAULT '[]',
    public_key TEXT NOT NULL UNIQUE,
    cli_version TEXT NOT NULL,
    enrolled_by TEXT NOT NULL,
    enrolled_at TEXT NOT NULL,
    enrolled_from TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    last_addr TEXT NOT NULL,
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE INDEX idx_machine_user ON machines(user_uuid);
