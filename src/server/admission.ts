/**
 * How many searches are worked on at a time, and who waits for a place among them.
 *
 * Worked on are as many as are quick together, which is found by trying: while somebody waits, one fewer for each that took longer than
 * twice what it takes alone, and more otherwise, between two and a maximum. (After the gradient limits of Netflix's
 * concurrency-limits.)
 *
 * A burst waits in the order of its coming. When somebody has waited without a break for as long as a burst may take, more comes than can be
 * done, and in a queue that is always full all would wait for all of it: so who came last goes first, and who has waited for as long as a
 * search takes alone is refused, until nobody has waited for a while. (Adaptive LIFO and controlled delay, after Maurer,
 * "Fail at Scale", ACM Queue 13(8), 2015.)
 */

/** To be called when a request is done, with the milliseconds that it took; undefined: it says nothing, as it failed. */
export type Leave = (milliseconds: number | undefined) => void;

interface Waiting {
  readonly kind: string;
  readonly since: number;
  readonly answer: (leave: Leave | undefined) => void;
}

export class Admission {
  readonly #maximum: number;
  readonly #room: number;
  #limit: number;
  #underWay = 0;
  #refused = 0;
  /** Milliseconds that a request of a kind takes alone: a moving mean. Nothing under load raises it, or it would drift with the load. */
  readonly #quick = new Map<string, number>();
  /** Those that came first are first. */
  readonly #waiting: Waiting[] = [];
  /** Whether more comes than can be done. */
  #isRush = false;
  /** Since when somebody waits, or nobody does. */
  #since = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param maximum requests worked on at a time, from 2 on
   * @param room requests that may wait for a place. Default 64.
   */
  constructor(maximum: number, room = 64) {
    this.#maximum = Math.max(LEAST, maximum);
    this.#room = room;
    this.#limit = Math.min(this.#maximum, START);
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  get underWay(): number {
    return this.#underWay;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Requests that were refused since the start. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Asks for a place.
   * @param kind requests that take alike
   * @param answer called once, at once where there is room: with what gives the place back, or undefined when the request is refused
   * @returns to be called when the client goes away: it no longer waits
   */
  ask(kind: string, answer: (leave: Leave | undefined) => void): () => void {
    if (this.#waiting.length === 0 && this.#underWay < this.limit) {
      answer(this.#enter(kind));
      return () => {};
    }
    const now = performance.now();
    this.#look(now);
    const waiting = { kind, since: now, answer };
    if (this.#waiting.length >= this.#room) {
      this.#refused++;
      if (!this.#isRush) {
        answer(undefined);
        return () => {};
      }
      this.#waiting.shift()?.answer(undefined);
    }
    if (this.#waiting.length === 0) this.#since = now;
    this.#waiting.push(waiting);
    this.#timer ??= setInterval(() => this.#look(performance.now()), LOOK_MS);
    return () => {
      const place = this.#waiting.indexOf(waiting);
      if (place >= 0) this.#remove(place);
    };
  }

  #enter(kind: string): Leave {
    const company = ++this.#underWay;
    let isIn = true;
    return (milliseconds) => {
      if (!isIn) return;
      isIn = false;
      this.#underWay--;
      if (milliseconds !== undefined) this.#learn(kind, milliseconds, company);
      this.#look(performance.now());
      while (this.#waiting.length > 0 && this.#underWay < this.limit) {
        const next = this.#remove(this.#isRush ? this.#waiting.length - 1 : 0);
        next.answer(this.#enter(next.kind));
      }
    };
  }

  #remove(place: number): Waiting {
    const [one] = this.#waiting.splice(place, 1) as [Waiting];
    if (this.#waiting.length === 0) {
      this.#since = performance.now();
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    return one;
  }

  /** Sees whether there is a rush, and refuses those that have waited too long. */
  #look(now: number): void {
    const quick = this.#quick.size === 0 ? undefined : Math.max(...this.#quick.values());
    const burstMs = quick === undefined ? COLD_MS : Math.max(BURST_MS, BURST * quick);
    if (now - this.#since >= burstMs) this.#isRush = this.#waiting.length > 0;
    const patienceMs = this.#isRush && quick !== undefined ? quick : burstMs;
    while (this.#waiting[0] !== undefined && now - this.#waiting[0].since >= patienceMs) {
      this.#refused++;
      this.#remove(0).answer(undefined);
    }
  }

  #learn(kind: string, milliseconds: number, company: number): void {
    let quick = this.#quick.get(kind) ?? milliseconds;
    if (company === 1 || milliseconds < quick) quick += (milliseconds - quick) * PULL;
    this.#quick.set(kind, quick);
    if (this.#waiting.length === 0) {
      if (this.#limit < Math.min(START, this.#maximum)) this.#limit += GAIN;
    } else if (milliseconds > SLOW * quick && company > LEAST) {
      // At once to where it would have been quick, but never by more than half: one request may be slow for reasons of its own.
      const fitting = (company * SLOW * quick) / milliseconds;
      this.#limit = Math.max(LEAST, Math.min(this.#limit - 1, Math.max(this.#limit / 2, fitting)));
    } else if (this.#limit < this.#maximum) this.#limit = Math.min(this.#maximum, this.#limit + GAIN);
  }
}

// --- internal ---

const LEAST = 2;
/** Requests that are worked on at a time before anything was learnt, and again when nobody waits any more. */
const START = 8;
/** Times what one takes alone, from which on a request counts as slow. */
const SLOW = 2;
/** Share of a new figure in the mean. */
const PULL = 0.1;
/** By which the limit goes up. */
const GAIN = 0.25;
/** How long the last of a burst may wait; longer where this many times what one takes alone is longer. */
const BURST_MS = 150;
const BURST = 8;
/** How long it may wait when it is not known yet how long one takes. */
const COLD_MS = 2000;
/** Time between two looks at who has waited too long. */
const LOOK_MS = 2;
