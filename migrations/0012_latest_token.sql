-- When a token that a computer with a fast clock made stops counting as new: a second
-- after its time of issue, which may lie ahead of the server's clock. "Sign out
-- everywhere" ends it, too.
ALTER TABLE users ADD COLUMN latest_token_at TEXT;
