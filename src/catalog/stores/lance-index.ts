/**
 * Indexes of a Lance table: one of the vectors as a plan says, and those of columns that make filters quick. The plan
 * stands in a file beside the table, because it says how the index must be asked.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Index, type Table, type VectorQuery } from '@lancedb/lancedb';
import { DataError, readJson, stopwatch, writeJson } from '../../util/index.js';
import { type IndexPlan, type IndexState, indexPlanFormat } from '../index-plan.js';

/**
 * Reads the plan of a store. @returns `exact` where there is none.
 * @throws DataError when the file cannot be used
 */
export async function readPlan(directory: string): Promise<IndexPlan> {
  const file = join(directory, FILE);
  if (!(await isThere(file))) return { kind: 'exact' };
  const result = indexPlanFormat.safeParse(await readJson(file));
  if (result.success) return result.data;
  throw new DataError(
    'the plan of the index cannot be read. Delete the file, and run `semblance catalog tune` again',
    { file },
  );
}

/** The plan of a store, whichever process chose it: its file is looked at again once a second, when somebody asks. */
export class FollowedPlan {
  readonly #directory: string;
  #plan: IndexPlan;
  /** Of the file that the plan was read from. */
  #mark: string;
  #sinceLook = stopwatch();

  private constructor(directory: string, plan: IndexPlan, mark: string) {
    this.#directory = directory;
    this.#plan = plan;
    this.#mark = mark;
  }

  /** @throws DataError when the file cannot be used */
  static async open(directory: string): Promise<FollowedPlan> {
    const mark = await markOf(directory); // before it is read: what is written meanwhile is seen later
    return new FollowedPlan(directory, await readPlan(directory), mark);
  }

  /** As of a second ago at most. What cannot be read, e.g. a newer semblance's, changes nothing. */
  async present(): Promise<IndexPlan> {
    if (this.#sinceLook() * 1000 < LOOK_MS) return this.#plan;
    this.#sinceLook = stopwatch();
    return await this.look().catch(() => this.#plan);
  }

  /** As of now. @throws DataError when the file cannot be used */
  async look(): Promise<IndexPlan> {
    const mark = await markOf(this.#directory);
    if (mark !== this.#mark) {
      this.#plan = await readPlan(this.#directory);
      this.#mark = mark;
    }
    return this.#plan;
  }
}

/**
 * Builds what a plan needs, in place of what was there; searches go on meanwhile. Where the vectors' index is there
 * already and complete, only how it is asked changes.
 * @param options.before the plan until now.
 * @param options.columns the table's names of columns of texts with few different values.
 * @param options.numbers the table's names of columns of numbers.
 */
export async function buildPlan(
  directory: string,
  table: Table,
  plan: IndexPlan,
  options: { before: IndexPlan; columns: readonly string[]; numbers: readonly string[] },
): Promise<void> {
  if (needsSameIndex(options.before, plan)) {
    const { indexed, unindexed } = await readIndexState(directory, table, plan);
    if (indexed > 0 && unindexed === 0) {
      await writeJson(join(directory, FILE), plan);
      return;
    }
  }
  const count = await table.countRows();
  if (plan.kind === 'ivf-flat' && plan.partitions > count)
    throw new DataError(
      `index: there must be at least as many records as partitions, got ${count} and ${plan.partitions}`,
    );
  if (plan.kind === 'ivf-flat')
    await table.createIndex(VECTOR, {
      config: Index.ivfFlat({ distanceType: 'dot', numPartitions: plan.partitions }),
      replace: true,
    });
  else if (plan.kind === 'hnsw-sq')
    await table.createIndex(VECTOR, {
      config: Index.hnswSq({ distanceType: 'dot', numPartitions: 1 }),
      replace: true,
    });
  if (plan.kind === 'exact') {
    for (const { name } of await table.listIndices()) await table.dropIndex(name);
  } else {
    for (const column of options.columns)
      await table.createIndex(column, { config: Index.labelList(), replace: true });
    for (const column of ['id', ...options.numbers])
      await table.createIndex(column, { config: Index.btree(), replace: true });
  }
  await writeJson(join(directory, FILE), plan);
}

/** How the vectors are indexed at this moment. */
export async function readIndexState(directory: string, table: Table, plan: IndexPlan): Promise<IndexState> {
  // Else Lance warns on stderr of statistics that nobody asked for.
  process.env.LANCE_INCLUDE_VECTOR_CENTROIDS ??= 'false';
  const indices = await table.listIndices();
  const index = indices.find(({ columns }) => columns.includes(VECTOR));
  const statistics = index === undefined ? undefined : await table.indexStats(index.name);
  if (plan.kind === 'exact' || statistics === undefined)
    return { plan, indexed: 0, unindexed: await table.countRows(), bytes: 0 };
  // Those of versions before are there too, until Lance sweeps them.
  const folder = join(directory, `${table.name}.lance`, '_indices');
  let bytes = 0;
  for (const { indexUuid } of indices)
    if (indexUuid !== undefined) bytes += await bytesBelow(join(folder, indexUuid));
  return { plan, indexed: statistics.numIndexedRows, unindexed: statistics.numUnindexedRows, bytes };
}

/** Asks as the plan says. With a filter an index may have to be searched further: probes go on until there are enough. */
export function askedAs(query: VectorQuery, plan: IndexPlan, limit: number): VectorQuery {
  if (plan.kind === 'ivf-flat')
    // Both first: each alone is refused where it contradicts the other's default, 20.
    return query.nprobes(Math.min(plan.probes, plan.partitions)).maximumNprobes(plan.partitions).limit(limit);
  // Lance refuses a list of candidates that is shorter than what is refined.
  if (plan.kind === 'hnsw-sq')
    return query
      .ef(Math.max(plan.ef, REFINED * limit))
      .refineFactor(REFINED)
      .limit(limit);
  return query.bypassVectorIndex().limit(limit);
}

// --- internal ---

const FILE = 'index-plan.json';
const VECTOR = 'vector';
/** Milliseconds between two looks at the plan. */
const LOOK_MS = 1000;
/** Candidates a hit that are scored by their whole vectors. */
const REFINED = 2;

function needsSameIndex(before: IndexPlan, after: IndexPlan): boolean {
  if (before.kind === 'ivf-flat' && after.kind === 'ivf-flat') return before.partitions === after.partitions;
  return before.kind === 'hnsw-sq' && after.kind === 'hnsw-sq';
}

/** Another whenever the plan was written: it is a new file each time. Empty where there is none. */
async function markOf(directory: string): Promise<string> {
  return await stat(join(directory, FILE)).then(
    ({ ino, mtimeMs }) => `${ino} ${mtimeMs}`,
    () => '',
  );
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}
