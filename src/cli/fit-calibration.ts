/**
 * Fits a model's calibration on labelled pictures, as a rule those of validation: what score at each level means what
 * probability. The queries are pictures of the split, each against all the others; where pictures have sources, a pair
 * is of two (as everywhere that pictures are judged).
 */
import {
  type Calibration,
  defaultLevelWeights,
  fitCalibration,
  type LabelledVectors,
  type Schema,
  storedVectors,
  vectorLayout,
} from '../granularity/index.js';
import { Random, type StartProgress, silentProgress } from '../util/index.js';
import { type EmbeddedRows, retrievalLabels } from './judging.js';

/** Of a bundle's card: what decides a score. */
export interface ScoredBy {
  readonly schema: Schema;
  readonly levelWeights?: readonly (readonly number[])[] | undefined;
}

/** Fits every level; of more pictures than a few thousand a fixed draw of them asks. */
export function calibrateRows(
  embedded: EmbeddedRows,
  scoredBy: ScoredBy,
  progress: StartProgress = silentProgress,
): Calibration {
  const layout = vectorLayout(scoredBy.schema, embedded.dimension);
  const pictures = labelledVectors(embedded, scoredBy.schema);
  const queries = pictures.queries ?? [];
  const bar = progress('calibrating', queries.length);
  try {
    return fitCalibration(layout, weightsOf(scoredBy, embedded.dimension), pictures, {
      onQuery: (done) => bar.update(done),
    });
  } finally {
    bar.stop();
  }
}

/** Embedded rows as the calibration is fitted and judged on. */
export function labelledVectors(
  embedded: EmbeddedRows,
  schema: Schema,
): LabelledVectors & { readonly queries: readonly number[] } {
  const { rows, dimension } = embedded;
  const { levels, source, sourceGroup } = retrievalLabels(rows, schema);
  const most = Math.max(LEAST_QUERIES, Math.floor(MOST_PAIRS / rows.length));
  const order = rows.map((_, row) => row);
  const queries =
    rows.length <= most
      ? order
      : Random.from(QUERY_SEED)
          .shuffled(order)
          .slice(0, most)
          .sort((a, b) => a - b);
  return {
    stored: storedVectors(schema, dimension, embedded),
    labels: schema.levels.map((level) => levels[level] as readonly string[]),
    groups: rows.map((_, row) => sourceGroup?.[row] ?? source?.[row]),
    queries,
  };
}

/** The weights of each level's own search [L][P]. */
export function weightsOf(
  { schema, levelWeights }: ScoredBy,
  dimension: number,
): readonly (readonly number[])[] {
  return levelWeights ?? defaultLevelWeights(schema, vectorLayout(schema, dimension));
}

// --- internal ---

/** Pairs that are looked at: some seconds. */
const MOST_PAIRS = 10_000_000;
const LEAST_QUERIES = 250;
/** The draw is the same for every model, so that two calibrations of one split compare. */
const QUERY_SEED = 31;
