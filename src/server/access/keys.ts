/**
 * API keys in a file. A key reads `semblance_<id>_<secret>`: the id (12 hexadecimal digits) names it in lists and logs, the
 * secret is 256 random bits. The file holds the SHA-256 of the whole key, never the key; a slow hash is for passwords that can
 * be guessed, and this secret cannot. A name may have several keys while one takes over from another. What was revoked
 * stays in the file, so that an id in an old log still has a name.
 */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import envPaths from 'env-paths';
import { z } from 'zod';
import {
  acquireLock,
  DataError,
  millisecondsSince,
  presentTime,
  readJson,
  refuseNewerFormat,
  writeFileAtomic,
} from '../../util/index.js';

/** What a key may do. `admin` may do everything; `write` does not include `search`. */
export const SCOPES = ['search', 'write', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

const storedKey = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{12}$/),
  name: z.string().min(1).max(100),
  scopes: z.array(z.enum(SCOPES)).min(1),
  /** SHA-256 of the key, in hexadecimal. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.iso.datetime(),
  /** From then on it is no key any more. */
  expiresAt: z.iso.datetime().optional(),
  revokedAt: z.iso.datetime().optional(),
});
export type StoredKey = z.output<typeof storedKey>;

const keysFile = z.strictObject({ version: z.literal(1), keys: z.array(storedKey) });

/** Where keys are kept when nothing else is said: `keys.json` among the user's configuration. */
export function defaultKeysPath(): string {
  return join(envPaths('semblance', { suffix: '' }).config, 'keys.json');
}

/** The keys of a file; none when there is no file. @throws DataError when it cannot be read */
export async function readKeys(path: string): Promise<StoredKey[]> {
  let value: unknown;
  try {
    value = await readJson(path);
  } catch (error) {
    const { cause } = error as DataError;
    if ((cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return [];
    throw error;
  }
  refuseNewerFormat((value as { version?: unknown } | null)?.version, 'the file of keys', 1, path);
  const parsed = keysFile.safeParse(value);
  if (parsed.success) return parsed.data.keys;
  const issue = parsed.error.issues[0];
  throw new DataError(
    `is no file of keys: ${issue?.path.join('/') || 'it'}: ${issue?.message}. Make one with \`semblance keys add\``,
    { file: path },
  );
}

/** Whether a key opens anything now. */
export function isValid(key: StoredKey): boolean {
  return key.revokedAt === undefined && !isExpired(key);
}

/** Whether a key's time is over. */
export function isExpired({ expiresAt }: StoredKey): boolean {
  return expiresAt !== undefined && millisecondsSince(expiresAt) >= 0;
}

/**
 * Makes a key for a name that has none.
 * @param options.expiresAt ISO 8601. Default: never.
 * @returns `token`, the key itself, which is nowhere else
 * @throws DataError when the name has a valid key
 */
export async function addKey(
  path: string,
  options: { readonly name: string; readonly scopes: readonly Scope[]; readonly expiresAt?: string },
): Promise<{ key: StoredKey; token: string }> {
  const { name, scopes, expiresAt } = options;
  if (!/^[\p{L}\p{N}][\p{L}\p{N} ._@-]{0,99}$/u.test(name))
    throw new DataError(
      `keys: a name must have 1 to 100 letters, digits, spaces and . _ @ -, got '${name.slice(0, 120)}'`,
    );
  return await changeKeys(path, (keys) => {
    if (keys.some((key) => key.name === name && isValid(key)))
      throw new DataError(`keys: '${name}' must be a new name, got one that has a key. Rotate or revoke it`);
    const made = newKey(name, scopes, expiresAt);
    keys.push(made.key);
    return made;
  });
}

/**
 * Gives a name a new key with the same scopes, and as long to live as the old one had. The old one ends after a while, in which clients change over.
 * @param options.graceMs milliseconds that the old one still opens; 0: none.
 * @throws DataError when the name has no valid key
 */
export async function rotateKey(
  path: string,
  name: string,
  options: { readonly graceMs: number },
): Promise<{ key: StoredKey; token: string }> {
  return await changeKeys(path, (keys) => {
    const old = keys.filter((key) => key.name === name && isValid(key));
    const last = old.at(-1);
    if (last === undefined) throw noSuchKey(path, name);
    const now = Date.parse(presentTime());
    const end = new Date(now + options.graceMs).toISOString();
    const lifetime =
      last.expiresAt === undefined ? undefined : Date.parse(last.expiresAt) - Date.parse(last.createdAt);
    for (const key of old) if (key.expiresAt === undefined || key.expiresAt > end) key.expiresAt = end;
    const expiresAt = lifetime === undefined ? undefined : new Date(now + lifetime).toISOString();
    const made = newKey(name, last.scopes, expiresAt);
    keys.push(made.key);
    return made;
  });
}

/**
 * Ends the keys of a name, or the one of an id, at once.
 * @returns those that were ended
 * @throws DataError when there is none that is valid
 */
export async function revokeKey(path: string, nameOrId: string): Promise<StoredKey[]> {
  return await changeKeys(path, (keys) => {
    const ended = keys.filter((key) => isValid(key) && (key.name === nameOrId || key.id === nameOrId));
    if (ended.length === 0) throw noSuchKey(path, nameOrId);
    for (const key of ended) key.revokedAt = presentTime();
    return ended;
  });
}

/** SHA-256 of a key. */
export function hashKey(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** The id in a key. @returns undefined when it does not look like a key */
export function idOfKey(token: string): string | undefined {
  return /^semblance_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/.exec(token)?.[1];
}

// --- internal ---

function newKey(name: string, scopes: readonly Scope[], expiresAt?: string) {
  const id = randomBytes(6).toString('hex');
  const token = `semblance_${id}_${randomBytes(32).toString('base64url')}`;
  const key: StoredKey = {
    id,
    name,
    scopes: SCOPES.filter((scope) => scopes.includes(scope)),
    hash: hashKey(token).toString('hex'),
    createdAt: presentTime(),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
  return { key, token };
}

/** One change at a time, of however many processes; only the owner may read the file. */
async function changeKeys<T>(path: string, change: (keys: StoredKey[]) => T): Promise<T> {
  const lock = await acquireLock(`${path}.lock`);
  try {
    const keys = await readKeys(path);
    const result = change(keys);
    await writeFileAtomic(path, `${JSON.stringify({ version: 1, keys }, null, 2)}\n`, { mode: 0o600 });
    return result;
  } finally {
    await lock.release();
  }
}

function noSuchKey(path: string, name: string): DataError {
  return new DataError(`must have a valid key called '${name}', got none. See \`semblance keys list\``, {
    file: path,
  });
}
