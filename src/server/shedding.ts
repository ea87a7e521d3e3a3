/**
 * Refuses what cannot be done before its body is read: searches beyond what this process gets done, pictures that the model has no
 * room for, and bodies that would fill the memory. Reading a body only to refuse it would cost the requests that were accepted.
 *
 * How many searches may be under way is found by trying. As long as none is refused it is `maximum`: who has to wait a little is
 * better off than who is refused. Once some are, one fewer may be under way for each that took more than twice what one takes
 * alone, and one more otherwise: it settles, between 2 and `maximum`, where those that are accepted are quick, and goes up
 * again when the rush is over. (After the gradient limits of Netflix's concurrency-limits.)
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { stopwatch } from '../util/index.js';
import { operationOf } from './access/scopes.js';
import type { Server, ServerContext } from './context.js';
import { HttpError } from './errors.js';

/** How many requests may be under way, by how long they take. */
export class Admission {
  readonly #maximum: number;
  #limit: number;
  #underWay = 0;
  #refused = 0;
  /** What `#refused` was when a request was last learnt from. */
  #refusedBefore = 0;
  /** Milliseconds that a request takes alone: a moving mean. Nothing under load raises it, or it would drift with the load. */
  #quick: number | undefined;

  /** @param maximum requests under way, from 2 on */
  constructor(maximum: number) {
    this.#maximum = Math.max(LEAST, maximum);
    this.#limit = this.#maximum;
  }

  get limit(): number {
    return this.#limit;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** Requests that were refused since the start. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Lets a request in.
   * @returns to be called when it is done, with the milliseconds that it took; undefined: it says nothing, as it failed
   * @throws HttpError `too-busy`
   */
  enter(): (milliseconds: number | undefined) => void {
    if (this.#underWay >= this.#limit) {
      this.#refused++;
      throw new HttpError('too-busy', `${this.#underWay} requests are under way. Try again`, {
        headers: { 'retry-after': '2' },
      });
    }
    const before = ++this.#underWay;
    return (milliseconds) => {
      this.#underWay--;
      if (milliseconds !== undefined) this.#learn(milliseconds, before);
    };
  }

  #learn(milliseconds: number, company: number): void {
    this.#quick ??= milliseconds;
    if (company === 1 || milliseconds < this.#quick) this.#quick += (milliseconds - this.#quick) * PULL;
    const isPressed = this.#refused > this.#refusedBefore;
    this.#refusedBefore = this.#refused;
    if (isPressed && milliseconds > SLOW * this.#quick && company > LEAST)
      this.#limit = Math.max(LEAST, Math.min(this.#limit, this.#maximum) - 1);
    else if (this.#limit < this.#maximum) this.#limit += company >= Math.floor(this.#limit) ? GAIN : 1;
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
      throw new HttpError('too-busy', 'too many bytes of requests are being read. Try again', {
        headers: { 'retry-after': '2' },
      });
    this.#held += bytes;
    share.bytes += bytes;
  }
}

/** Adds the checks to all requests. */
export function shedEarly(server: Server, context: ServerContext): void {
  const { queue, limits, admission, bytes: held } = context;
  server.addHook('onRequest', async (request, reply) => {
    held.begin(request, reply);
    const operation = operationOf(request);
    // What streams is read as fast as it is worked on.
    if (operation === undefined || operation === 'bulk') return;
    const bytes = bodyBytes(request.headers, limits.pictureBytes);
    if (bytes > PICTURE_BYTES && WITH_MODEL.has(operation)) queue.requireRoom();
    if (bytes > 0) held.hold(request, bytes);
    if (SEARCHES.has(operation)) {
      const leave = admission.enter();
      const clock = stopwatch();
      reply.raw.once('close', () => leave(reply.statusCode === 200 ? clock() * 1000 : undefined));
    }
  });
}

// --- internal ---

const LEAST = 2;
/** Times what one takes alone, from which on a request counts as slow. */
const SLOW = 2;
/** Share of a new figure in the mean. */
const PULL = 0.1;
/** By which the limit goes up while it is reached. */
const GAIN = 0.25;

/** Operations that are a search: much work of this process, besides the model's. */
const SEARCHES = new Set(['search', 'similarPictures']);
/** Operations that run the model on a picture of the body. */
const WITH_MODEL = new Set(['search', 'predictAttributes', 'explain', 'putPicture', 'addFeedback']);
/** A body that is longer holds a picture, or is handled as if it did; ids and vectors are shorter. */
const PICTURE_BYTES = 6000;

/** @param unknown bytes of a body that does not say its length */
function bodyBytes(headers: Readonly<Record<string, unknown>>, unknown: number): number {
  if (headers['transfer-encoding'] !== undefined) return unknown;
  const length = Number(headers['content-length'] ?? 0);
  return Number.isSafeInteger(length) && length > 0 ? length : 0;
}
