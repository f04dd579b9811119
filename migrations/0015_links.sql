-- Links by which a signed-in browser signs another one in: each works once, for two
-- minutes, and ends with the session of who made it. ends_at is when that session ends,
-- and the new one no later. Only the ticket's hash is here.
CREATE TABLE sign_in_links (
    ticket_hash TEXT PRIMARY KEY,
    user_uuid TEXT NOT NULL,
    made_by TEXT NOT NULL, -- the session's hash
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    ends_at TEXT NOT NULL,
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE,
    FOREIGN KEY (made_by) REFERENCES sessions(hash) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE INDEX sign_in_links_user ON sign_in_links(user_uuid);
CREATE INDEX sign_in_links_session ON sign_in_links(made_by);
