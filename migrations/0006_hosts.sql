-- Machines: what each of them last reported to hold and to run.

-- A version that was never reported is empty.
CREATE TABLE hosts (
    user_uuid TEXT NOT NULL,
    device_id TEXT NOT NULL,
    name TEXT NOT NULL,
    cli_version TEXT NOT NULL,
    legerd_version TEXT NOT NULL,
    podman_version TEXT NOT NULL,
    created_at TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    PRIMARY KEY (user_uuid, device_id),
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
) WITHOUT ROWID;

-- It references no secret: a machine holds a deleted one until its next sync.
CREATE TABLE host_secrets (
    user_uuid TEXT NOT NULL,
    device_id TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    synced_at TEXT NOT NULL,
    PRIMARY KEY (user_uuid, device_id, name),
    FOREIGN KEY (user_uuid, device_id) REFERENCES hosts(user_uuid, device_id) ON DELETE CASCADE
) WITHOUT ROWID;

-- It references no release: what is installed stays when the release is deleted.
-- release_key is the name in lower case, version 0 where there is none, and units
-- a JSON array of {"name", "state"}, which is only ever read as a whole.
CREATE TABLE deployments (
    user_uuid TEXT NOT NULL,
    device_id TEXT NOT NULL,
    release_key TEXT NOT NULL,
    release TEXT NOT NULL,
    version INTEGER NOT NULL,
    git_commit TEXT NOT NULL,
    state TEXT NOT NULL,
    installed_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    units JSON NOT NULL,
    PRIMARY KEY (user_uuid, device_id, release_key),
    FOREIGN KEY (user_uuid, device_id) REFERENCES hosts(user_uuid, device_id) ON DELETE CASCADE
) WITHOUT ROWID;
