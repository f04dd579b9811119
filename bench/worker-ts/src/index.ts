// The specification's worker, written down plainly, to measure Leger's against:
// secrets in KV and nowhere else, found by prefix and fetched one by one at once,
// AES-256-GCM and HS256 by WebCrypto, users in D1. It has only the routes that are
// measured. It does less than Leger: no ledger, so that a read may be stale and
// two writers at once may lose an edit; no audit log, no revocation, no sessions.
// One more route, /api/ledger/NAME, creates with a ledger: see ledger.ts.

import { decryptSecret, encryptSecret, type JWTPayload, type Sealed, verifyJWT } from "./crypto";
import { nextVersion, writeVersion } from "./ledger";

interface Env {
  LEGER_USERS: KVNamespace;
  LEGER_SECRETS: KVNamespace;
  LEGER_STATIC: R2Bucket;
  LEGER_DB: D1Database;
  ENVIRONMENT: string;
  APP_VERSION: string;
  ENCRYPTION_KEY: string;
  JWT_SECRET: string;
}

interface SecretRecord extends Sealed {
  secret_id: string;
  user_uuid: string;
  name: string;
  encryption_version: number;
  version: number;
  created_at: string;
  updated_at: string;
  last_accessed: string | null;
}

class HTTPError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

const ok = (data: unknown): Response => Response.json({ success: true, data });

async function signedIn(request: Request, env: Env): Promise<JWTPayload> {
  const header = request.headers.get("Authorization");
  const payload = header?.startsWith("Bearer ") ? await verifyJWT(header.substring(7), env.JWT_SECRET) : null;
  if (payload === null) {
    throw new HTTPError(401, "invalid_token", "JWT signature invalid or expired");
  }
  return payload;
}

interface UserRow {
  user_uuid: string;
  tailscale_email: string;
  display_name: string | null;
  tailnet: string;
}

async function validate(request: Request, env: Env): Promise<Response> {
  const who = await signedIn(request, env);
  const now = new Date().toISOString();
  let user = await env.LEGER_DB.prepare(
    `UPDATE users SET last_seen = ?1, total_authentications = total_authentications + 1
     WHERE tailscale_user_id = ?2 RETURNING user_uuid, tailscale_email, display_name, tailnet`,
  )
    .bind(now, who.tailscale_user_id)
    .first<UserRow>();
  if (user === null) {
    user = { user_uuid: who.sub, tailscale_email: who.email, display_name: null, tailnet: who.tailnet };
    await env.LEGER_DB.prepare(
      `INSERT INTO users (user_uuid, tailscale_user_id, tailscale_email, tailnet, created_at, last_seen, total_authentications)
       VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)`,
    )
      .bind(who.sub, who.tailscale_user_id, who.email, who.tailnet, now)
      .run();
    await env.LEGER_USERS.put(
      `user:${who.sub}`,
      JSON.stringify({ ...user, tailscale_user_id: who.tailscale_user_id, created_at: now, last_seen: now }),
    );
  }
  const { user_uuid, tailscale_email: email, display_name, tailnet } = user;
  return ok({ user: { user_uuid, email, display_name, tailnet } });
}

const prefixOf = (user: string): string => `secrets:${user}:`;

/** Gives all records of a user: the keys by prefix, then each of them, all at once. */
async function records(user: string, env: Env): Promise<SecretRecord[]> {
  const names: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page: KVNamespaceListResult<unknown> = await env.LEGER_SECRETS.list({ prefix: prefixOf(user), cursor });
    names.push(...page.keys.map((key) => key.name));
    if (page.list_complete) {
      break;
    }
    cursor = page.cursor;
  }
  const found = await Promise.all(names.map((name) => env.LEGER_SECRETS.get<SecretRecord>(name, "json")));
  return found.filter((record) => record !== null);
}

async function listSecrets(user: string, withValues: boolean, env: Env): Promise<Response> {
  const all = await records(user, env);
  const secrets = await Promise.all(
    all.map(async (record) => {
      const { name, version, created_at, updated_at } = record;
      if (!withValues) {
        return { name, version, created_at, updated_at };
      }
      return { name, version, created_at, updated_at, value: await decryptSecret(record, env.ENCRYPTION_KEY) };
    }),
  );
  return ok({ secrets });
}

async function showSecret(user: string, name: string, env: Env): Promise<Response> {
  const record = await env.LEGER_SECRETS.get<SecretRecord>(prefixOf(user) + name, "json");
  if (record === null) {
    throw new HTTPError(404, "not_found", "there is no such secret");
  }
  return ok({ name, version: record.version, value: await decryptSecret(record, env.ENCRYPTION_KEY) });
}

async function toWrite(request: Request, name: string): Promise<string> {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/.test(name)) {
    throw new HTTPError(400, "invalid_request", "the name is not one of a secret");
  }
  const body = await request.json<{ value?: unknown }>().catch(() => null);
  if (typeof body?.value !== "string" || body.value === "") {
    throw new HTTPError(400, "invalid_request", "value must be a string");
  }
  return body.value;
}

async function writeWithLedger(
  request: Request,
  who: JWTPayload,
  name: string,
  env: Env,
  context: ExecutionContext,
): Promise<Response> {
  const value = await toWrite(request, name);
  const stores = { db: env.LEGER_DB, secrets: env.LEGER_SECRETS };
  const version = await nextVersion(stores, who.sub, who.jti ?? "", name);
  if (version === null) {
    throw new HTTPError(401, "invalid_token", "the token was revoked");
  }
  const sealed = await encryptSecret(value, env.ENCRYPTION_KEY);
  if (!(await writeVersion(stores, context, { user: who.sub, name, version, key: prefixOf(who.sub) + name }, sealed))) {
    throw new HTTPError(409, "conflict", "somebody else wrote this secret");
  }
  return ok({ name, version });
}

async function writeSecret(request: Request, user: string, name: string, env: Env): Promise<Response> {
  const value = await toWrite(request, name);
  const key = prefixOf(user) + name;
  const old = await env.LEGER_SECRETS.get<SecretRecord>(key, "json");
  const now = new Date().toISOString();
  const record: SecretRecord = {
    secret_id: old?.secret_id ?? crypto.randomUUID(),
    user_uuid: user,
    name,
    ...(await encryptSecret(value, env.ENCRYPTION_KEY)),
    encryption_version: 1,
    version: (old?.version ?? 0) + 1,
    created_at: old?.created_at ?? now,
    updated_at: now,
    last_accessed: null,
  };
  await env.LEGER_SECRETS.put(key, JSON.stringify(record));
  return ok({ name, version: record.version, created_at: record.created_at });
}

async function deleteSecret(user: string, name: string, env: Env): Promise<Response> {
  await env.LEGER_SECRETS.delete(prefixOf(user) + name);
  return ok({ deleted: true });
}

async function route(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const { method } = request;
  if (pathname === "/health") {
    const timestamp = new Date().toISOString();
    return Response.json({ status: "healthy", service: "leger-app", version: env.APP_VERSION, timestamp });
  }
  if (method === "POST" && pathname === "/api/auth/validate") {
    return validate(request, env);
  }
  if (method === "GET" && pathname === "/api/secrets") {
    const { sub } = await signedIn(request, env);
    return listSecrets(sub, searchParams.get("include_values") === "true", env);
  }
  const one = /^\/api\/secrets\/([^/]+)$/.exec(pathname);
  if (one?.[1] !== undefined) {
    const { sub } = await signedIn(request, env);
    const name = decodeURIComponent(one[1]);
    switch (method) {
      case "GET":
        return showSecret(sub, name, env);
      case "POST":
        return writeSecret(request, sub, name, env);
      case "DELETE":
        return deleteSecret(sub, name, env);
    }
  }
  const withLedger = /^\/api\/ledger\/([^/]+)$/.exec(pathname);
  if (method === "POST" && withLedger?.[1] !== undefined) {
    return writeWithLedger(request, await signedIn(request, env), decodeURIComponent(withLedger[1]), env, context);
  }
  throw new HTTPError(404, "not_found", "there is no such route");
}

export default {
  async fetch(request, env, context): Promise<Response> {
    try {
      return await route(request, env, context);
    } catch (error) {
      const { status, code, message } =
        error instanceof HTTPError ? error : new HTTPError(500, "internal", "something went wrong on the server");
      return Response.json({ success: false, error: { code, message } }, { status });
    }
  },
} satisfies ExportedHandler<Env>;
