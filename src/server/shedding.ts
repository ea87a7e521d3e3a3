/**
 * Refuses what cannot be done before its body is read: searches beyond what this process gets done (`admission.ts`), pictures that the
 * model has no room for, and bodies that would fill the memory. Reading a body only to refuse it would cost the requests that were
 * accepted.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { operationOf } from './access/scopes.js';
import type { Limits, Server, ServerContext } from './context.js';
import { HttpError, tooBusy } from './errors.js';
import { Stay } from './stay.js';

/** Requests of one kind at a time. */
export class Slots {
  readonly #maximum: number;
  readonly #what: string;
  #taken = 0;

  /** @param what they are, as a client is told: `bulk requests` */
  constructor(maximum: number, what: string) {
    this.#maximum = maximum;
    this.#what = what;
  }

  /** @returns to be called once, when it is free again. @throws HttpError `too-busy` */
  take(): () => void {
    if (this.#taken >= this.#maximum) throw tooBusy(`${this.#taken} ${this.#what} are under way`);
    this.#taken++;
    return () => {
      this.#taken--;
    };
  }
}

/** Bytes that requests bring into memory, each counted until its answer is over. */
export class HeldBytes {
  readonly #maximum: number;
  #held = 0;
  readonly #shares = new WeakMap<FastifyRequest, { bytes: number; isOver: boolean }>();

  /** @param maximum of all requests together; what comes alone may be more */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** To be called before the first `hold` of a request. */
  begin(request: FastifyRequest, reply: FastifyReply): void {
    const share = { bytes: 0, isOver: false };
    this.#shares.set(request, share);
    reply.raw.once('close', () => {
      this.#held -= share.bytes;
      share.isOver = true;
    });
  }

  /** @throws HttpError `too-busy`; `client-closed` when the request has been answered */
  hold(request: FastifyRequest, bytes: number): void {
    const share = this.#shares.get(request);
    if (share === undefined) throw new Error('internal: the bytes are of no request');
    if (share.isOver) throw new HttpError('client-closed', 'the request is over');
    if (this.#held > 0 && this.#held + bytes > this.#maximum)
      throw tooBusy('too many bytes of requests are being read');
    this.#held += bytes;
    share.bytes += bytes;
  }
}

/** Adds the checks to all requests. */
export function shedEarly(server: Server, context: ServerContext): void {
  const { queue, limits, admission, bulks, bytes: held } = context;
  server.addHook('onRequest', async (request, reply) => {
    held.begin(request, reply);
    const operation = operationOf(request);
    if (operation === undefined) return;
    if (operation === 'bulk') {
      // What streams is read as fast as it is worked on.
      reply.raw.once('close', bulks.take());
      return;
    }
    const bytes = bodyBytes(request.headers, limits.pictureBytes);
    if (hasPicture(bytes) && WITH_MODEL.has(operation)) queue.requireRoom();
    if (bytes > 0) held.hold(request, bytes);
    // What came by a connection has a place from the door (`door.ts`).
    if (SEARCHES.has(operation) && Stay.of(request.raw) === undefined)
      Stay.open(admission, {
        request: request.raw,
        response: reply.raw,
        kind: kindOf(request.headers, limits),
      });
  });
  server.addHook('preHandler', async (request) => Stay.of(request.raw)?.begin());
  // The work is done by then: a client that is slow to read its answer keeps nobody else from searching.
  server.addHook('onSend', async (request, reply) =>
    Stay.of(request.raw)?.end(reply.statusCode === 200 ? 'done' : 'failed'),
  );
}

/** Searches that take alike, by the head of a request. */
export function kindOf(headers: IncomingHttpHeaders, limits: Limits): string {
  return hasPicture(bodyBytes(headers, limits.pictureBytes)) ? 'picture' : '';
}

/** Bytes of a body, by the head of its request. @param unknown of one that does not say its length */
export function bodyBytes(headers: Readonly<Record<string, unknown>>, unknown: number): number {
  if (headers['transfer-encoding'] !== undefined) return unknown;
  const length = Number(headers['content-length'] ?? 0);
  return Number.isSafeInteger(length) && length > 0 ? length : 0;
}

// --- internal ---

/** Operations that are a search: much work of this process, besides the model's. */
const SEARCHES = new Set(['search', 'similarPictures']);
/** Operations that run the model on a picture of the body. */
const WITH_MODEL = new Set(['search', 'predictAttributes', 'explain', 'putPicture', 'addFeedback']);
/** Whether a body of so many bytes holds a picture, or is handled as if it did; ids and vectors are shorter. */
const hasPicture = (bytes: number) => bytes > 6000;
