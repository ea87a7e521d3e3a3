/** Times of runs, and what is said of many of them. */
import { quantileSorted } from 'simple-statistics';

/** Runs an action. @returns how long it took, by the clock */
export async function milliseconds<T>(action: () => Promise<T>): Promise<{ ms: number; result: T }> {
  const start = performance.now();
  const result = await action();
  return { ms: performance.now() - start, result };
}

/** @returns a quantile; `NaN` of nothing */
export function quantile(times: readonly number[], share: number): number {
  return times.length === 0
    ? Number.NaN
    : quantileSorted(
        [...times].sort((a, b) => a - b),
        share,
      );
}

/** @returns a quantile with one digit after the point */
export function quantileText(times: readonly number[], share: number): string {
  return quantile(times, share).toFixed(1);
}
