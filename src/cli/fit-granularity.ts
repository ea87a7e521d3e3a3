/**
 * Fits the weights of query-time granularity on the validation pictures: at each level the blend of the stored vector's
 * parts with the largest MAP@R, where R is at most ten. (A coarse level has hundreds of relevant pictures; judged to that
 * depth the fit gives up the first page, which is all that people see, for a slightly better tail.)
 */
import {
  defaultLevelWeights,
  fitLevelWeights,
  type Schema,
  storedVectors,
  vectorLayout,
} from '../granularity/index.js';
import type { Random } from '../util/index.js';
import { type EmbeddedRows, retrievalLabels } from './judging.js';

/** The first page. */
const DEEPEST_RANK = 10;
/** More queries than this would only make the fit slower. */
const MOST_QUERIES = 250;

/**
 * @returns weights [L][parts], as a bundle keeps them
 */
export function fitGranularity(embedded: EmbeddedRows, schema: Schema, random: Random): number[][] {
  const { rows, embeddings, attributes, dimension } = embedded;
  const layout = vectorLayout(schema, dimension);
  const gallery = storedVectors(schema, dimension, { embeddings, attributes });
  const queryRows = random.shuffled(rows.map((_, index) => index)).slice(0, MOST_QUERIES);
  const queries = new Float32Array(queryRows.length * layout.size);
  queryRows.forEach((row, i) => {
    queries.set(gallery.subarray(row * layout.size, (row + 1) * layout.size), i * layout.size);
  });
  const { levels, source, sourceGroup } = retrievalLabels(rows, schema);
  const groups = rows.map((_, row) => sourceGroup?.[row] ?? source?.[row]);
  const labels = schema.levels.map((level) => levels[level] as readonly string[]);
  const isJudged = labels.map(() => false);
  const score = (similarities: Float32Array, level: number) => {
    let sum = 0;
    let judged = 0;
    queryRows.forEach((query, i) => {
      const value = mapAtR(
        similarities.subarray(i * rows.length, (i + 1) * rows.length),
        query,
        labels[level] as readonly string[],
        groups,
      );
      if (value === undefined) return;
      sum += value;
      judged++;
      isJudged[level] = true;
    });
    return judged === 0 ? 0 : sum / judged;
  };
  const { weights } = fitLevelWeights(layout, { queries, gallery }, score, { levels: schema.levels.length });
  // A level at which no query has anything to find says nothing about weights.
  const defaults = defaultLevelWeights(schema, layout);
  return weights.map((fitted, level) => (isJudged[level] ? fitted : (defaults[level] ?? fitted)));
}

// --- internal ---

/** MAP@R, R at most `DEEPEST_RANK`, of one query from its row of similarities; `undefined` when nothing is relevant. */
function mapAtR(
  similarities: Float32Array,
  query: number,
  labels: readonly string[],
  groups: readonly (string | undefined)[],
): number | undefined {
  const label = labels[query];
  if (label === undefined || label === '') return undefined;
  const candidates: number[] = [];
  let relevant = 0;
  for (let row = 0; row < labels.length; row++) {
    const isOwn = row === query || (groups[row] !== undefined && groups[row] === groups[query]);
    if (isOwn) continue;
    candidates.push(row);
    if (labels[row] === label) relevant++;
  }
  if (relevant === 0) return undefined;
  candidates.sort((a, b) => (similarities[b] as number) - (similarities[a] as number) || a - b);
  const depth = Math.min(relevant, DEEPEST_RANK);
  let found = 0;
  let precision = 0;
  for (let rank = 1; rank <= depth; rank++) {
    if (labels[candidates[rank - 1] as number] !== label) continue;
    found++;
    precision += found / rank;
  }
  return precision / depth;
}
