-- Who did what to what, from where, when; never a value. user_uuid references
-- nothing, because the events of a deleted account stay, and is empty when
-- nobody was proved.
CREATE TABLE audit_log (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    user_uuid TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL,
    count INTEGER NOT NULL,
    credential TEXT NOT NULL,
    device_id TEXT NOT NULL,
    remote_addr TEXT NOT NULL,
    request_id TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- The index also holds the id, so it serves a page of one user, newest first.
CREATE INDEX idx_audit_user ON audit_log(user_uuid);
