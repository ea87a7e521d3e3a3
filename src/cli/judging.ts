/**
 * Judging pictures of a manifest: what `evaluate`, `train` and `demo` have in common, so that one model has one set of
 * figures wherever it is asked for.
 */
import { type Bundle, openEmbedder } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import {
  judgeMethod,
  type MethodMetrics,
  type MethodOptions,
  type MethodQueries,
  type RetrievalOptions,
  summariseMethod,
} from '../evaluation/index.js';
import {
  defaultLevelWeights,
  ITEM_LEVEL,
  inferSchema,
  type Schema,
  searchVectors,
  storedVectors,
  vectorLayout,
  weightsAt,
} from '../granularity/index.js';
import type { ModelVariant } from '../onnx/index.js';
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

export interface EmbedRowsOptions {
  readonly threads?: number;
  readonly progress?: StartProgress;
  readonly signal?: AbortSignal;
  /** Default `fp32`. */
  readonly variant?: ModelVariant;
  /** A file in the place of the bundle's model. */
  readonly modelPath?: string;
}

/** Embeds rows with a model bundle. Unreadable pictures are left out and listed. */
export async function embedRows(
  modelDirectory: string,
  rows: readonly ManifestRow[],
  { progress = silentProgress, signal, ...options }: EmbedRowsOptions = {},
): Promise<EmbeddedRows> {
  const embedder = await openEmbedder(modelDirectory, options);
  const bar = progress('embedding', rows.length);
  const kept: ManifestRow[] = [];
  const embeddings: Float32Array[] = [];
  const attributes: Float32Array[] = [];
  const problems: string[] = [];
  let done = 0;
  try {
    const pictures = rows.map(({ path, box }) => ({ path, box }));
    for await (const batch of embedder.embed(pictures, signal === undefined ? {} : { signal })) {
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

/**
 * The attributes that judge: every attribute of the schema (levels among them), with the values that the schema has of
 * it. Where the schema has none of a row's values, a multi attribute is known to have none and a single one is unknown,
 * as in training; an empty cell is unknown.
 */
export function attributeLabels(
  rows: readonly ManifestRow[],
  schema: Schema,
): Required<Pick<MethodOptions, 'attributes' | 'knownAttributes'>> {
  const valuesOf = schema.attributes.map(({ name, values }) => [name, new Set(values)] as const);
  return {
    attributes: rows.map(({ attributes }) =>
      Object.fromEntries(
        valuesOf.map(([name, values]) => [
          name,
          (attributes[name] ?? []).filter((value) => values.has(value)),
        ]),
      ),
    ),
    knownAttributes: rows.map(({ attributes }) =>
      Object.fromEntries(
        schema.attributes.map(({ name, kind }) => [
          name,
          kind === 'multi' && (attributes[name] ?? []).length > 0,
        ]),
      ),
    ),
  };
}

/**
 * Embedded rows as a search at a granularity compares them: blended vectors in the place of embeddings.
 * @param granularity γ in [0, 1]
 * @throws DataError where the model has no attributes to blend
 */
export function blendedRows(embedded: EmbeddedRows, { card }: Bundle, granularity: number): EmbeddedRows {
  const { schema } = card;
  if (schema.attributes.length === 0)
    throw new DataError(
      'evaluate: --granularity needs a model that predicts attributes, got one that has none. Train with attributeWeight over 0',
    );
  const layout = vectorLayout(schema, embedded.dimension);
  const weights = weightsAt(card.levelWeights ?? defaultLevelWeights(schema, layout), granularity);
  const stored = storedVectors(schema, embedded.dimension, embedded);
  return { ...embedded, embeddings: searchVectors(layout, stored, weights), dimension: layout.size };
}

/** The levels that a model is judged at: its own, or the data's for a model that knows none but items. */
export function judgedSchema({ card: { schema } }: Bundle, rows: readonly ManifestRow[]): Schema {
  return schema.levels.length > 1
    ? schema
    : inferSchema(rows.filter(({ split }) => split === 'train')).schema;
}

/**
 * The figures of embedded rows; where there are several sources, hits must be by another one. Attributes judge as the
 * schema has them (`attributeLabels`).
 */
export async function judge(
  embedded: JudgedRows,
  schema: Schema,
  signal?: AbortSignal,
): Promise<MethodMetrics> {
  return summariseMethod(judgingOptions(embedded, schema, signal));
}

/** The figures of each query, for intervals and paired comparisons; `rows` are places in `embedded.rows`. */
export async function judgePerQuery(
  embedded: JudgedRows,
  schema: Schema,
  signal?: AbortSignal,
): Promise<{ figures: MethodMetrics } & MethodQueries> {
  const { figures, queries } = await judgeMethod(judgingOptions(embedded, schema, signal));
  return { figures, ...queries };
}

type JudgedRows = Pick<EmbeddedRows, 'rows' | 'embeddings' | 'dimension'>;

// --- internal ---

function judgingOptions(
  { rows, embeddings, dimension }: JudgedRows,
  schema: Schema,
  signal: AbortSignal | undefined,
): MethodOptions {
  return {
    embeddings,
    dimension,
    ...retrievalLabels(rows, schema),
    ...(schema.attributes.length === 0 ? {} : attributeLabels(rows, schema)),
    ...(signal === undefined ? {} : { signal }),
  };
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    result.set(part, offset);
    offset += part.length;
  }
  return result;
}
