/**
 * What comes before the framework. At many times what a process can do most requests are refused, and what a refusal costs is
 * taken from those that are not: through all hooks it is half a millisecond, here it is a tenth of that. So searches wait here for
 * their place (`admission.ts`) and are refused here, as is everything when too many requests are under way or the process lags
 * behind by a second. The checks of `shedding.ts` stand behind this.
 *
 * A refused client may go on sending: what it sends is read and forgotten, for a while.
 */
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { stopwatch } from '../util/index.js';
import type { Server, ServerContext } from './context.js';
import { PROBLEM_TYPE, problemOf, tooBusy } from './errors.js';
import { bodyBytes, kindOf } from './shedding.js';
import { Stay } from './stay.js';

/**
 * Puts the checks before the framework's own handling of requests.
 * @param options.origins whose pages may read a refusal
 * @param options.headers of every answer
 */
export function shedAtDoor(
  server: Server,
  context: ServerContext,
  options: { readonly origins: readonly string[]; readonly headers: Readonly<Record<string, string>> },
): void {
  const http: HttpServer = server.server;
  const { admission, limits, metrics } = context;
  http.maxConnections = limits.connections;
  const lag = new Lag();
  server.addHook('onClose', async () => lag.stop());
  let [underWay, refused] = [0, 0];
  const tell = () => {
    server.log.warn({ refused }, 'too busy: requests were refused within a second');
    refused = 0;
  };

  const refusal = (url: string): Refusal | undefined => {
    if (!url.startsWith('/v1/')) return undefined;
    if (underWay >= limits.requests) return TOO_MANY;
    return lag.isBehind ? BEHIND : undefined;
  };
  const turnAway = (request: IncomingMessage, response: ServerResponse, why: Refusal) => {
    if (refused++ === 0) setTimeout(tell, 1000).unref();
    const route = why === SEARCHES ? (request.method === 'POST' ? '/v1/search' : SIMILAR_ROUTE) : 'none';
    metrics.observeAnswer(request.method ?? '', route, 503);
    const { origin } = request.headers;
    refuse(request, response, why, {
      ...options.headers,
      ...(origin !== undefined && options.origins.includes(origin)
        ? {
            'access-control-allow-origin': origin,
            'access-control-expose-headers': 'Retry-After',
            vary: 'Origin',
          }
        : {}),
    });
  };
  const handle = http.listeners('request') as ((
    request: IncomingMessage,
    response: ServerResponse,
  ) => void)[];
  const enter = (request: IncomingMessage, response: ServerResponse, pass: () => void): void => {
    const { method = '', url = '' } = request;
    const why = refusal(url);
    if (why !== undefined) {
      turnAway(request, response, why);
      return;
    }
    underWay++;
    response.once('close', () => {
      underWay--;
    });
    const isSearch = method === 'POST' ? SEARCH.test(url) : method === 'GET' && SIMILAR.test(url);
    if (!isSearch) {
      pass();
      return;
    }
    const stay = Stay.open(admission, { request, response, kind: kindOf(request.headers, limits) });
    stay.ask((isIn) => (isIn ? pass() : turnAway(request, response, SEARCHES)));
  };
  http.removeAllListeners('request');
  const on = (event: 'request' | 'checkContinue', before: (response: ServerResponse) => void) =>
    http.on(event, (request: IncomingMessage, response: ServerResponse) =>
      enter(request, response, () => {
        before(response);
        for (const one of handle) one.call(http, request, response);
      }),
    );
  on('request', () => {});
  // Who asks before sending a body is told before.
  on('checkContinue', (response) => response.writeContinue());
}

/** Reads and forgets what is still to come of a body whose request was answered, and closes the connection when it takes long. */
export function forgetBody(request: IncomingMessage): void {
  if (request.complete !== false || request.socket.destroyed) return; // without a socket there is no such thing
  const timer = setTimeout(() => {
    if (!request.complete) request.socket.destroy();
  }, LINGER_MS);
  request.once('close', () => clearTimeout(timer));
  request.resume();
}

// --- internal ---

/** How long a refused client may go on sending. */
const LINGER_MS = 2000;
/** Bytes of a body that is read to its end, so that the connection can be used again. */
const SHORT_BODY = 100_000;

const SEARCH = /^\/v1\/search(?:\?|$)/;
const SIMILAR = /^\/v1\/pictures\/[^/?]+\/similar(?:\?|$)/;
const SIMILAR_ROUTE = '/v1/pictures/:id/similar';

interface Refusal {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}
const refusalOf = (detail: string): Refusal => {
  const error = tooBusy(detail);
  const body = Buffer.from(JSON.stringify(problemOf(error)));
  return {
    body,
    headers: { ...error.headers, 'content-type': PROBLEM_TYPE, 'content-length': String(body.length) },
  };
};
const SEARCHES = refusalOf('as many searches are under way as are answered quickly');
const TOO_MANY = refusalOf('too many requests are under way');
const BEHIND = refusalOf('the server lags behind');

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  { body, headers: own }: Refusal,
  headers: Readonly<Record<string, string>>,
): void {
  const length = bodyBytes(request.headers, Number.POSITIVE_INFINITY);
  const isShort = length <= SHORT_BODY;
  response.writeHead(503, {
    ...headers,
    ...own,
    ...(isShort ? {} : { connection: 'close' }),
  });
  if (isShort || request.complete) {
    response.end(body);
    if (length > 0) forgetBody(request);
    return;
  }
  // A connection that is closed while its client sends is reset, and the answer may be lost with it: it is closed when the body
  // is over, or the patience.
  response.write(body);
  request.once('close', () => response.end());
  request.once('end', () => response.end());
  forgetBody(request);
}

/** How far the event loop is behind: what is due is done so much later. */
class Lag {
  readonly #timer: NodeJS.Timeout;
  #clock = stopwatch();
  #milliseconds = 0;

  constructor() {
    this.#timer = setInterval(() => {
      const late = Math.min(1000 * this.#clock() - LOOK_MS, MAXIMUM_LAG_MS);
      this.#clock = stopwatch();
      // Up by halves: one model run, or one pause of the machine, is no lag.
      this.#milliseconds += (late - this.#milliseconds) / 2;
    }, LOOK_MS).unref();
  }

  get isBehind(): boolean {
    return this.#milliseconds > BEHIND_MS;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

const LOOK_MS = 100;
const BEHIND_MS = 1000;
const MAXIMUM_LAG_MS = 4000;
