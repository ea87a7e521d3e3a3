/**
 * How sure hits are: the probabilities of a search's hits at the three levels that people ask about, from the catalogue's
 * calibration. They come from each level's own weights on what the examples show together, so neither the search's
 * granularity nor its edits change them.
 *
 * Letters: S size of a stored vector, L levels.
 */
import {
  cutOffScore,
  GRANULARITY_NAMES,
  type LevelName,
  levelIndex,
  probabilitiesOf,
  queryVector,
} from '../granularity/index.js';
import { DataError } from '../util/index.js';
import type { Catalog } from './catalog.js';
import type { CatalogCalibration } from './catalog-calibration.js';
import type { Filter } from './filter.js';
import type { StoredRecord } from './store.js';

/** That a hit and the query agree: item ≤ look ≤ category. A schema of fewer levels answers the coarser with its last. */
export type Probabilities = Readonly<Record<LevelName, number>>;

/** Asks for hits that agree at a level with at least this probability, from 0 to 1. */
export interface MinimumProbability {
  readonly level: LevelName;
  readonly probability: number;
}

/** From here on a hit counts as alike: it is more likely than not. */
export const LIKELY = 0.5;
/** How many pictures a minimum probability lets through at most at a level and each finer one; of more the likeliest. */
export const CUT_OFF_DEPTH = 10_000;

/** What the calibration says of one query. */
export class Certainty {
  readonly #catalog: Catalog;
  readonly #calibration: CatalogCalibration;
  /** [S] */
  readonly #vector: Float32Array;

  private constructor(catalog: Catalog, calibration: CatalogCalibration, vector: Float32Array) {
    this.#catalog = catalog;
    this.#calibration = calibration;
    this.#vector = vector;
  }

  /**
   * @param vector [S], of the examples together, neither weighted nor edited
   * @returns `undefined` where the catalogue has no calibration
   */
  static of(catalog: Catalog, vector: Float32Array): Certainty | undefined {
    const { calibration } = catalog.description;
    return calibration === undefined ? undefined : new Certainty(catalog, calibration, vector);
  }

  /** @param stored [S], of a hit */
  probabilities(stored: Float32Array): Probabilities {
    const { layout, description } = this.#catalog;
    const { levelWeights } = description;
    const { rates } = this.#calibration;
    const byLevel = probabilitiesOf(this.#calibration, layout, levelWeights, this.#vector, stored, { rates });
    const of = (name: LevelName) => byLevel[levelIndex(name, byLevel.length)] ?? 0;
    return { item: of('item'), look: of('look'), category: of('category') };
  }

  /**
   * The pictures that have a probability, whatever order a search asks for: for the level and each finer one (a hit that is
   * surely the same item is surely the same kind) those whose score by the level's own search reaches what it takes.
   * @returns without order, no picture twice; `undefined` when every picture has it
   */
  async likely(
    { level, probability }: MinimumProbability,
    filter: Filter,
  ): Promise<StoredRecord[] | undefined> {
    const levels = this.#catalog.description.levelWeights.length;
    const reaching = new Map<string, StoredRecord>();
    for (let index = levelIndex(level, levels); index >= 0; index--) {
      const rate = this.#calibration.rates[index];
      const least = cutOffScore(this.#calibration, index, probability - ROUNDING, rate) - ROUNDING;
      if (least === Number.NEGATIVE_INFINITY) return undefined;
      if (least === Number.POSITIVE_INFINITY) continue;
      for (const record of await this.#above(index, least, filter)) reaching.set(record.id, record);
    }
    return [...reaching.values()].filter(({ vector }) => this.probabilities(vector)[level] >= probability);
  }

  /** Whether any picture is more likely than not to agree at any level, those excluded apart. */
  async findsSimilar(filter: Filter, excluded: ReadonlySet<string>): Promise<boolean> {
    const { store, description } = this.#catalog;
    for (const index of description.levelWeights.keys()) {
      const hits = await store.search(this.#queryOf(index), { k: 1 + excluded.size, filter });
      if (hits.some(({ record }) => !excluded.has(record.id) && isLikely(this.probabilities(record.vector))))
        return true;
    }
    return false;
  }

  // --- internal ---

  async #above(level: number, least: number, filter: Filter): Promise<StoredRecord[]> {
    const query = this.#queryOf(level);
    for (let depth = FIRST_DEPTH; ; depth *= 4) {
      const k = Math.min(depth, CUT_OFF_DEPTH);
      const hits = await this.#catalog.store.search(query, { k, filter });
      const isAll = hits.length < k || (hits.at(-1)?.score ?? least) < least || k === CUT_OFF_DEPTH;
      if (isAll) return hits.filter(({ score }) => score >= least).map(({ record }) => record);
    }
  }

  /** [S] */
  #queryOf(level: number): Float32Array {
    const { layout, description } = this.#catalog;
    return queryVector(layout, this.#vector, description.levelWeights[level] ?? []);
  }
}

/** The finest level at which a hit is more likely than not to agree; null: none. */
export function likelyLevel(probabilities: Probabilities): LevelName | null {
  const names = Object.keys(GRANULARITY_NAMES) as LevelName[];
  return names.find((name) => probabilities[name] >= LIKELY) ?? null;
}

/** @throws DataError when the catalogue cannot say, or what is asked for is no probability of a level */
export function checkMinimumProbability(
  { description, directory }: Catalog,
  { level, probability }: MinimumProbability,
): void {
  const names = Object.keys(GRANULARITY_NAMES);
  if (!names.includes(level))
    throw new DataError(`search: minimumProbability: level must be ${names.join(', ')}, got '${level}'`);
  if (!(probability >= 0 && probability <= 1))
    throw new DataError(`search: minimumProbability: must be from 0 to 1, got ${probability}`);
  if (description.calibration === undefined)
    throw new DataError(
      'search: minimumProbability needs a calibrated catalogue, and this one is not. Run `semblance calibrate` with ' +
        'its model, then `semblance index` again (nothing is embedded again)',
      { file: directory },
    );
}

// --- internal ---

/** Room for single precision in a store's scores, and for a probability that is just that of a curve's flat end. */
const ROUNDING = 1e-6;
const FIRST_DEPTH = 256;

function isLikely({ category }: Probabilities): boolean {
  return category >= LIKELY;
}
