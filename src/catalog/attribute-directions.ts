/**
 * Where an attribute shows in the embedding: the directions in which the mean embeddings of its values differ most, found in
 * the catalogue's own vectors. A query without them no longer cares for the attribute ("any colour"), and one dot
 * product is still all that a search takes.
 *
 * Letters: D embedding size, V values of the attribute, R directions. With M [V, D] the values' mean embeddings less
 * the mean of all, each row times the root of the value's share, the directions are M's first R right singular
 * vectors. A value's mean weights each picture by what the model says of it, so that labels are not needed.
 */
import { Matrix, SVD } from 'ml-matrix';
import { attributeBlocks } from '../granularity/index.js';
import type { Catalog } from './catalog.js';
import type { VectorStore } from './store.js';

/** R at most: more takes out what makes the item as well. Measured in docs/log.md. */
export const MOST_DIRECTIONS = 8;
/** Pictures that the directions are found in, at most. */
export const SAMPLE_SIZE = 4000;

/**
 * The directions of an attribute of the schema, kept for as long as the catalogue is open.
 * @returns at most `MOST_DIRECTIONS` orthonormal vectors [D]; none where the catalogue is too small to tell.
 */
export async function attributeDirections(
  catalog: Pick<Catalog, 'description' | 'store'>,
  attribute: string,
): Promise<readonly Float32Array[]> {
  const { store } = catalog;
  const count = await store.count();
  const kept = directionsOf.get(store)?.get(attribute);
  // A sample of half of what there is by then is still a fair one.
  if (kept !== undefined && (kept.sampled >= SAMPLE_SIZE || count <= 2 * kept.sampled))
    return kept.directions;
  const sample = await sampleVectors(store, count);
  const directions = findDirections(catalog, attribute, sample);
  const byAttribute = directionsOf.get(store) ?? new Map<string, Kept>();
  directionsOf.set(store, byAttribute.set(attribute, { directions, sampled: sample.length }));
  return directions;
}

/** Takes directions out of an embedding, in place; its length becomes less than one where they mattered. */
export function removeDirections(embedding: Float32Array, directions: readonly Float32Array[]): void {
  for (const direction of directions) {
    let along = 0;
    for (let i = 0; i < embedding.length; i++) along += embedding[i]! * direction[i]!;
    for (let i = 0; i < embedding.length; i++) embedding[i]! -= along * direction[i]!;
  }
}

// --- internal ---

interface Kept {
  readonly directions: readonly Float32Array[];
  readonly sampled: number;
}

const directionsOf = new WeakMap<VectorStore, Map<string, Kept>>();

/** Values beyond the most frequent ones say little of where an attribute shows, and the decomposition is cubic. */
const MOST_VALUES = 128;
/** A direction that explains less than this of the strongest one's spread is noise. */
const LEAST_SPREAD = 0.05;

/** Pictures at even distances, in the order of their ids. */
async function sampleVectors(store: VectorStore, count: number): Promise<Float32Array[]> {
  const vectors: Float32Array[] = [];
  if (count <= SAMPLE_SIZE) {
    for await (const batch of store.scan({ columns: [] })) vectors.push(...batch.map(({ vector }) => vector));
    return vectors;
  }
  const ids: string[] = [];
  let position = 0;
  const step = count / SAMPLE_SIZE;
  for await (const batch of store.scan({ columns: [], vectors: false, batchSize: 10_000 }))
    for (const { id } of batch) if (position++ >= ids.length * step && ids.length < SAMPLE_SIZE) ids.push(id);
  return (await store.get(ids)).flatMap((record) => record?.vector ?? []);
}

function findDirections(
  { description }: Pick<Catalog, 'description'>,
  attribute: string,
  sample: readonly Float32Array[],
): Float32Array[] {
  const { schema, dimension } = description;
  const block = attributeBlocks(schema).find(({ name }) => name === attribute);
  if (block === undefined || sample.length < 2) return [];
  const start = dimension + block.offset;
  const mean = new Float64Array(dimension);
  const sums = Array.from({ length: block.size }, () => new Float64Array(dimension));
  const shares = new Float64Array(block.size);
  for (const vector of sample) {
    for (let i = 0; i < dimension; i++) mean[i]! += vector[i]! / sample.length;
    let total = 0;
    for (let v = 0; v < block.size; v++) total += vector[start + v]!;
    if (!(total > 0)) continue;
    for (let v = 0; v < block.size; v++) {
      const weight = vector[start + v]! / total;
      shares[v]! += weight / sample.length;
      const sum = sums[v]!;
      for (let i = 0; i < dimension; i++) sum[i]! += (weight * vector[i]!) / sample.length;
    }
  }
  const values = [...shares.keys()]
    .filter((v) => shares[v]! > 0)
    .sort((a, b) => shares[b]! - shares[a]!)
    .slice(0, MOST_VALUES);
  if (values.length < 2) return [];
  const rows = values.map((v) => {
    const root = Math.sqrt(shares[v]!);
    return Array.from(sums[v]!, (sum, i) => sum / root - root * mean[i]!);
  });
  const { diagonal, rightSingularVectors } = new SVD(new Matrix(rows), {
    computeLeftSingularVectors: false,
    autoTranspose: true,
  });
  const most = Math.min(MOST_DIRECTIONS, values.length - 1, dimension);
  const strongest = diagonal[0] ?? 0;
  return diagonal
    .slice(0, most)
    .flatMap((spread, r) =>
      strongest > 0 && spread > LEAST_SPREAD * strongest
        ? [Float32Array.from(rightSingularVectors.getColumn(r))]
        : [],
    );
}
