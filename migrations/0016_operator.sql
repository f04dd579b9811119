-- Tickets of the server's operator: whoever can write a row here proves by it that the
-- database, and so the server, is theirs. Only the ticket's hash is here.
CREATE TABLE operator_tickets (
    ticket_hash TEXT PRIMARY KEY,
    expires_at TEXT NOT NULL
) WITHOUT ROWID;

-- Keys that records are being sealed with anew: a row is there from the first record on
-- until every owner's audit log tells of it. told is the last account whose log does.
CREATE TABLE rekeys (
    key_id TEXT PRIMARY KEY,
    told TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
