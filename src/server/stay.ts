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
   * Asks for a place until the response is over.
   * @param kind requests that take alike
   * @param answer called once, unless the client goes away before: whether it has one
   */
  static ask(
    admission: Admission,
    options: { readonly request: IncomingMessage; readonly response: ServerResponse; readonly kind: string },
    answer: (isIn: boolean) => void,
  ): void {
    const stay = new Stay(admission, options.kind);
    options.response.once('close', () => stay.end('failed'));
    stay.#ask((isIn) => {
      if (isIn) {
        stays.set(options.request, stay);
        stay.#arrival = setTimeout(() => stay.#giveUp(), ARRIVAL_MS);
      }
      answer(isIn);
    });
  }

  /** Of a request that was let in. */
  static of(request: IncomingMessage): Stay | undefined {
    return stays.get(request);
  }

  /** The body is there. @throws HttpError `too-busy` */
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
