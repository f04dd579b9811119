-- What machines are enrolled by without the shared secret: a code that their owner
-- approves, or an invitation. Only hashes of the secrets are here.

CREATE TABLE enrolments (
    code TEXT PRIMARY KEY,
    poll_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    unix_user TEXT NOT NULL,
    device_id TEXT NOT NULL,
    public_key TEXT NOT NULL,
    cli_version TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    asked_from TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    approved_by TEXT -- user_uuid; NULL while it waits
);

CREATE INDEX enrolments_expires_at ON enrolments(expires_at);

-- Codes that a user entered and that nothing waited under.
CREATE TABLE wrong_codes (
    user_uuid TEXT NOT NULL,
    at TEXT NOT NULL,
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
);

CREATE INDEX wrong_codes_user ON wrong_codes(user_uuid, at);

CREATE TABLE invitations (
    invitation_id TEXT PRIMARY KEY,
    user_uuid TEXT NOT NULL,
    ticket_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    group_names JSON NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
);

CREATE INDEX invitations_user ON invitations(user_uuid);
