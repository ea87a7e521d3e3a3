/**
 * Granularity chosen at query time. A stored picture is `[e ; t ; c_1 … ]`: embedding, attribute vector, and the
 * block of each level that is an attribute, each part of unit length. A query scales its own parts by weights
 * `w(γ)` and asks for the largest dot product, so γ needs no second index and no second pass.
 *
 * Letters: N pictures, D embedding size, A attribute values, P parts, S = size of a stored vector, L levels.
 * γ runs from 0, the same item, to 1, the same kind; level i of L stands at γ = i / (L − 1).
 */
import { DataError } from '../util/index.js';
import { attributeBlocks, attributeCount, ITEM_LEVEL, type Schema } from './schema.js';

/** One part of a stored vector: its elements `[offset, offset + size)`. */
export interface VectorPart {
  /** `embedding`, `attributes`, or `level:<name>`. */
  readonly name: string;
  readonly offset: number;
  /** 0 where the schema has no attributes. */
  readonly size: number;
}

/** Where the parts of a stored vector lie. */
export interface VectorLayout {
  readonly parts: readonly VectorPart[];
  /** S, the length of a stored vector. */
  readonly size: number;
}

/** The names that stand for a γ on the command line and in the API. */
export const GRANULARITY_NAMES = { item: 0, look: 0.5, category: 1 } as const;

/**
 * The layout that a schema and an embedding size give: `embedding`, `attributes`, then `level:<name>` for each
 * level after `item_id`, which is the embedding's own.
 */
export function vectorLayout(schema: Schema, dimension: number): VectorLayout {
  const parts: VectorPart[] = [];
  let size = 0;
  const add = (name: string, length: number) => {
    parts.push({ name, offset: size, size: length });
    size += length;
  };
  add('embedding', dimension);
  add('attributes', attributeCount(schema));
  for (const level of schema.levels)
    if (level !== ITEM_LEVEL) add(`level:${level}`, levelBlock(schema, level).size);
  return { parts, size };
}

/**
 * Puts the model's outputs for N pictures into stored vectors.
 *
 * The attribute part holds each block scaled to unit length, and as a whole has unit length: an attribute of many
 * values weighs as much as one of two. A part that is zero throughout stays zero.
 * @param outputs.embeddings [N, D]; scaled to unit length here, whatever it had.
 * @param outputs.attributes [N, A] probabilities.
 * @returns [N, S].
 * @throws DataError when a length does not fit, or a number is not finite.
 */
export function storedVectors(
  schema: Schema,
  dimension: number,
  outputs: { embeddings: Float32Array; attributes: Float32Array },
): Float32Array {
  const layout = vectorLayout(schema, dimension);
  const blocks = attributeBlocks(schema);
  const width = attributeCount(schema);
  const count = outputs.embeddings.length / dimension;
  if (!Number.isInteger(count) || outputs.attributes.length !== count * width)
    throw new DataError(
      `storedVectors: embeddings and attributes must be [N, ${dimension}] and [N, ${width}], got ` +
        `${outputs.embeddings.length} and ${outputs.attributes.length} numbers`,
    );
  const stored = new Float32Array(count * layout.size);
  for (let n = 0; n < count; n++) {
    const vector = stored.subarray(n * layout.size, (n + 1) * layout.size);
    const probabilities = outputs.attributes.subarray(n * width, (n + 1) * width);
    for (const part of layout.parts) {
      const target = vector.subarray(part.offset, part.offset + part.size);
      if (part.name === 'embedding')
        target.set(outputs.embeddings.subarray(n * dimension, (n + 1) * dimension));
      else if (part.name === 'attributes') {
        target.set(probabilities);
        for (const block of blocks) toUnitLength(target.subarray(block.offset, block.offset + block.size));
      } else {
        const block = levelBlock(schema, part.name.slice('level:'.length));
        target.set(probabilities.subarray(block.offset, block.offset + block.size));
      }
      toUnitLength(target);
    }
  }
  return stored;
}

/**
 * Reads γ: a number in [0, 1] or one of `item`, `look`, `category` (0, ½, 1).
 *
 * With three levels `look` is the middle one; with two it lies halfway between item and category.
 * @throws DataError otherwise.
 */
export function parseGranularity(value: string | number): number {
  if (typeof value === 'string' && Object.hasOwn(GRANULARITY_NAMES, value))
    return GRANULARITY_NAMES[value as keyof typeof GRANULARITY_NAMES];
  const gamma = typeof value === 'number' ? value : value.trim() === '' ? Number.NaN : Number(value);
  if (gamma >= 0 && gamma <= 1) return gamma;
  throw new DataError(
    `granularity: must be ${Object.keys(GRANULARITY_NAMES).join(', ')} or a number from 0 (same item) to 1 ` +
      `(same kind), got '${value}'`,
  );
}

/**
 * The weights of the parts at γ, linear between the levels' own weights.
 * @param levelWeights [L][P], not negative, fine to coarse.
 * @returns P weights that add up to 1, so that a score is at most 1.
 * @throws DataError when γ is outside [0, 1] or the weights cannot be used.
 */
export function weightsAt(levelWeights: readonly (readonly number[])[], granularity: number): number[] {
  const last = levelWeights.length - 1;
  const first = levelWeights[0];
  if (first === undefined)
    throw new DataError('weightsAt: there must be weights for one level at least, got none');
  if (!(granularity >= 0 && granularity <= 1))
    throw new DataError(`weightsAt: granularity must be from 0 to 1, got ${granularity}`);
  const position = granularity * last;
  const low = Math.min(Math.floor(position), Math.max(last - 1, 0));
  const share = last === 0 ? 0 : position - low;
  const fine = levelWeights[low] ?? first;
  const coarse = levelWeights[Math.min(low + 1, last)] ?? fine;
  return toSumOne(fine.map((weight, part) => weight * (1 - share) + (coarse[part] ?? Number.NaN) * share));
}

/**
 * Scales each part of a stored vector by its weight: the vector to search with.
 * @param vector [S], the query's own stored vector.
 * @param weights P weights, from `weightsAt`.
 */
export function queryVector(
  layout: VectorLayout,
  vector: Float32Array,
  weights: readonly number[],
): Float32Array {
  checkVector(layout, vector, weights);
  const query = new Float32Array(layout.size);
  layout.parts.forEach(({ offset, size }, part) => {
    const weight = weights[part] ?? 0;
    for (let i = offset; i < offset + size; i++) query[i] = weight * (vector[i] ?? 0);
  });
  return query;
}

/**
 * Vectors whose dot products are the scores of a search: each part of a stored vector times the root of its weight. With
 * them a granularity is judged as any embedding is.
 * @param stored [N, S], from `storedVectors`.
 * @param weights P weights, from `weightsAt`.
 * @returns [N, S]
 */
export function searchVectors(
  layout: VectorLayout,
  stored: Float32Array,
  weights: readonly number[],
): Float32Array {
  checkVector(layout, stored.subarray(0, layout.size), weights);
  const vectors = new Float32Array(stored.length);
  layout.parts.forEach(({ offset, size }, part) => {
    const root = Math.sqrt(weights[part] ?? 0);
    for (let start = offset; start < stored.length; start += layout.size)
      for (let i = start; i < start + size; i++) vectors[i] = root * stored[i]!;
  });
  return vectors;
}

/**
 * How a score came about: each part's weighted share of the dot product. The shares add up to the score.
 * @param query [S], from `queryVector`.
 * @param stored [S], of the hit.
 */
export function partScores(
  layout: VectorLayout,
  query: Float32Array,
  stored: Float32Array,
): Record<string, number> {
  checkVector(layout, stored);
  return Object.fromEntries(
    layout.parts.map(({ name, offset, size }) => {
      let sum = 0;
      for (let i = offset; i < offset + size; i++) sum += (query[i] ?? 0) * (stored[i] ?? 0);
      return [name, sum];
    }),
  );
}

/**
 * The weights used before any are fitted: the finest level searches by the embedding alone; a coarser one gives
 * half to the embedding and shares the rest between the attribute vector and its own block.
 * @returns [L][P].
 */
export function defaultLevelWeights(schema: Schema, layout: VectorLayout): number[][] {
  return schema.levels.map((level) =>
    layout.parts.map(({ name }) => {
      if (level === ITEM_LEVEL) return name === 'embedding' ? 1 : 0;
      if (name === 'embedding') return 0.5;
      return name === 'attributes' || name === `level:${level}` ? 0.25 : 0;
    }),
  );
}

// --- internal ---

function levelBlock(schema: Schema, level: string): { offset: number; size: number } {
  const block = attributeBlocks(schema).find(({ name }) => name === level);
  if (block === undefined)
    throw new DataError(`schema: level '${level}' must be an attribute, got no such attribute`);
  return block;
}

function toUnitLength(part: Float32Array): void {
  let sum = 0;
  for (const x of part) sum += x * x;
  if (!Number.isFinite(sum))
    throw new DataError('storedVectors: every output of the model must be finite, got NaN or infinity');
  if (sum === 0) return;
  const scale = 1 / Math.sqrt(sum);
  for (let i = 0; i < part.length; i++) part[i] = (part[i] ?? 0) * scale;
}

function toSumOne(weights: readonly number[]): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (!(sum > 0) || !Number.isFinite(sum) || weights.some((weight) => weight < 0))
    throw new DataError(
      `weights: must be finite, not negative and not all zero, got ${JSON.stringify(weights)}`,
    );
  return weights.map((weight) => weight / sum);
}

function checkVector(layout: VectorLayout, vector: Float32Array, weights?: readonly number[]): void {
  if (vector.length !== layout.size)
    throw new DataError(`vector: must have ${layout.size} numbers as the layout says, got ${vector.length}`);
  if (weights !== undefined && weights.length !== layout.parts.length)
    throw new DataError(
      `weights: there must be one a part (${layout.parts.map(({ name }) => name).join(', ')}), got ${weights.length}`,
    );
}
