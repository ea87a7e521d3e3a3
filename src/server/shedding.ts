/**
 * Refuses what cannot be done before its body is read: searches beyond what this process gets done, pictures that the model has no
 * room for, and bodies that would fill the memory. Reading a body only to refuse it would cost the requests that were accepted.
 *
 * How many searches may be under way is found by trying. As long as none is refused it is `maximum`, or what gets done in 150 ms
 * where that is less: who has to wait a little is better off than who is refused. Once some are, it is as many as get done in twice
 * the time that one takes alone; fewer for each that took longer all the same, and one more otherwise. It settles, between 2 and
 * `maximum`, where those that are accepted are quick, and goes up again when the rush is over. (After the gradient limits of
 * Netflix's concurrency-limits.)
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { stopwatch } from '../util/index.js';
import { operationOf } from './access/scopes.js';
import type { Server, ServerContext } from './context.js';
import { HttpError, tooBusy } from './errors.js';

/** How many requests may be under way, by how long they take. */
export class Admission {
  readonly #maximum: number;
  readonly #burstMs: number;
  #limit: number;
  #underWay = 0;
  #refused = 0;
  /** What `#refused` was when a request was last learnt from. */
  #refusedBefore = 0;
  /** Milliseconds that a request of a kind takes alone: a moving mean. Nothing under load raises it, or it would drift with the load. */
  readonly #quick = new Map<string, number>();
  /** Milliseconds by which each request that is under way keeps the next one waiting: a moving mean. */
  #each: number | undefined;

  /**
   * @param maximum requests under way, from 2 on
   * @param burstMs milliseconds that the last of a burst may take. Default 150.
   */
  constructor(maximum: number, burstMs = 150) {
    this.#maximum = Math.max(LEAST, maximum);
    this.#burstMs = burstMs;
    this.#limit = this.#maximum;
  }

  get limit(): number {
    if (this.#each === undefined) return this.#limit;
    return Math.min(this.#limit, Math.max(BURST, this.#burstMs / this.#each));
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** Requests that were refused since the start. */
  get refused(): number {
    return this.#refused;
  }

  /** Whether one more would be refused now. It is then counted as refused: the caller refuses it. */
  refuses(): boolean {
    if (this.#underWay < this.limit) return false;
    // What a rush finds waiting would take long to be learnt from: at once to what is quick, by what is known.
    if (this.#refused === this.#refusedBefore && this.#each !== undefined)
      this.#limit = Math.max(
        LEAST,
        Math.min(this.#limit, (SLOW * Math.max(...this.#quick.values())) / this.#each),
      );
    this.#refused++;
    return true;
  }

  /**
   * Lets a request in.
   * @param kind requests that take alike. Default: all do.
   * @returns to be called when it is done, with the milliseconds that it took; undefined: it says nothing, as it failed
   * @throws HttpError `too-busy`
   */
  enter(kind = ''): (milliseconds: number | undefined) => void {
    if (this.refuses()) throw tooBusy(`${this.#underWay} requests are under way`);
    const before = ++this.#underWay;
    let isIn = true;
    return (milliseconds) => {
      if (!isIn) return;
      isIn = false;
      this.#underWay--;
      if (milliseconds !== undefined) this.#learn(kind, milliseconds, before);
    };
  }

  #learn(kind: string, milliseconds: number, company: number): void {
    let quick = this.#quick.get(kind) ?? milliseconds;
    if (company === 1 || milliseconds < quick) quick += (milliseconds - quick) * PULL;
    this.#quick.set(kind, quick);
    const each = milliseconds / company;
    this.#each = this.#each === undefined ? each : this.#each + (each - this.#each) * PULL;
    const isPressed = this.#refused > this.#refusedBefore;
    this.#refusedBefore = this.#refused;
    if (isPressed && milliseconds > SLOW * quick && company > LEAST) {
      // At once to where it would have been quick, but never by more than half: one request may be slow for reasons of its own.
      const fitting = (company * SLOW * quick) / milliseconds;
      const now = Math.min(this.#limit, this.#maximum);
      this.#limit = Math.max(LEAST, Math.min(now - 1, Math.max(now / 2, fitting)));
    } else if (this.#limit < this.#maximum) this.#limit += company >= Math.floor(this.#limit) ? GAIN : 1;
  }
}

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
  const stays = new WeakMap<FastifyRequest, Stay>();
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
    const hasPicture = bytes > PICTURE_BYTES;
    if (hasPicture && WITH_MODEL.has(operation)) queue.requireRoom();
    if (bytes > 0) held.hold(request, bytes);
    if (!SEARCHES.has(operation)) return;
    const stay = new Stay(admission, hasPicture ? 'picture' : '');
    stays.set(request, stay);
    reply.raw.once('close', () => stay.end('failed'));
  });
  server.addHook('preHandler', async (request) => stays.get(request)?.begin());
  // The work is done by then: a client that is slow to read its answer keeps nobody else from searching.
  server.addHook('onSend', async (request, reply) =>
    stays.get(request)?.end(reply.statusCode === 200 ? 'done' : 'failed'),
  );
}

/** Bytes of a body, by the head of its request. @param unknown of one that does not say its length */
export function bodyBytes(headers: Readonly<Record<string, unknown>>, unknown: number): number {
  if (headers['transfer-encoding'] !== undefined) return unknown;
  const length = Number(headers['content-length'] ?? 0);
  return Number.isSafeInteger(length) && length > 0 ? length : 0;
}

// --- internal ---

const LEAST = 2;
/** Requests that may come together, however long each takes. */
const BURST = 8;
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

/** How long a body may take to arrive before its place goes to another. */
const ARRIVAL_MS = 300;

/**
 * A search's stay among those under way: from its head on, so that bodies are not read for nothing. One whose body is slow to
 * arrive gives its place up, and asks for one again when it is there.
 */
class Stay {
  readonly #admission: Admission;
  readonly #kind: string;
  readonly #timer: NodeJS.Timeout;
  #leave: ((milliseconds: number | undefined) => void) | undefined;
  #clock: (() => number) | undefined;
  #isOver = false;

  /** @throws HttpError `too-busy` */
  constructor(admission: Admission, kind: string) {
    this.#admission = admission;
    this.#kind = kind;
    this.#leave = admission.enter(kind);
    this.#timer = setTimeout(() => {
      this.#leave?.(undefined);
      this.#leave = undefined;
    }, ARRIVAL_MS);
  }

  /** The body is there. @throws HttpError `too-busy` */
  begin(): void {
    clearTimeout(this.#timer);
    if (this.#isOver) return;
    this.#leave ??= this.#admission.enter(this.#kind);
    this.#clock = stopwatch();
  }

  end(outcome: 'done' | 'failed'): void {
    clearTimeout(this.#timer);
    this.#isOver = true;
    this.#leave?.(outcome === 'done' && this.#clock !== undefined ? this.#clock() * 1000 : undefined);
    this.#leave = undefined;
  }
}
