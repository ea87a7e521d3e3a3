/**
 * What a catalogue of a given size needs on each engine: bytes, time of a search, time to build. Each formula is a
 * measurement of ours carried on by how the algorithm grows, so an estimate: within a factor of two near the sizes that
 * were measured (10⁵), less sure the further away. docs/scaling.md has the measurements.
 */
export type EngineName = 'memory' | 'lancedb' | 'postgres' | 'citus';

/** What is asked of the catalogue. */
export interface Demand {
  readonly pictures: number;
  /** Numbers of a stored vector. */
  readonly dimension: number;
  /** Bytes of a picture's columns. */
  readonly fieldBytes: number;
  readonly queriesPerSecond: number;
}

/** One of the machines that could be had. */
export interface Machine {
  readonly cores: number;
  readonly memoryBytes: number;
}

/** What an engine would need. */
export interface Estimate {
  readonly engine: EngineName;
  /** Why it is no choice; `undefined`: it is one. */
  readonly refusal: string | undefined;
  /** Machines that hold the vectors, for one copy of the catalogue. */
  readonly shards: number;
  /** Copies that the queries need. */
  readonly replicas: number;
  /** Of one copy, all shards together. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** Of one search on an idle shard, seconds of one core. */
  readonly searchSeconds: number;
  /** Seconds of one core that a search takes of a shard when many wait. */
  readonly busySeconds: number;
  /** To build the index once, hours of one core, all shards together. */
  readonly buildCoreHours: number;
  readonly note: string;
}

/** Each engine's estimate, simplest first. */
export function estimateEngines(demand: Demand, machine: Machine): Estimate[] {
  return [
    exactInMemory(demand, machine),
    lance(demand, machine),
    postgres(demand, machine),
    citus(demand, machine),
  ];
}

/** The first engine that is a choice, which is the simplest; `undefined` when none is. */
export function simplestEngine(estimates: readonly Estimate[]): Estimate | undefined {
  return estimates.find(({ refusal }) => refusal === undefined);
}

// --- internal ---

/** A core is asked to be busy so much at most, so that queues stay short. */
const MOST_BUSY = 0.6;
/** Of a machine's memory, what the index may take. */
const INDEX_SHARE = 0.75;
/** `semblance serve` keeps records in memory up to this share of it. */
const RESIDENT_SHARE = 0.25;
/** People wait for a search so long at most. */
const MOST_SEARCH_SECONDS = 0.1;

/** 100,000 × 512 took 6.6 ms of two cores alone, 2.4 ms each when 32 waited (docs/search-performance.md). */
const EXACT_SECONDS_A_NUMBER = 0.0132 / 51.2e6;
const EXACT_BUSY_SECONDS_A_NUMBER = 0.0048 / 51.2e6;
/** 606 MB resident for 100,000 records of 512 numbers and 160 bytes of columns: beside the vectors about 4,000 each. */
const RESIDENT_OVERHEAD = 4000;
/** By IVF_FLAT at 100,000, 19 to 27 ms, nearly all of it for the rows of 50 hits; partitions grow as √N. */
const LANCE_ROWS_SECONDS = 0.02;
/** 92 s of one core for 10⁶ × 256; each vector is compared with √N centres. */
const LANCE_BUILD_SECONDS = 92;
/** Of the partitions, what a search reads for a recall of 0.99 (4 of 316). */
const LANCE_PROBED = 0.0127;
/** HNSW at 100,000 × 256: 1.0 ms a search, 50 s to build, both growing as log N. */
const HNSW_SEARCH_SECONDS = 0.001;
const HNSW_BUILD_SECONDS = 50;
/** What the driver, the plan and the rows of 50 hits take beside the index. */
const POSTGRES_OVERHEAD_SECONDS = 0.003;
/** Of a record of an HNSW index, beside its vector in half precision: 1,376 bytes at 512 numbers. */
const HNSW_OVERHEAD = 352;
/** Keys, indexes of columns, headers of rows. */
const ROW_OVERHEAD = 500;
/** What the coordinator adds: it waits for the slowest shard and merges (2.2 ms at 20,000 on three nodes). */
const CITUS_OVERHEAD_SECONDS = 0.002;

function exactInMemory(demand: Demand, machine: Machine): Estimate {
  const { pictures, dimension, fieldBytes } = demand;
  const numbers = pictures * dimension;
  const memoryBytes = pictures * (4 * dimension + fieldBytes + RESIDENT_OVERHEAD);
  const searchSeconds = numbers * EXACT_SECONDS_A_NUMBER;
  const wall = searchSeconds / machine.cores;
  const limit = machine.memoryBytes * RESIDENT_SHARE;
  const refusal =
    memoryBytes > limit
      ? `${gigabytes(memoryBytes)} in memory, of which it takes a quarter (${gigabytes(limit)})`
      : wall > MOST_SEARCH_SECONDS
        ? `${Math.round(1000 * wall)} ms a search`
        : undefined;
  const busySeconds = numbers * EXACT_BUSY_SECONDS_A_NUMBER;
  return {
    engine: 'memory',
    refusal,
    shards: 1,
    replicas: replicasFor(demand, machine, busySeconds),
    memoryBytes,
    diskBytes: pictures * (4 * dimension + fieldBytes),
    searchSeconds,
    busySeconds,
    buildCoreHours: 0,
    note: 'exact; LanceDB on disk, every server process holds a copy in memory',
  };
}

function lance(demand: Demand, machine: Machine): Estimate {
  const { pictures, dimension, fieldBytes } = demand;
  const scanned = LANCE_PROBED * pictures * dimension;
  const searchSeconds = LANCE_ROWS_SECONDS + scanned * EXACT_SECONDS_A_NUMBER;
  return {
    engine: 'lancedb',
    refusal:
      searchSeconds > MOST_SEARCH_SECONDS
        ? `${Math.round(1000 * searchSeconds)} ms a search by IVF_FLAT`
        : undefined,
    shards: 1,
    replicas: replicasFor(demand, machine, searchSeconds),
    memoryBytes: Math.sqrt(pictures) * dimension * 4 + 0.5e9,
    diskBytes: pictures * (4 * dimension + fieldBytes),
    searchSeconds,
    busySeconds: searchSeconds,
    buildCoreHours: (LANCE_BUILD_SECONDS * (pictures / 1e6) ** 1.5 * (dimension / 256)) / 3600,
    note: 'IVF_FLAT on fast local disk; check the recall by `semblance catalog tune`',
  };
}

function postgres(demand: Demand, machine: Machine): Estimate {
  const shard = hnswShard(demand.pictures, demand);
  const limit = machine.memoryBytes * INDEX_SHARE;
  return {
    engine: 'postgres',
    refusal:
      shard.memoryBytes > limit
        ? `the index takes ${gigabytes(shard.memoryBytes)}, one machine has ${gigabytes(limit)} for it`
        : undefined,
    shards: 1,
    replicas: replicasFor(demand, machine, shard.searchSeconds),
    ...shard,
    busySeconds: shard.searchSeconds,
    note: 'pgvector HNSW in half precision; replicas are read replicas of PostgreSQL',
  };
}

function citus(demand: Demand, machine: Machine): Estimate {
  const whole = hnswShard(demand.pictures, demand);
  const shards = Math.max(2, Math.ceil(whole.memoryBytes / (machine.memoryBytes * INDEX_SHARE)));
  const shard = hnswShard(demand.pictures / shards, demand);
  return {
    engine: 'citus',
    refusal: undefined,
    shards,
    // Every query asks every shard, so more shards do not answer more queries.
    replicas: replicasFor(demand, machine, shard.searchSeconds),
    memoryBytes: shards * shard.memoryBytes,
    diskBytes: shards * shard.diskBytes,
    searchSeconds: shard.searchSeconds + CITUS_OVERHEAD_SECONDS,
    busySeconds: shard.searchSeconds,
    buildCoreHours: shards * shard.buildCoreHours,
    note: 'the same, sharded by Citus; a coordinator beside the shards',
  };
}

function hnswShard(pictures: number, { dimension, fieldBytes }: Demand) {
  const growth = Math.max(1, Math.log(pictures) / Math.log(1e5));
  const width = dimension / 256;
  return {
    memoryBytes: pictures * (2 * dimension + HNSW_OVERHEAD),
    diskBytes: pictures * (2 * (2 * dimension) + HNSW_OVERHEAD + fieldBytes + ROW_OVERHEAD),
    searchSeconds: POSTGRES_OVERHEAD_SECONDS + HNSW_SEARCH_SECONDS * width * growth,
    buildCoreHours: (HNSW_BUILD_SECONDS * (pictures / 1e5) * growth * width) / 3600,
  };
}

function replicasFor({ queriesPerSecond }: Demand, { cores }: Machine, busySeconds: number): number {
  return Math.max(1, Math.ceil((queriesPerSecond * busySeconds) / (cores * MOST_BUSY)));
}

function gigabytes(bytes: number): string {
  return `${Math.round(bytes / 1e9).toLocaleString('en')} GB`;
}
