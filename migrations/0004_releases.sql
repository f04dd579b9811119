-- Releases: a subdirectory of the repository, names that are unique whatever
-- their case, and the history of edits.

ALTER TABLE releases ADD COLUMN git_path TEXT NOT NULL DEFAULT '';

-- The name in lower case.
ALTER TABLE releases ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
UPDATE releases SET name_key = lower(name);

DROP INDEX idx_release_user_name;
CREATE UNIQUE INDEX idx_release_user_name ON releases(user_uuid, name_key);

CREATE TABLE release_versions (
    release_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    git_url TEXT NOT NULL,
    git_branch TEXT NOT NULL,
    git_path TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (release_id, version),
    FOREIGN KEY (release_id) REFERENCES releases(id) ON DELETE CASCADE
) WITHOUT ROWID;

-- A release that was there before keeps at least the version it is at.
INSERT INTO release_versions (release_id, version, name, git_url, git_branch, git_path, description, created_at)
SELECT id, version, name, git_url, git_branch, git_path, coalesce(description, ''),
       strftime('%Y-%m-%dT%H:%M:%S.000000Z', updated_at)
FROM releases;
