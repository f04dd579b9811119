// The specification's cryptography, on WebCrypto alone.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function base64Encode(bytes: Uint8Array): string {
  let text = "";
  // A call takes only so many arguments.
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(text);
}

export function base64Decode(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) {
    bytes[i] = binary.charCodeAt(i);
  }
  return bytes;
}

function base64UrlDecode(text: string): Uint8Array<ArrayBuffer> {
  return base64Decode(text.replaceAll("-", "+").replaceAll("_", "/"));
}

// An imported key is kept for the life of the isolate: its text never changes.
const imported = new Map<string, Promise<CryptoKey>>();

function importOnce(id: string, make: () => Promise<CryptoKey>): Promise<CryptoKey> {
  let key = imported.get(id);
  if (key === undefined) {
    key = make();
    imported.set(id, key);
  }
  return key;
}

function masterKey(text: string): Promise<CryptoKey> {
  return importOnce(`aes ${text}`, () =>
    crypto.subtle.importKey("raw", base64Decode(text), "AES-GCM", false, ["encrypt", "decrypt"]),
  );
}

function signingKey(secret: string): Promise<CryptoKey> {
  return importOnce(`hmac ${secret}`, () =>
    crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]),
  );
}

export interface Sealed {
  encrypted_value: string;
  nonce: string;
}

export async function encryptSecret(plaintext: string, key: string): Promise<Sealed> {
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt(
    { name: "AES-GCM", iv: nonce },
    await masterKey(key),
    encoder.encode(plaintext),
  );
  return { encrypted_value: base64Encode(new Uint8Array(sealed)), nonce: base64Encode(nonce) };
}

export async function decryptSecret(sealed: Sealed, key: string): Promise<string> {
  const plain = await crypto.subtle.decrypt(
    { name: "AES-GCM", iv: base64Decode(sealed.nonce) },
    await masterKey(key),
    base64Decode(sealed.encrypted_value),
  );
  return decoder.decode(plain);
}

export interface JWTPayload {
  sub: string;
  tailscale_user_id: string;
  email: string;
  tailnet: string;
  iat: number;
  exp: number;
  jti?: string;
}

/** Gives the claims of an HS256 token that is signed with secret and not expired, else null. */
export async function verifyJWT(token: string, secret: string): Promise<JWTPayload | null> {
  const [head, body, signature, ...rest] = token.split(".");
  if (!head || !body || !signature || rest.length > 0) {
    return null;
  }
  try {
    const header = JSON.parse(decoder.decode(base64UrlDecode(head))) as { alg?: string };
    if (header.alg !== "HS256") {
      return null;
    }
    const good = await crypto.subtle.verify(
      "HMAC",
      await signingKey(secret),
      base64UrlDecode(signature),
      encoder.encode(`${head}.${body}`),
    );
    const payload = JSON.parse(decoder.decode(base64UrlDecode(body))) as JWTPayload;
    return good && payload.exp >= Date.now() / 1000 ? payload : null;
  } catch {
    return null;
  }
}
