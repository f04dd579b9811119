-- Signing in and out.

-- Tokens issued before this are refused ("sign out everywhere").
ALTER TABLE users ADD COLUMN tokens_valid_after TEXT;

-- Browsers that are signed in. hash is the SHA-256 of the cookie's value, in hex.
CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    user_uuid TEXT NOT NULL,
    created_at TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    remote_addr TEXT NOT NULL,
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE INDEX idx_session_user ON sessions(user_uuid);

-- Tokens that were used up or revoked, until they expire by themselves.
CREATE TABLE spent_tokens (
    jti TEXT PRIMARY KEY,
    expires_at TEXT NOT NULL
) WITHOUT ROWID;
