import { describe, expect, it } from 'vitest';
import { Random } from '../../util/index.js';
import { type Demand, estimateEngines, simplestEngine } from './engines.js';
import { searchTimes, simulateQueue } from './queue.js';

const MACHINE = { cores: 16, memoryBytes: 128e9 };
const demand = (pictures: number, queriesPerSecond = 200): Demand => ({
  pictures,
  dimension: 512,
  fieldBytes: 200,
  queriesPerSecond,
});

describe('simulateQueue', () => {
  it.each([
    { cores: 1, load: 0.5 },
    { cores: 4, load: 0.8 },
    { cores: 16, load: 0.6 },
  ])('waits as Erlang says: $cores cores, busy $load', ({ cores, load }) => {
    const service = 0.02;
    const { waiting, p99 } = simulateQueue({
      arrivalsPerSecond: (load * cores) / service,
      cores,
      serviceSeconds: (random) => -Math.log(1 - random.uniform()) * service,
      random: Random.from(3),
      requests: 400_000,
    });
    expect(waiting).toBeCloseTo(erlangC(cores, load * cores), 1);
    if (cores === 1) expect(p99 / (Math.log(100) * (service / (1 - load)))).toBeCloseTo(1, 1);
  });

  it('draws times whose 99th percentile is four times the median', () => {
    const random = Random.from(5);
    const draw = searchTimes(0.01);
    const times = Array.from({ length: 100_000 }, () => draw(random)).sort((a, b) => a - b);
    expect(times[50_000]).toBeCloseTo(0.01, 3);
    expect((times[99_000] as number) / 0.01).toBeCloseTo(4, 0);
  });
});

describe('estimateEngines', () => {
  it('keeps it simple while it fits', () => {
    const engines = [1e5, 1e6, 1e7, 1e8, 1e9].map(
      (pictures) => simplestEngine(estimateEngines(demand(pictures), MACHINE))?.engine,
    );
    expect(engines).toEqual(['memory', 'memory', 'lancedb', 'citus', 'citus']);
  });

  it('needs machines in proportion to pictures when they do not fit one', () => {
    const shards = (pictures: number) =>
      estimateEngines(demand(pictures), MACHINE).find(({ engine }) => engine === 'citus')?.shards;
    expect((shards(1e10) as number) / (shards(1e9) as number)).toBeCloseTo(10, 0);
  });

  it('needs copies in proportion to queries, not shards', () => {
    const [few, many] = [200, 20_000].map((queries) =>
      estimateEngines(demand(1e8, queries), MACHINE).find(({ engine }) => engine === 'citus'),
    );
    expect(many?.shards).toBe(few?.shards);
    expect(many?.replicas).toBeGreaterThan(10);
  });

  it('says why an engine is no choice', () => {
    const [memory, , postgres] = estimateEngines(demand(1e8), MACHINE);
    expect(memory?.refusal).toMatch(/GB in memory/);
    expect(postgres?.refusal).toMatch(/the index takes 138 GB, one machine has 96/);
  });
});

/** The probability that a request waits, M/M/c (Erlang, 1917). */
function erlangC(cores: number, offered: number): number {
  let term = 1;
  let sum = 1;
  for (let n = 1; n < cores; n++) sum += term *= offered / n;
  const last = ((term * offered) / cores) * (cores / (cores - offered));
  return last / (sum + last);
}
