import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Admission, type Leave } from './admission.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/**
 * A machine that does one request at a time, in the order in which they are let in, and is sent so many a second, evenly.
 * @returns of each that was answered, when and after how many milliseconds; and of the refused after how many
 */
function simulate(
  admission: Admission,
  options: { readonly perSecond: number; readonly seconds: number; readonly workMs: number },
) {
  const { perSecond, seconds, workMs } = options;
  const began = performance.now();
  const answered: { at: number; latency: number }[] = [];
  const refused: number[] = [];
  let free = 0;
  for (let n = 0; n < perSecond * seconds; n++) {
    vi.advanceTimersByTime(began + (1000 * n) / perSecond - performance.now());
    const asked = performance.now();
    admission.ask('', (leave) => {
      if (leave === undefined) {
        refused.push(performance.now() - asked);
        return;
      }
      const begun = performance.now();
      free = Math.max(free, begun) + workMs;
      setTimeout(() => {
        answered.push({ at: performance.now() - began, latency: performance.now() - asked });
        leave(performance.now() - begun);
      }, free - begun);
    });
  }
  vi.advanceTimersByTime(5000);
  return { answered, refused };
}

const quantile = (values: readonly number[], q: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(q * (values.length - 1))] as number;

/** A search that takes `ms` alone is known to. */
function learn(admission: Admission, ms: number): void {
  for (let n = 0; n < 3; n++) admission.ask('', (leave) => leave?.(ms));
}

/** Requests that ask now, and what became of each. */
function askMany(admission: Admission, count: number) {
  const asked = Array.from({ length: count }, () => ({
    leave: undefined as Leave | undefined,
    isRefused: false,
    goAway: () => {},
  }));
  for (const one of asked)
    one.goAway = admission.ask('', (leave) => {
      one.leave = leave;
      one.isRefused = leave === undefined;
    });
  return asked;
}

it('keeps the latency of what it accepts at ten times what can be done, from the first second on, and loses little of it', () => {
  const admission = new Admission(32);
  simulate(admission, { perSecond: 50, seconds: 1, workMs: 10 });
  // 10 ms each, one at a time: 100 a second can be done.
  const { answered, refused } = simulate(admission, { perSecond: 1000, seconds: 30, workMs: 10 });
  expect(answered.length).toBeGreaterThan(0.97 * 30 * 100);
  expect(answered.length + refused.length).toBe(30_000);
  const latencies = answered.map(({ latency }) => latency);
  expect(quantile(latencies, 0.98)).toBeLessThanOrEqual(35);
  const settled = answered.filter(({ at }) => at > 1000).map(({ latency }) => latency);
  expect(quantile(settled, 1)).toBeLessThanOrEqual(35);
  expect(quantile(refused, 0.99)).toBeLessThanOrEqual(15);
  expect(admission.limit).toBeLessThanOrEqual(3);
  // And it opens again when there is little to do.
  simulate(admission, { perSecond: 50, seconds: 2, workMs: 10 });
  expect(admission.limit).toBe(8);
  expect([admission.underWay, admission.waiting]).toEqual([0, 0]);
});

it.each([50, 90, 99])('refuses nothing of %i a second, where 100 can be done', (perSecond) => {
  const { refused } = simulate(new Admission(32), { perSecond, seconds: 30, workMs: 10 });
  expect(refused).toEqual([]);
});

it('loses little at a tenth more than can be done', () => {
  const { answered } = simulate(new Admission(32), { perSecond: 110, seconds: 30, workMs: 10 });
  expect(answered.length).toBeGreaterThan(0.97 * 30 * 100);
  const settled = answered.filter(({ at }) => at > 5000).map(({ latency }) => latency);
  expect(quantile(settled, 0.99)).toBeLessThanOrEqual(40);
});

it('answers a burst, in the order of its coming', () => {
  const admission = new Admission(32);
  learn(admission, 10);
  const done: number[] = [];
  let free = performance.now();
  for (let n = 0; n < 15; n++)
    admission.ask('', (leave) => {
      free = Math.max(free, performance.now()) + 10;
      setTimeout(() => {
        done.push(n);
        leave?.(20);
      }, free - performance.now());
    });
  vi.advanceTimersByTime(1000);
  expect(done).toEqual(Array.from({ length: 15 }, (_, n) => n));
  expect(admission.refused).toBe(0);
});

it('refuses who of a burst has waited for 150 ms, or for eight times what one takes', () => {
  for (const [workMs, patience] of [
    [10, 150],
    [100, 800],
  ] as const) {
    const admission = new Admission(2);
    learn(admission, workMs);
    const asked = askMany(admission, 4);
    vi.advanceTimersByTime(patience - 5);
    expect(asked.map(({ isRefused }) => isRefused)).toEqual([false, false, false, false]);
    vi.advanceTimersByTime(10);
    expect(asked.map(({ isRefused }) => isRefused)).toEqual([false, false, true, true]);
    expect(admission.refused).toBe(2);
  }
});

it('waits for two seconds while it does not know how long one takes', () => {
  const admission = new Admission(2);
  const asked = askMany(admission, 3);
  vi.advanceTimersByTime(1900);
  expect(asked[2]?.isRefused).toBe(false);
  vi.advanceTimersByTime(200);
  expect(asked[2]?.isRefused).toBe(true);
});

it('has room for so many, and forgets who goes away', () => {
  const admission = new Admission(2, 3);
  const asked = askMany(admission, 6);
  expect(asked.map(({ isRefused }) => isRefused)).toEqual([false, false, false, false, false, true]);
  asked[2]?.goAway();
  asked[2]?.goAway();
  expect(admission.waiting).toBe(2);
  asked[0]?.leave?.(undefined);
  asked[0]?.leave?.(undefined);
  expect([asked[2]?.leave, typeof asked[3]?.leave, asked[4]?.leave]).toEqual([
    undefined,
    'function',
    undefined,
  ]);
  expect([admission.underWay, admission.waiting]).toEqual([2, 1]);
});

it('works on more at a time where that costs none of them time', () => {
  const admission = new Admission(32);
  learn(admission, 50);
  // Each takes 50 ms however many there are, as what waits for another machine does; 400 a second need 20 at a time.
  for (let n = 0; n < 4000; n++) {
    admission.ask('', (leave) => leave !== undefined && setTimeout(leave, 50, 50));
    vi.advanceTimersByTime(2.5);
  }
  expect(admission.limit).toBeGreaterThan(15);
});
