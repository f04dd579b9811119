// Opens a record of the view secret_records with nothing but WebCrypto, as anyone
// who holds the key can: AES-256-GCM, the 16 bytes of the tag at the end of
// encrypted_value, and as additional data the record's identity, joined by NUL.
//
// stdin: {"key": base64, "records": [record, …]}; stdout: [value or null, …],
// null for a record that does not open.
import { webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'

const { subtle } = webcrypto
const input = JSON.parse(readFileSync(0, 'utf8'))
const raw = Buffer.from(input.key, 'base64')
const key = await subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt'])

const digest = await subtle.digest('SHA-256', Buffer.concat([Buffer.from('leger:key-id:v1\0'), raw]))
const keyId = Buffer.from(digest).subarray(0, 8).toString('hex')

async function open(record) {
  if (record.encryption_version !== 1 || record.key_id !== keyId) return null
  const identity = ['leger:v1', record.user_uuid, record.name, String(record.version), record.key_id]
  const algorithm = {
    name: 'AES-GCM',
    iv: Buffer.from(record.nonce, 'base64'),
    additionalData: Buffer.from(identity.join('\0')),
  }
  try {
    const value = await subtle.decrypt(algorithm, key, Buffer.from(record.encrypted_value, 'base64'))
    return new TextDecoder('utf-8', { fatal: true }).decode(value)
  } catch {
    return null
  }
}

console.log(JSON.stringify(await Promise.all(input.records.map(open))))
