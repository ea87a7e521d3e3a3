/**
 * Who a request is from, and whether it may: rate limits by address, the key, its scope, rate limits by key. Runs before anything
 * of a body is read.
 *
 * A key comes as `Authorization: Bearer <key>`. Pictures can be asked for with the cookie `semblance-key` as well, since an
 * `<img>` sends no headers; nothing else takes it, so no other site can act with it.
 */
import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import type { Server } from '../context.js';
import { HttpError } from '../errors.js';
import type { KeyRing } from './key-ring.js';
import type { StoredKey } from './keys.js';
import { RequestCounts } from './request-counts.js';
import { operationOf, scopeOf } from './scopes.js';

export interface AccessOptions {
  /** Absent: no keys are asked for. */
  readonly keys: KeyRing | undefined;
  /** Requests a minute of one key, and of one address (an IPv6 network of 64 bits counts as one). Absent: any number. */
  readonly requestsPerMinute: number | undefined;
  /** Whose pages may call the API. */
  readonly origins: readonly string[];
}

/** Who a request is from, as logs name it: the name and id of a key, or `anonymous`. */
export function whoOf(request: FastifyRequest): { readonly who: string; readonly keyId?: string } {
  const key = holders.get(request);
  return key === undefined ? { who: 'anonymous' } : { who: key.name, keyId: key.id };
}

/** Adds the checks to all requests. */
export async function addAccess(server: Server, options: AccessOptions): Promise<void> {
  const { keys, requestsPerMinute } = options;
  await server.register(rateLimit, { global: false, store: RequestCounts, timeWindow: 60_000 });
  const byAddress = (prefix: string) => (request: FastifyRequest) =>
    `${prefix} ${normalizeIP(request.ip, 64)}`;
  const failures = server.createRateLimit({ max: FAILURES, keyGenerator: byAddress('failed') });
  const counted =
    requestsPerMinute === undefined
      ? []
      : [
          server.createRateLimit({ max: requestsPerMinute, keyGenerator: byAddress('address') }),
          server.createRateLimit({
            max: requestsPerMinute,
            keyGenerator: (request) => `key ${holders.get(request)?.id}`,
          }),
        ];

  server.addHook('onRequest', async (request) => {
    const scope = scopeOf(request);
    if (scope === 'open') return;
    const [limitAddress, limitKey] = counted;
    if (limitAddress !== undefined) await count(limitAddress, request, 'this address');
    if (keys === undefined) {
      requireOwnOrigin(request, options.origins);
      return;
    }
    const token = tokenOf(request);
    if (token === undefined) throw unauthorized('the request has no key. Send it as Authorization: Bearer');
    const key = await identify(keys, token);
    if (key === undefined) {
      await count(failures, request, 'this address, with keys that are none');
      throw unauthorized('the key is not one of this server, or it has ended', 'invalid_token');
    }
    holders.set(request, key);
    if (limitKey !== undefined) await count(limitKey, request, 'this key');
    if (!key.scopes.includes(scope) && !key.scopes.includes('admin'))
      throw new HttpError(
        'forbidden',
        `${operationOf(request) ?? 'this'} demands a key of scope '${scope}', and this one has ${key.scopes.join(', ')}`,
      );
  });
}

// --- internal ---

/** Wrong keys from one address in a minute. */
const FAILURES = 30;
const COOKIE = 'semblance-key';
/** Operations that an `<img>` asks for. */
const IMAGES = new Set(['getPictureImage', 'getFeedbackImage', 'getRemotePicture']);

const holders = new WeakMap<FastifyRequest, StoredKey>();

type Limit = ReturnType<Server['createRateLimit']>;

async function count(limit: Limit, request: FastifyRequest, what: string): Promise<void> {
  const state = await limit(request);
  if (state.isAllowed || !state.isExceeded) return;
  throw new HttpError('too-many-requests', `${what} may make ${state.max} requests a minute`, {
    headers: { 'retry-after': String(Math.max(1, state.ttlInSeconds)) },
  });
}

async function identify(keys: KeyRing, token: string): Promise<StoredKey | undefined> {
  try {
    return await keys.identify(token);
  } catch (error) {
    throw new HttpError('unavailable', 'the server cannot read its keys; its log says why', { cause: error });
  }
}

function tokenOf(request: FastifyRequest): string | undefined {
  const { authorization, cookie } = request.headers;
  const bearer = /^Bearer +(\S{1,200})$/i.exec(authorization ?? '')?.[1];
  if (bearer !== undefined || cookie === undefined) return bearer;
  if (!IMAGES.has(operationOf(request) ?? '')) return undefined;
  return new RegExp(`(?:^|; *)${COOKIE}=([\\w-]{1,200})(?:;|$)`).exec(cookie)?.[1];
}

function unauthorized(detail: string, error?: string): HttpError {
  const challenge = `Bearer realm="semblance"${error === undefined ? '' : `, error="${error}"`}`;
  return new HttpError('unauthorized', detail, { headers: { 'www-authenticate': challenge } });
}

/**
 * Where no keys are asked for, a page of anybody's that is open in the browser of somebody near the server could send what needs
 * no preflight, a form with a picture for one. Browsers say which page it was.
 */
function requireOwnOrigin(request: FastifyRequest, allowed: readonly string[]): void {
  const { origin } = request.headers;
  if (origin === undefined || request.method === 'GET' || request.method === 'HEAD') return;
  if (allowed.includes(origin) || (URL.canParse(origin) && new URL(origin).host === request.host)) return;
  throw new HttpError(
    'wrong-origin',
    `pages of '${origin.slice(0, 200)}' may not call this server. Start it with --cors ${origin.slice(0, 200)} if they should`,
  );
}
