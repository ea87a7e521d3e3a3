/**
 * How often who asked, for `@fastify/rate-limit`, by a clock that only runs on. The package's own counts by the time of day: set
 * back by a day, it refuses whoever was at the limit for that day.
 */
import type { FastifyRateLimitStore } from '@fastify/rate-limit';
import { stopwatch } from '../../util/index.js';

/** Addresses and keys that are counted at a time; beyond, who was counted longest ago is forgotten. */
const COUNTED = 20_000;

export class RequestCounts implements FastifyRateLimitStore {
  /** By key, longest ago first. */
  readonly #windows = new Map<string, { count: number; since: () => number }>();

  incr(
    key: string,
    callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
    timeWindow: number,
  ): void {
    const before = this.#windows.get(key);
    const isOver = before === undefined || before.since() * 1000 >= timeWindow;
    const window = isOver ? { count: 0, since: stopwatch() } : before;
    window.count++;
    this.#windows.delete(key);
    this.#windows.set(key, window);
    const [first] = this.#windows.keys();
    if (this.#windows.size > COUNTED && first !== undefined) this.#windows.delete(first);
    callback(null, { current: window.count, ttl: Math.max(0, timeWindow - window.since() * 1000) });
  }

  child(): RequestCounts {
    return new RequestCounts();
  }
}
