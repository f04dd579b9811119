-- Deployments: how they are beyond systemd's word, and what their owner may want to
-- look at.

-- Of a deployment that was reported without them: 0, empty, an empty array.
-- findings is a JSON array of {"kind", "subject", "text"}, which is only ever read
-- as a whole.
ALTER TABLE deployments ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN health TEXT NOT NULL DEFAULT '';
ALTER TABLE deployments ADD COLUMN findings JSON NOT NULL DEFAULT '[]';

-- By the server's clock. Empty: reported before this column was there.
ALTER TABLE deployments ADD COLUMN reported_at TEXT NOT NULL DEFAULT '';
