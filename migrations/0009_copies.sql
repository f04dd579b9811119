-- A copy of the database knows that it is one, so that a server that starts on it
-- knows that it was put back. 0 or 1.
ALTER TABLE installation ADD COLUMN is_copy INTEGER NOT NULL DEFAULT 0;
