import { afterEach, expect, it, vi } from 'vitest';
import { RequestCounts } from './request-counts.js';

afterEach(() => vi.useRealTimers());

const WINDOW_MS = 200;

function ask(counts: RequestCounts, key: string, windowMs = WINDOW_MS): { current: number; ttl: number } {
  let answer = { current: 0, ttl: 0 };
  counts.incr(
    key,
    (_, result) => {
      if (result !== undefined) answer = result;
    },
    windowMs,
  );
  return answer;
}

it('counts each by itself within a window', () => {
  const counts = new RequestCounts();
  expect([ask(counts, 'a'), ask(counts, 'a'), ask(counts, 'b')].map(({ current }) => current)).toEqual([
    1, 2, 1,
  ]);
  expect(ask(counts.child(), 'a').current).toBe(1);
});

it.each([-24, 24])('counts on as before when the clock is set by %d hours', async (hours) => {
  const counts = new RequestCounts();
  for (let n = 0; n < 5; n++) ask(counts, 'a');
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + hours * 3600_000 });
  const { current, ttl } = ask(counts, 'a');
  expect(current).toBe(6);
  expect(ttl).toBeGreaterThan(0);
  expect(ttl).toBeLessThanOrEqual(WINDOW_MS);
  await new Promise((resolve) => setTimeout(resolve, WINDOW_MS + 20));
  expect(ask(counts, 'a').current).toBe(1);
});

it('forgets who was counted longest ago, so its memory is bounded', () => {
  const counts = new RequestCounts();
  const minute = 60_000;
  ask(counts, 'first', minute);
  ask(counts, 'second', minute);
  for (let n = 0; n < 19_998; n++) ask(counts, `other ${n}`, minute);
  ask(counts, 'second', minute);
  ask(counts, 'one more', minute);
  expect(ask(counts, 'second', minute).current).toBe(3);
  expect(ask(counts, 'first', minute).current).toBe(1);
});
