/**
 * Pictures by URL, where a server allows them: only http and https, only to public addresses, after every redirect again, and
 * no more bytes or seconds than a picture may cost. The address that was checked is the one that is connected to: a name
 * that changes what it stands for in between gains nothing.
 */
import { lookup as dnsLookup } from 'node:dns';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { HttpError } from './errors.js';

export interface RemoteOptions {
  readonly maximumBytes: number;
  readonly signal: AbortSignal;
  /** Milliseconds for all of it. Default 10,000. */
  readonly timeoutMs?: number;
  /** Told of bytes as they come; what it throws ends the fetch. */
  readonly onBytes?: (bytes: number) => void;
  /** Only these hosts and those below them. Default: all that are public. */
  readonly hosts?: readonly string[] | undefined;
  /** Whether an address may be connected to. Default: `isPublicAddress`. For tests, whose servers are on this machine. */
  readonly allows?: (address: string) => boolean;
  /** How a name is looked up. Default: as the system does. */
  readonly lookup?: LookupFunction;
}

/**
 * Fetches the bytes behind a URL.
 * @throws HttpError `url-not-allowed`, `unreachable-url`, `too-large`
 */
export async function fetchPicture(url: string, options: RemoteOptions): Promise<Uint8Array> {
  const { timeoutMs = 10_000 } = options;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)]);
  try {
    let at = new URL(url);
    for (let redirects = 0; redirects <= MAXIMUM_REDIRECTS; redirects++) {
      requireAllowed(at, options);
      const response = await ask(at, options, signal);
      const { statusCode: status = 0, headers } = response;
      if (status >= 300 && status < 400 && headers.location !== undefined) {
        response.destroy();
        at = new URL(headers.location, at);
        continue;
      }
      if (status !== 200) {
        response.destroy();
        throw new HttpError('unreachable-url', `the URL answered with the status ${status}`);
      }
      if (!['', 'identity'].includes(headers['content-encoding'] ?? '')) {
        response.destroy();
        throw new HttpError('unreachable-url', 'the URL answered with a compressed body');
      }
      return await readAll(response, options);
    }
    throw new HttpError('unreachable-url', `the URL led to more than ${MAXIMUM_REDIRECTS} others`);
  } catch (error) {
    if (error instanceof HttpError) throw error;
    options.signal.throwIfAborted();
    const reason = signal.aborted ? `gave no picture within ${timeoutMs / 1000} s` : 'could not be fetched';
    throw new HttpError('unreachable-url', `the URL ${reason}`, { cause: error });
  }
}

/** Whether an address is one that anybody can reach: none of this machine, a private net, or a special range. */
export function isPublicAddress(address: string): boolean {
  try {
    const parsed = ipaddr.process(address);
    return parsed.range() === 'unicast';
  } catch {
    return false;
  }
}

// --- internal ---

const MAXIMUM_REDIRECTS = 4;

function requireAllowed(url: URL, { hosts, allows = isPublicAddress }: RemoteOptions): void {
  const refuse = (why: string) => {
    throw new HttpError('url-not-allowed', `${url.protocol}//${url.hostname.slice(0, 100)}: ${why}`);
  };
  if (url.protocol !== 'http:' && url.protocol !== 'https:') refuse('only http and https are fetched');
  if (url.username !== '' || url.password !== '') refuse('a URL with a password is not fetched');
  const host = url.hostname.toLowerCase().replace(/\.$/, '');
  if (hosts !== undefined && !hosts.some((one) => host === one || host.endsWith(`.${one}`)))
    refuse(`only pictures of ${hosts.join(', ')} are fetched`);
  // No name is looked up for an address, so it is checked here.
  const address = host.replace(/^\[|\]$/g, '');
  if (isIP(address) !== 0 && !allows(address)) refuse(NOT_PUBLIC);
}

const NOT_PUBLIC = 'the address is not public';

function ask(
  url: URL,
  { allows = isPublicAddress, lookup: lookUp = dnsLookup as LookupFunction }: RemoteOptions,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const lookup: LookupFunction = (name, options, done) => {
    lookUp(name, { ...options, all: true }, (error, answer) => {
      if (error !== null) return done(error, '');
      const found = Array.isArray(answer) ? answer : [{ address: answer, family: isIP(answer) }];
      const refused = found.find(({ address }) => !allows(address));
      if (refused !== undefined)
        return done(new HttpError('url-not-allowed', `${name.slice(0, 100)}: ${NOT_PUBLIC}`), '');
      if (options.all === true) return done(null, found);
      const [first] = found;
      done(null, first?.address ?? '', first?.family);
    });
  };
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = { accept: 'image/*', 'accept-encoding': 'identity', 'user-agent': 'semblance' };
    send(url, { lookup, signal, headers, agent: false }, resolve).on('error', reject).end();
  });
}

async function readAll(
  response: IncomingMessage,
  { maximumBytes, onBytes }: RemoteOptions,
): Promise<Uint8Array> {
  const tooLarge = () =>
    new HttpError(
      'too-large',
      `the picture of the URL has more than the ${maximumBytes} bytes that are read`,
    );
  try {
    if (Number(response.headers['content-length'] ?? 0) > maximumBytes) throw tooLarge();
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response) {
      bytes += (chunk as Buffer).length;
      if (bytes > maximumBytes) throw tooLarge();
      onBytes?.((chunk as Buffer).length);
      chunks.push(chunk as Buffer);
    }
    return Buffer.concat(chunks);
  } finally {
    response.destroy();
  }
}
