/**
 * Blocks of the similarity matrix: dot products of some queries with the whole gallery. The plain loop is the default
 * and the reference; a caller that has a faster matrix product (onnxruntime's `MatMul`) hands it in, because this
 * room imports no runtime. Letters: Q queries in a block, G gallery rows, D embedding size.
 */

/** Rows of numbers; float32 is what models give, float64 what a normalisation may keep. */
export type Embeddings = Float32Array | Float64Array;

/**
 * Computes `queries · galleryᵀ`.
 * @param queries [Q, D], row-major.
 * @param gallery [G, D], row-major; the same array in every call of one evaluation, so it can be uploaded once.
 * @returns [Q, G], row-major. It may be reused for the next call: the ranking reads and overwrites it before asking
 *   again.
 */
export type SimilarityBlock = (
  queries: Embeddings,
  gallery: Embeddings,
  dimension: number,
) => Float32Array | Float64Array | Promise<Float32Array | Float64Array>;

/**
 * The default `SimilarityBlock`: a loop over tiles of 2 queries × 4 gallery rows, about 2 · 10⁹ products a second on
 * one core. Every product is summed in float64 in the order of d, whichever tile it falls in: equal vectors get equal
 * similarities to the bit, which pessimistic ties rely on.
 */
export function dotProducts(queries: Embeddings, gallery: Embeddings, dimension: number): Float64Array {
  const Q = queries.length / dimension;
  const G = gallery.length / dimension;
  const D = dimension;
  const result = new Float64Array(Q * G);
  const evenQ = Q - (Q % 2);
  const tiledG = G - (G % 4);
  for (let j = 0; j < tiledG; j += 4) {
    for (let i = 0; i < evenQ; i += 2) tile(queries, gallery, i, j, D, result, G);
    if (evenQ < Q) for (let k = j; k < j + 4; k++) result[evenQ * G + k] = dot(queries, gallery, evenQ, k, D);
  }
  for (let j = tiledG; j < G; j++) {
    for (let i = 0; i < Q; i++) result[i * G + j] = dot(queries, gallery, i, j, D);
  }
  return result;
}

/** The rows `rows` of `embeddings` [N, D] as an array [rows, D] (the same array if that is all of them). */
export function gatherRows<E extends Embeddings>(embeddings: E, rows: Int32Array, dimension: number): E {
  const isAll = rows.length * dimension === embeddings.length && rows.every((row, place) => row === place);
  if (isAll) return embeddings;
  const Rows = embeddings.constructor as new (length: number) => E;
  const result = new Rows(rows.length * dimension);
  for (let place = 0; place < rows.length; place++) {
    const start = rows[place]! * dimension;
    result.set(embeddings.subarray(start, start + dimension), place * dimension);
  }
  return result;
}

// --- internal ---

function tile(
  queries: Embeddings,
  gallery: Embeddings,
  i: number,
  j: number,
  D: number,
  result: Float64Array,
  G: number,
): void {
  const x0 = i * D;
  const x1 = x0 + D;
  const y0 = j * D;
  const y1 = y0 + D;
  const y2 = y1 + D;
  const y3 = y2 + D;
  let a0 = 0;
  let a1 = 0;
  let a2 = 0;
  let a3 = 0;
  let b0 = 0;
  let b1 = 0;
  let b2 = 0;
  let b3 = 0;
  for (let d = 0; d < D; d++) {
    const p = queries[x0 + d]!;
    const q = queries[x1 + d]!;
    const r = gallery[y0 + d]!;
    const s = gallery[y1 + d]!;
    const t = gallery[y2 + d]!;
    const u = gallery[y3 + d]!;
    a0 += p * r;
    a1 += p * s;
    a2 += p * t;
    a3 += p * u;
    b0 += q * r;
    b1 += q * s;
    b2 += q * t;
    b3 += q * u;
  }
  const o = i * G + j;
  result[o] = a0;
  result[o + 1] = a1;
  result[o + 2] = a2;
  result[o + 3] = a3;
  result[o + G] = b0;
  result[o + G + 1] = b1;
  result[o + G + 2] = b2;
  result[o + G + 3] = b3;
}

function dot(queries: Embeddings, gallery: Embeddings, i: number, j: number, D: number): number {
  let sum = 0;
  for (let d = 0; d < D; d++) sum += queries[i * D + d]! * gallery[j * D + d]!;
  return sum;
}
