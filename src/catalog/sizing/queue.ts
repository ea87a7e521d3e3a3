/** How long people wait: requests come at random (Poisson) and are taken in order by the first core that is free. */
import type { Random } from '../../util/index.js';

/**
 * Simulates a queue.
 * @param options.arrivalsPerSecond more than 0.
 * @param options.cores that serve, each one request at a time; a whole number from 1 on.
 * @param options.serviceSeconds draws how long one request takes.
 * @param options.requests simulated. Default 100,000; the first tenth, while the queue fills, does not count.
 * @returns seconds from arrival to answer: median and 99th percentile; and the share of requests that had to wait.
 */
export function simulateQueue(options: {
  readonly arrivalsPerSecond: number;
  readonly cores: number;
  readonly serviceSeconds: (random: Random) => number;
  readonly random: Random;
  readonly requests?: number;
}): { p50: number; p99: number; waiting: number } {
  const { arrivalsPerSecond, cores, serviceSeconds, random, requests = 100_000 } = options;
  const free = new Float64Array(cores);
  const sojourns: number[] = [];
  let now = 0;
  let waited = 0;
  for (let request = 0; request < requests; request++) {
    now += -Math.log(1 - random.uniform()) / arrivalsPerSecond;
    let core = 0;
    for (let other = 1; other < cores; other++) if (free[other]! < free[core]!) core = other;
    const start = Math.max(now, free[core] as number);
    free[core] = start + serviceSeconds(random);
    if (request < requests / 10) continue;
    if (start > now) waited++;
    sojourns.push((free[core] as number) - now);
  }
  sojourns.sort((a, b) => a - b);
  const at = (share: number) => sojourns[Math.floor(share * sojourns.length)] as number;
  return { p50: at(0.5), p99: at(0.99), waiting: waited / sojourns.length };
}

/** Service times as searches have them: log-normal about the median, the 99th percentile four times it. */
export function searchTimes(medianSeconds: number): (random: Random) => number {
  return (random) => medianSeconds * Math.exp(SPREAD * random.normal());
}

// --- internal ---

/** ln 4 / 2.326: p99 is four times the median (docs/search-performance.md). */
const SPREAD = 0.596;
