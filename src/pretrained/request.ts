/**
 * One request for a file over https: which addresses are allowed, redirects, ranges, connections that stall.
 */
import { DataError, errorMessage } from '../util/index.js';

/** A connection that failed in a way that another try may cure. */
export class Interruption extends Error {
  override readonly name = 'Interruption';
}

export interface FileRequest {
  /** Bytes that are there already. */
  readonly from: number;
  /** ETag or date of the file that these bytes are of. */
  readonly validator: string | undefined;
  readonly stallMs: number;
  readonly signal: AbortSignal | undefined;
}

export interface FileResponse {
  /** Where the bytes that come begin: as asked for, or 0. */
  readonly from: number;
  /** Bytes of the whole file, where the server says. */
  readonly total: number | undefined;
  readonly validator: string | undefined;
  /** @throws Interruption when the connection ends or stalls */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Ends the connection. */
  cancel(): void;
}

/** The source as an address, or `undefined` for a path. @throws DataError when it may not be fetched. */
export function addressOf(source: string): URL | undefined {
  if (!/^[a-z][a-z0-9+.-]+:/i.test(source) || !URL.canParse(source)) return undefined; // C:\… is a path
  const address = new URL(source);
  if (address.protocol !== 'file:') requireAllowed(address);
  return address;
}

/** An address as messages and records show it: without user, password and query, which may hold secrets. */
export function shownAddress({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

/**
 * Asks for a file, or for the rest of it where `from` is above 0 and the file is still the same.
 * @throws Interruption for what may pass: no connection, a stall, status 408, 429 and 5xx
 * @throws DataError for what will not: other statuses, redirects to what is not allowed
 */
export async function requestFile(
  address: URL,
  { from, validator, stallMs, signal }: FileRequest,
): Promise<FileResponse> {
  const stall = new AbortController();
  const watch = () =>
    setTimeout(
      () => stall.abort(new Interruption(`nothing came for ${Math.round(stallMs / 100) / 10} s`)),
      stallMs,
    );
  let timer = watch();
  const explain = (error: unknown): Error => {
    if (signal?.aborted) return signal.reason as Error;
    if (stall.signal.aborted) return stall.signal.reason as Error;
    if (error instanceof DataError || error instanceof Interruption) return error;
    return new Interruption(unreachable(error));
  };
  const cancel = () => {
    clearTimeout(timer);
    stall.abort(new Interruption('the download was stopped'));
  };
  try {
    const headers: Record<string, string> = { 'accept-encoding': 'identity' };
    if (from > 0) {
      headers.range = `bytes=${from}-`;
      if (validator !== undefined) headers['if-range'] = validator;
    }
    const both = signal === undefined ? stall.signal : AbortSignal.any([signal, stall.signal]);
    const response = await follow(address, headers, both);
    if (response.status === 416 && from > 0) {
      // What is there is not a part of what is there now: from the start.
      cancel();
      return await requestFile(address, { from: 0, validator: undefined, stallMs, signal });
    }
    requireSuccess(response, address);
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
    const isRest = response.status === 206;
    if (isRest && Number(range?.[1]) !== from)
      throw new DataError(
        `the server must send bytes from ${from} on, got '${response.headers.get('content-range') ?? ''}'`,
        { file: shownAddress(address) },
      );
    // Should the server compress nevertheless, lengths and places are not those of the file.
    const isPlain = ['identity', null].includes(response.headers.get('content-encoding'));
    const length = isPlain ? response.headers.get('content-length') : null;
    const whole = isRest && range?.[2] !== '*' ? Number(range?.[2]) : undefined;
    const start = isRest ? from : 0;
    const body = response.body;
    return {
      from: start,
      total: whole ?? (length === null ? undefined : start + Number(length)),
      validator: isPlain ? validatorOf(response.headers) : undefined,
      cancel,
      chunks: (async function* () {
        try {
          for await (const chunk of body ?? []) {
            clearTimeout(timer);
            timer = watch();
            yield chunk as Uint8Array;
          }
        } catch (error) {
          throw explain(error);
        } finally {
          clearTimeout(timer);
        }
      })(),
    };
  } catch (error) {
    const explained = explain(error);
    cancel();
    throw explained;
  }
}

// --- internal ---

const MOST_REDIRECTS = 5;

function requireAllowed(address: URL): void {
  const { protocol, hostname, username, password } = address;
  const isLocal = hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  if (protocol !== 'https:' && !(protocol === 'http:' && isLocal))
    throw new DataError(
      `the address must begin with https://, got ${protocol === 'http:' ? 'http:// (without encryption)' : protocol}. Use https, or download the file yourself and give its path`,
      { file: protocol === 'http:' ? shownAddress(address) : `${protocol}…` },
    );
  if (username !== '' || password !== '')
    throw new DataError(
      'the address must be without user and password. Download the file yourself and give its path',
      { file: shownAddress(address) },
    );
}

async function follow(address: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  let current = address;
  for (let redirects = 0; ; redirects++) {
    const response = await fetch(current, { headers, redirect: 'manual', signal });
    const location = response.headers.get('location');
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
    await response.body?.cancel();
    if (redirects === MOST_REDIRECTS)
      throw new DataError(`at most ${MOST_REDIRECTS} redirects are followed, got more`, {
        file: shownAddress(address),
      });
    if (!URL.canParse(location, current))
      throw new DataError('the server redirects to what is no address', { file: shownAddress(address) });
    const next = new URL(location, current);
    requireAllowed(next);
    if (current.protocol === 'https:' && next.protocol !== 'https:')
      throw new DataError(`a redirect must stay with https, got ${shownAddress(next)}`, {
        file: shownAddress(address),
      });
    current = next;
  }
}

function requireSuccess({ status, statusText }: Response, address: URL): void {
  if (status === 200 || status === 206) return;
  const words = `${status} ${statusText}`.trim();
  if (status === 408 || status === 429 || status >= 500) throw new Interruption(`the server says ${words}`);
  const advice =
    status === 401 || status === 403
      ? 'It is not for everyone: download it yourself and give its path'
      : 'Correct the address';
  throw new DataError(`there must be a file, got ${words}. ${advice}`, { file: shownAddress(address) });
}

/** A strong ETag, or the date of the last change; a weak ETag promises nothing about bytes. */
function validatorOf(headers: Headers): string | undefined {
  const tag = headers.get('etag');
  if (tag !== null && !tag.startsWith('W/')) return tag;
  return headers.get('last-modified') ?? undefined;
}

/** `fetch` says only "fetch failed"; the reason is in its cause. */
function unreachable(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = (cause as NodeJS.ErrnoException).code;
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the server is not found; is there a network?';
    case 'ECONNREFUSED':
      return 'the server refuses the connection';
    case 'UND_ERR_SOCKET':
    case 'ECONNRESET':
      return 'the connection was cut';
    default:
      return `the connection failed (${errorMessage(cause)})`;
  }
}
