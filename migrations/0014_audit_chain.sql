-- An audit log that can be checked: internal/chain says what is hashed.

-- seal is the event's stamp, and its link once it has its number in its account's
-- chain. Events of before this have neither, until they are linked as they are found.
ALTER TABLE audit_log ADD COLUMN number INTEGER;
ALTER TABLE audit_log ADD COLUMN seal TEXT NOT NULL DEFAULT '';

-- Where each account's chain begins and ends. It references nothing: events of a deleted
-- account stay, and so does their chain. user_uuid is empty for the events of nobody.
CREATE TABLE audit_heads (
    user_uuid TEXT PRIMARY KEY,
    start_number INTEGER NOT NULL,
    start_seal TEXT NOT NULL,
    last_number INTEGER NOT NULL,
    last_seal TEXT NOT NULL,
    mac TEXT NOT NULL
) WITHOUT ROWID;

-- The one row about the log as a whole: its key, sealed with the encryption key that
-- key_id names, and how far it is linked and pruned. begun_at is empty until the chains
-- begin, which is when the first event is linked.
CREATE TABLE audit_chain (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key_id TEXT NOT NULL,
    nonce TEXT NOT NULL,
    sealed_key TEXT NOT NULL,
    made_at TEXT NOT NULL,
    begun_at TEXT NOT NULL DEFAULT '',
    found_id INTEGER NOT NULL DEFAULT 0,
    pruned_id INTEGER NOT NULL DEFAULT 0,
    sealed_id INTEGER NOT NULL DEFAULT 0,
    heads INTEGER NOT NULL DEFAULT 0,
    mac TEXT NOT NULL DEFAULT ''
);
