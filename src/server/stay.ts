/**
 * A search's stay: it asks for a place (`admission.ts`) by its head, so that no body is read for nothing, and gives it back when its work is
 * done. One whose body is slow to arrive gives its place up, and asks again when it is there.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { stopwatch } from '../util/index.js';
import type { Admission, Leave } from './admission.js';
import { tooBusy } from './errors.js';

export class Stay {
  readonly #admission: Admission;
  readonly #kind: string;
  #stopWaiting = () => {};
  #leave: Leave | undefined;
  #arrival: NodeJS.Timeout | undefined;
  #clock: (() => number) | undefined;
  #isOver = false;

  private constructor(admission: Admission, kind: string) {
    this.#admission = admission;
    this.#kind = kind;
  }

  /**
   * Of a request, until its response is over. It has no place yet.
   * @param options.kind requests that take alike
   */
  static open(
    admission: Admission,
    options: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly kind: string },
  ): Stay {
    const stay = new Stay(admission, options.kind);
    stays.set(options.request, stay);
    options.response.once('close', () => stay.end('failed'));
    return stay;
  }

  /** Of a request that has one. */
  static of(request: IncomingMessage): Stay | undefined {
    return stays.get(request);
  }

  /**
   * Asks for a place, which is lent until the body should be there.
   * @param answer called once, unless the client goes away before: whether it has one
   */
  ask(answer: (isIn: boolean) => void): void {
    this.#ask((isIn) => {
      if (isIn) this.#arrival = setTimeout(() => this.#giveUp(), ARRIVAL_MS);
      answer(isIn);
    });
  }

  /** The body is there: asks for a place where it has none. @throws HttpError `too-busy` */
  async begin(): Promise<void> {
    clearTimeout(this.#arrival);
    if (this.#isOver) return;
    if (this.#leave === undefined) {
      const isIn = await new Promise<boolean>((resolve) => this.#ask(resolve));
      if (!isIn) throw tooBusy(`${this.#admission.underWay} searches are under way`);
    }
    this.#clock = stopwatch();
  }

  /** Only the first call counts. */
  end(outcome: 'done' | 'failed'): void {
    this.#isOver = true;
    clearTimeout(this.#arrival);
    this.#stopWaiting();
    this.#giveUp(outcome === 'done' && this.#clock !== undefined ? this.#clock() * 1000 : undefined);
  }

  #ask(answer: (isIn: boolean) => void): void {
    this.#stopWaiting = this.#admission.ask(this.#kind, (leave) => {
      this.#leave = leave;
      answer(leave !== undefined);
    });
  }

  #giveUp(milliseconds?: number): void {
    this.#leave?.(milliseconds);
    this.#leave = undefined;
  }
}

// --- internal ---

/** How long a body may take to arrive before its place goes to another. */
const ARRIVAL_MS = 300;

const stays = new WeakMap<IncomingMessage, Stay>();
