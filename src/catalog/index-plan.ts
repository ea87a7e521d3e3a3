/**
 * How a store finds the nearest: exactly, or by an index that was built for it. `semblance catalog tune` measures which
 * is worth its while on a catalogue.
 */
import { z } from 'zod';

/** Whole numbers from 1. */
const positive = z.int().min(1);

/** A plan as it stands in JSON. */
export const indexPlanFormat = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exact') }),
  z.strictObject({ kind: z.literal('ivf-flat'), partitions: positive, probes: positive }),
  z.strictObject({ kind: z.literal('hnsw-sq'), ef: positive }),
]);

/**
 * - `exact`: every vector counts; nothing to build. In memory where they fit.
 * - `ivf-flat`: vectors lie in `partitions` (≤ the number of records), of which the `probes` nearest to the query are
 *   read, and more where a filter leaves too few hits. More probes find more and take longer; all of them are exact.
 * - `hnsw-sq`: a graph over vectors of one byte a number, followed with a list of `ef` candidates (at least k; some
 *   hundreds), from which the nearest are taken by their whole vectors.
 */
export type IndexPlan = z.infer<typeof indexPlanFormat>;

/** What is indexed, and what is searched beside it. */
export interface IndexState {
  readonly plan: IndexPlan;
  /** Records in the index; 0 where the plan is exact. */
  readonly indexed: number;
  /** Records that are not in it yet: searched one by one, so they are found all the same. `flush` indexes them. */
  readonly unindexed: number;
  /** Bytes of the index on disk. */
  readonly bytes: number;
}
