/**
 * Chooses how a catalogue finds the nearest, by measuring on it: its own pictures ask, at several granularities, with
 * and without filters made of its own columns, and what an index finds is compared with the exact answer.
 */
import { queryVector, type VectorLayout, weightsAt } from '../granularity/index.js';
import { Random, type StartProgress, silentProgress, stopwatch } from '../util/index.js';
import type { AnyOf, Filter } from './filter.js';
import type { IndexPlan } from './index-plan.js';
import type { IndexableStore } from './store.js';

/** How a plan did under one filter. */
export interface PlanMeasure {
  /** Of the records that pass, from 0 to 1; 1 without a filter. */
  readonly share: number;
  readonly filter: Filter;
  /** Mean share of the exact k best that was found, at the granularity where it is least. */
  readonly recall: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface PlanResult {
  readonly plan: IndexPlan;
  /** To build the index; 0 where it was there, or none is needed. */
  readonly buildMs: number;
  readonly bytes: number;
  /** One a filter: none, about 10 %, about 1 %, where columns allow. */
  readonly measures: readonly PlanMeasure[];
}

export interface TuningResult {
  readonly records: number;
  readonly queries: number;
  /** In the order tried. */
  readonly tried: readonly PlanResult[];
  readonly chosen: IndexPlan;
}

/** The granularities asked at. */
export const TUNING_GRANULARITIES = [0, 0.5, 1] as const;
/** Fewer records are searched exactly in a moment. */
export const FEWEST_TO_INDEX = 5000;

/**
 * Measures exact search and indexes, and leaves the store with the one chosen: exact search where its p50 is at most
 * `targetMs` under every filter, else the quickest that reaches `recall` under every filter and granularity, else exact.
 * @param options.recall from 0 to 1. Default 0.99.
 * @param options.k hits a search. Default 50.
 * @param options.queries pictures that ask. Default 30.
 * @param options.targetMs default 10.
 * @param options.kinds what is measured beside exact search. Default: `ivf-flat`.
 * @param options.always measures indexes although exact search is quick enough.
 * @param options.whileBuilding runs each building of an index, e.g. while nobody else writes. Default: at once.
 * @param options.signal stops between searches; the plan from before is kept.
 */
export async function tuneIndex(options: {
  readonly store: IndexableStore;
  readonly layout: VectorLayout;
  readonly levelWeights: readonly (readonly number[])[];
  /** Columns to make filters of. */
  readonly filterColumns: readonly string[];
  readonly recall?: number;
  readonly k?: number;
  readonly queries?: number;
  readonly targetMs?: number;
  readonly kinds?: readonly ('ivf-flat' | 'hnsw-sq')[];
  readonly always?: boolean;
  readonly seed?: number;
  readonly startProgress?: StartProgress;
  readonly whileBuilding?: (build: () => Promise<void>, signal?: AbortSignal) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}): Promise<TuningResult> {
  const { store, recall = 0.99, k = 50, queries = 30, targetMs = 10, kinds = ['ivf-flat'], signal } = options;
  const { whileBuilding = (build) => build() } = options;
  const random = Random.from(options.seed ?? 0);
  const records = await store.count();
  const asked = await drawQueries(options, Math.min(queries, records), random);
  const filters = await drawFilters(store, options.filterColumns, records, random);
  const { plan: before } = await store.indexState();
  const progress = (options.startProgress ?? silentProgress)('tuning', 1 + kinds.length);
  const tried: PlanResult[] = [];
  let current = before;
  let settled = false;
  /** @returns milliseconds, without the wait for others */
  const buildIndex = async (plan: IndexPlan, stop?: AbortSignal): Promise<number> => {
    let buildMs = 0;
    await whileBuilding(async () => {
      const watch = stopwatch();
      await store.buildIndex(plan);
      buildMs = 1000 * watch();
    }, stop);
    current = plan;
    return buildMs;
  };
  try {
    const measurement: Measurement = { store, asked, filters, k, signal };
    const truth = await exactAnswers(measurement);
    const exact: PlanResult = { plan: { kind: 'exact' }, buildMs: 0, bytes: 0, measures: truth.measures };
    tried.push(exact);
    progress.update(1, 'exact search');
    const isQuick = exact.measures.every(({ p50Ms }) => p50Ms <= targetMs);
    if (records >= FEWEST_TO_INDEX && (!isQuick || options.always))
      for (const [n, kind] of kinds.entries()) {
        for (const plan of candidatePlans(kind, records)) {
          signal?.throwIfAborted();
          progress.update(1 + n, describePlan(plan));
          const isBuilt = current.kind === plan.kind && tried.some((one) => one.plan.kind === plan.kind);
          const spentMs = await buildIndex(plan, signal);
          const buildMs = isBuilt ? 0 : spentMs;
          const measures = await compareWith(truth.answers, measurement);
          tried.push({ plan, buildMs, bytes: (await store.indexState()).bytes, measures });
          if (reaches(measures, recall)) break;
        }
        progress.update(2 + n);
      }
    const chosen = choose(tried, { recall, isQuick });
    await buildIndex(chosen, signal);
    settled = true;
    return { records, queries: asked.length / TUNING_GRANULARITIES.length, tried, chosen };
  } finally {
    progress.stop();
    if (!settled && current !== before) await buildIndex(before);
  }
}

/** A plan in a few words. */
export function describePlan(plan: IndexPlan): string {
  if (plan.kind === 'ivf-flat') return `ivf-flat, ${plan.probes} of ${plan.partitions} partitions`;
  return plan.kind === 'hnsw-sq' ? `hnsw-sq, ef ${plan.ef}` : 'exact';
}

// --- internal ---

interface Asked {
  readonly granularity: number;
  readonly vector: Float32Array;
}

interface Measurement {
  readonly store: IndexableStore;
  readonly asked: readonly Asked[];
  readonly filters: readonly { readonly filter: Filter; readonly share: number }[];
  readonly k: number;
  readonly signal: AbortSignal | undefined;
}

/** Pictures of the catalogue at each granularity, those of one granularity together. */
async function drawQueries(
  options: {
    readonly store: IndexableStore;
    readonly layout: VectorLayout;
    readonly levelWeights: readonly (readonly number[])[];
  },
  count: number,
  random: Random,
): Promise<Asked[]> {
  const ids: string[] = [];
  for await (const batch of options.store.scan({ vectors: false, columns: [], batchSize: 10_000 }))
    for (const { id } of batch) ids.push(id);
  const records = await options.store.get(random.shuffled(ids).slice(0, count));
  return TUNING_GRANULARITIES.flatMap((granularity) => {
    const weights = weightsAt(options.levelWeights, granularity);
    return records.flatMap((record) =>
      record === undefined
        ? []
        : [{ granularity, vector: queryVector(options.layout, record.vector, weights) }],
    );
  });
}

/** No filter, and for 10 % and 1 % values of one column that together come nearest to it. */
async function drawFilters(
  store: IndexableStore,
  columns: readonly string[],
  records: number,
  random: Random,
): Promise<Measurement['filters']> {
  const facets = await store.facets(columns);
  const filters: { filter: Filter; share: number }[] = [{ filter: [], share: 1 }];
  for (const wanted of [0.1, 0.01]) {
    let best: { test: AnyOf; sum: number } | undefined;
    const distance = (sum: number) => Math.abs(Math.log(sum / (wanted * records)));
    for (const column of columns) {
      const values: string[] = [];
      let sum = 0;
      for (const { value, count } of random.shuffled(facets[column] ?? [])) {
        if (sum + count > 1.5 * wanted * records || values.length === MOST_VALUES) continue;
        values.push(value);
        sum += count;
      }
      if (sum > 0 && (best === undefined || distance(sum) < distance(best.sum) - 0.05))
        best = { test: { column, anyOf: values }, sum };
    }
    if (best === undefined) continue;
    const filter = [best.test];
    filters.push({ filter, share: (await store.count(filter)) / records });
  }
  return filters;
}

const MOST_VALUES = 100;

async function exactAnswers(
  measurement: Measurement,
): Promise<{ answers: readonly ReadonlySet<string>[][]; measures: PlanMeasure[] }> {
  const { store, asked, filters, k, signal } = measurement;
  await store.warm({ exact: true });
  for (const { vector } of asked.slice(0, 3)) await store.search(vector, { k, exact: true });
  const answers: ReadonlySet<string>[][] = [];
  const measures: PlanMeasure[] = [];
  for (const { filter, share } of filters) {
    const times: number[] = [];
    const found: ReadonlySet<string>[] = [];
    for (const { vector } of asked) {
      signal?.throwIfAborted();
      const watch = stopwatch();
      const hits = await store.search(vector, { k, filter, exact: true });
      times.push(1000 * watch());
      found.push(new Set(hits.map(({ record }) => record.id)));
    }
    answers.push(found);
    measures.push({ filter, share, recall: 1, ...quantiles(times) });
  }
  return { answers, measures };
}

async function compareWith(
  answers: readonly (readonly ReadonlySet<string>[])[],
  { store, asked, filters, k, signal }: Measurement,
): Promise<PlanMeasure[]> {
  const measures: PlanMeasure[] = [];
  for (const [n, { filter, share }] of filters.entries()) {
    const times: number[] = [];
    const counts = new Map<number, { found: number; wanted: number }>();
    for (const [q, { vector, granularity }] of asked.entries()) {
      signal?.throwIfAborted();
      const watch = stopwatch();
      const hits = await store.search(vector, { k, filter });
      times.push(1000 * watch());
      const right = answers[n]?.[q] ?? new Set();
      const count = counts.get(granularity) ?? { found: 0, wanted: 0 };
      count.wanted += right.size;
      count.found += hits.filter(({ record }) => right.has(record.id)).length;
      counts.set(granularity, count);
    }
    const recalls = [...counts.values()].map(({ found, wanted }) => (wanted === 0 ? 1 : found / wanted));
    measures.push({ filter, share, recall: Math.min(1, ...recalls), ...quantiles(times) });
  }
  return measures;
}

function candidatePlans(kind: 'ivf-flat' | 'hnsw-sq', records: number): IndexPlan[] {
  if (kind === 'hnsw-sq') return [100, 200, 400, 800].map((ef) => ({ kind, ef }));
  const partitions = Math.max(16, Math.round(Math.sqrt(records)));
  const probes = [4, 8, 16, 32, 64, 128].filter((count) => count < partitions);
  return probes.map((count) => ({ kind, partitions, probes: count }));
}

function reaches(measures: readonly PlanMeasure[], recall: number): boolean {
  return measures.every((measure) => measure.recall >= recall);
}

function choose(
  tried: readonly PlanResult[],
  { recall, isQuick }: { recall: number; isQuick: boolean },
): IndexPlan {
  if (isQuick) return { kind: 'exact' };
  const slowest = ({ measures }: PlanResult) => Math.max(...measures.map(({ p50Ms }) => p50Ms));
  const good = tried.filter(({ measures }) => reaches(measures, recall));
  return good.sort((a, b) => slowest(a) - slowest(b))[0]?.plan ?? { kind: 'exact' };
}

function quantiles(times: readonly number[]): { p50Ms: number; p99Ms: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}
