// Creating a secret with what Leger promises and the specification's algorithm does
// not: a revoked token is refused, two writers at once cannot lose an edit, the change
// is in the audit log, and KV's copy can be lost without harm. Two batches of D1 and,
// after the answer, one write of KV. It shows what that costs in TypeScript.

import type { Sealed } from "./crypto";

export interface Stores {
  db: D1Database;
  secrets: KVNamespace;
}

/** Tells the version that is to be written, or null for who may not write. */
export async function nextVersion(stores: Stores, user: string, token: string, name: string): Promise<number | null> {
  const [who, state] = await stores.db.batch<Record<string, unknown>>([
    stores.db
      .prepare(
        `SELECT tokens_valid_after, EXISTS (SELECT 1 FROM spent_tokens WHERE jti = ?2) AS spent
         FROM users WHERE user_uuid = ?1`,
      )
      .bind(user, token),
    stores.db.prepare(`SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2`).bind(user, name),
  ]);
  const row = who?.results[0];
  if (row === undefined || row.spent !== 0) {
    return null;
  }
  const version = state?.results[0]?.version;
  return (typeof version === "number" ? version : 0) + 1;
}

/** Writes a version in one transaction; false when somebody else was faster. */
export async function writeVersion(
  stores: Stores,
  context: ExecutionContext,
  at: { user: string; name: string; version: number; key: string },
  sealed: Sealed,
): Promise<boolean> {
  const now = new Date().toISOString();
  const { user, name, version, key } = at;
  const id = crypto.randomUUID();
  const { db } = stores;
  const [inserted] = await db.batch([
    db
      .prepare(
        `INSERT INTO secret_versions (user_uuid, name, version, encrypted_value, nonce, encryption_version, key_id, created_at)
         SELECT ?1, ?2, ?3, ?4, ?5, 1, 'bench', ?6
         WHERE coalesce((SELECT version FROM secrets WHERE user_uuid = ?1 AND name = ?2), 0) = ?3 - 1`,
      )
      .bind(user, name, version, sealed.encrypted_value, sealed.nonce, now),
    db
      .prepare(
        `INSERT INTO secrets (user_uuid, name, version, secret_id, created_at, updated_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?5 WHERE changes() > 0
         ON CONFLICT (user_uuid, name) DO UPDATE SET version = excluded.version, updated_at = excluded.updated_at`,
      )
      .bind(user, name, version, id, now),
    db
      .prepare(
        `INSERT INTO audit_log (at, user_uuid, action, subject, version, count, credential, device_id, remote_addr, request_id, detail)
         SELECT ?1, ?2, 'secret.create', ?3, ?4, 0, 'token', '', '127.0.0.1', '', '' WHERE changes() > 0`,
      )
      .bind(now, user, name, version),
    db
      .prepare(`DELETE FROM secret_versions WHERE user_uuid = ?1 AND name = ?2 AND version <= ?3 - 10`)
      .bind(user, name, version),
  ]);
  if (inserted?.meta.changes !== 1) {
    return false;
  }
  const record = { secret_id: id, user_uuid: user, name, ...sealed, encryption_version: 1, version, created_at: now, updated_at: now };
  context.waitUntil(stores.secrets.put(key, JSON.stringify(record)));
  return true;
}
