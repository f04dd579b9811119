-- Which of its owner's machines a secret is given to: empty for all of them, else JSON
-- with two arrays of text, "machines" (their ids) and "groups", which is only ever read
-- as a whole.
ALTER TABLE secrets ADD COLUMN scope TEXT NOT NULL DEFAULT '';
