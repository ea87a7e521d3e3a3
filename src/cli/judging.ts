/**
 * Judging pictures of a manifest: what `evaluate`, `train` and `demo` have in common, so that one model has one set of
 * figures wherever it is asked for.
 */
import { openEmbedder } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import { type MethodMetrics, type RetrievalOptions, summariseMethod } from '../evaluation/index.js';
import { ITEM_LEVEL, type Schema } from '../granularity/index.js';
import { DataError, type StartProgress, silentProgress } from '../util/index.js';

/** Pictures with their vectors, as a model or another method made them. */
export interface EmbeddedRows {
  readonly rows: readonly ManifestRow[];
  /** [N, D] */
  readonly embeddings: Float32Array;
  readonly dimension: number;
  /** Probabilities [N, A]; A may be 0. */
  readonly attributes: Float32Array;
  /** Pictures that could not be read, one line each. */
  readonly problems: readonly string[];
}

/** Embeds rows with a model bundle. Unreadable pictures are left out and listed. */
export async function embedRows(
  modelDirectory: string,
  rows: readonly ManifestRow[],
  {
    threads,
    progress = silentProgress,
    signal,
  }: { threads?: number; progress?: StartProgress; signal?: AbortSignal } = {},
): Promise<EmbeddedRows> {
  const embedder = await openEmbedder(modelDirectory, threads === undefined ? {} : { threads });
  const bar = progress('embedding', rows.length);
  const kept: ManifestRow[] = [];
  const embeddings: Float32Array[] = [];
  const attributes: Float32Array[] = [];
  const problems: string[] = [];
  let done = 0;
  try {
    const paths = rows.map(({ path }) => path);
    for await (const batch of embedder.embed(paths, signal === undefined ? {} : { signal })) {
      for (const index of batch.indices) kept.push(rows[index] as ManifestRow);
      embeddings.push(batch.embeddings);
      attributes.push(batch.attributes);
      problems.push(...batch.failures.map(({ reason }) => reason));
      done += batch.indices.length + batch.failures.length;
      bar.update(done);
    }
  } finally {
    bar.stop();
    await embedder.close();
  }
  if (kept.length === 0)
    throw new DataError(`none of ${rows.length} pictures can be read; the first: ${problems[0]}`);
  return {
    rows: kept,
    embeddings: concatenated(embeddings),
    dimension: embedder.dimension,
    attributes: concatenated(attributes),
    problems,
  };
}

/**
 * What the metrics need to know of rows: labels at each level, roles, and who made the picture. Where a row has no value
 * of a level, or several, its label there is unknown.
 */
export function retrievalLabels(
  rows: readonly ManifestRow[],
  schema: Schema,
): Pick<RetrievalOptions, 'levels' | 'roles' | 'source' | 'sourceGroup'> {
  return {
    levels: Object.fromEntries(
      schema.levels.map((level) => [
        level,
        rows.map(({ itemId, attributes }) => {
          if (level === ITEM_LEVEL) return itemId;
          const values = attributes[level] ?? [];
          return values.length === 1 ? (values[0] as string) : '';
        }),
      ]),
    ),
    roles: rows.map(({ split }) => (split === 'query' || split === 'gallery' ? split : 'both')),
    source: rows.map(({ source }) => source),
    sourceGroup: rows.map(({ sourceGroup }) => sourceGroup),
  };
}

/** The figures of embedded rows; where there are several sources, hits must be by another one. */
export function judge(
  { rows, embeddings, dimension }: Pick<EmbeddedRows, 'rows' | 'embeddings' | 'dimension'>,
  schema: Schema,
  signal?: AbortSignal,
): Promise<MethodMetrics> {
  return summariseMethod({
    embeddings,
    dimension,
    ...retrievalLabels(rows, schema),
    ...(signal === undefined ? {} : { signal }),
  });
}

// --- internal ---

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}
