-- The tables of the specification, with its names and columns.

CREATE TABLE users (
    user_uuid TEXT PRIMARY KEY,
    tailscale_user_id TEXT NOT NULL UNIQUE,
    tailscale_email TEXT NOT NULL,
    tailnet TEXT NOT NULL,
    display_name TEXT,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_seen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_device_id TEXT,
    cli_version TEXT,
    total_authentications INTEGER DEFAULT 0
);

CREATE INDEX idx_users_tailscale_id ON users(tailscale_user_id);

CREATE TABLE releases (
    id TEXT PRIMARY KEY,
    user_uuid TEXT NOT NULL,
    name TEXT NOT NULL,
    git_url TEXT NOT NULL,
    git_branch TEXT NOT NULL DEFAULT 'main',
    description TEXT,
    version INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
);

CREATE UNIQUE INDEX idx_release_user_name ON releases(user_uuid, name);
CREATE INDEX idx_release_user ON releases(user_uuid);

-- The specification asks for this one ahead of its use.
CREATE TABLE configurations (
    id TEXT PRIMARY KEY,
    user_uuid TEXT NOT NULL,
    config_data JSON NOT NULL,
    schema_version TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (user_uuid) REFERENCES users(user_uuid) ON DELETE CASCADE
);
