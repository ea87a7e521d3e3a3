import { expect, it } from 'vitest';
import { Admission } from './shedding.js';

/** A machine that does `servers` requests at a time, `workMs` each, and is sent `perSecond`, evenly, for a while. */
function simulate(admission: Admission, options: { perSecond: number; seconds: number; workMs: number }) {
  const { perSecond, seconds, workMs } = options;
  const done: { at: number; latency: number; leave: (ms: number) => void }[] = [];
  const latencies: { at: number; latency: number }[] = [];
  let [free, refused] = [0, 0];
  for (let n = 0; n < perSecond * seconds; n++) {
    const now = (1000 * n) / perSecond;
    while (done[0] !== undefined && done[0].at <= now) {
      const { at, latency, leave } = done.shift() as (typeof done)[number];
      leave(latency);
      latencies.push({ at, latency });
    }
    try {
      const leave = admission.enter();
      free = Math.max(free, now) + workMs;
      done.push({ at: free, latency: free - now, leave });
    } catch {
      refused++;
    }
  }
  for (const { latency, leave } of done) leave(latency);
  return { latencies, refused };
}

it('keeps the latency of what it accepts at ten times what can be done, and loses little of it', () => {
  const admission = new Admission(64);
  // 10 ms each, one at a time: 100 a second can be done.
  const { latencies, refused } = simulate(admission, { perSecond: 1000, seconds: 30, workMs: 10 });
  const settled = latencies.filter(({ at }) => at > 3000).map(({ latency }) => latency);
  settled.sort((a, b) => a - b);
  expect(settled[Math.floor(0.99 * settled.length)]).toBeLessThanOrEqual(30);
  expect(settled.length).toBeGreaterThan(0.95 * 27 * 100);
  expect(refused).toBeGreaterThan(20_000);
  // And opens again when there is little to do.
  simulate(admission, { perSecond: 50, seconds: 10, workMs: 10 });
  expect(admission.limit).toBeGreaterThan(12);
});

it('refuses nothing below what can be done', () => {
  const { refused } = simulate(new Admission(64), { perSecond: 90, seconds: 30, workMs: 10 });
  expect(refused).toBe(0);
});
