/**
 * Judges a model's calibration on a split: are hits that are said to be the same item with 90 % so nine times of ten?
 * The split is taken for a catalogue, with its own rates; each picture that may ask searches it at each level by the
 * level's own weights, and hits of its own source do not count.
 */
import { type Reliability, ReliabilityCounter } from '../evaluation/index.js';
import {
  agreementRates,
  type Calibration,
  pairedRows,
  probabilitiesOfScores,
  scoreRows,
  vectorLayout,
} from '../granularity/index.js';
import { type StartProgress, silentProgress } from '../util/index.js';
import { labelledVectors, type ScoredBy, weightsOf } from './fit-calibration.js';
import type { EmbeddedRows } from './judging.js';

/** Of one level. */
export interface LevelCalibrationFigures {
  /** How often two pictures agree. */
  readonly rate: number | null;
  /** Each query's ten best hits, all alike. */
  readonly bestTen: Reliability;
  /** All hits, each by 1 / its rank, as in the fit. */
  readonly byRank: Reliability;
  /** What a cut-off leaves, over all queries. */
  readonly cutOffs: readonly CutOffFigures[];
}

export interface CutOffFigures {
  /** Hits of at least this probability. */
  readonly probability: number;
  readonly hits: number;
  /** Share that agrees; null without a hit. */
  readonly precision: number | null;
  /** Of all that agree, the share that is left. */
  readonly recall: number;
}

/** By level; a level that is not calibrated, or at which nothing can be found, is missing. */
export type HitCalibration = Readonly<Record<string, LevelCalibrationFigures>>;

/** @returns `undefined` where the model is not calibrated */
export function judgeCalibration(
  embedded: EmbeddedRows,
  card: ScoredBy & { readonly calibration?: Calibration | undefined },
  progress: StartProgress = silentProgress,
): HitCalibration | undefined {
  const { calibration, schema } = card;
  if (calibration === undefined) return undefined;
  const layout = vectorLayout(schema, embedded.dimension);
  const weights = weightsOf(card, embedded.dimension);
  const pictures = labelledVectors(embedded, schema);
  const isGallery = embedded.rows.map(({ split }) => split !== 'query');
  const queries = pictures.queries.filter((row) => embedded.rows[row]?.split !== 'gallery');
  const inGallery = <T>(values: readonly T[]) => values.filter((_, row) => isGallery[row]);
  const rates = agreementRates({
    labels: pictures.labels.map(inGallery),
    groups: inGallery(pictures.groups ?? []),
  });
  const counts = schema.levels.map(() => new LevelCounts());
  const bar = progress('judging the calibration', queries.length);
  let done = 0;
  try {
    for (const { query, scores } of scoreRows(layout, weights, { ...pictures, queries })) {
      const said = Array.from(isGallery, (_, row) =>
        probabilitiesOfScores(
          calibration,
          scores.map((own) => own[row] as number),
          { rates },
        ),
      );
      counts.forEach((count, level) => {
        const { rows, agrees } = pairedRows(pictures, level, query);
        const own = scores[level] as Float32Array;
        const hits = rows.flatMap((row, place) =>
          isGallery[row]
            ? [{ score: own[row]!, probability: said[row]![level]!, agrees: agrees[place]! }]
            : [],
        );
        count.addQuery(hits.sort((a, b) => b.score - a.score));
      });
      bar.update(++done);
    }
  } finally {
    bar.stop();
  }
  return Object.fromEntries(
    schema.levels.flatMap((name, level) => {
      const figures = calibration.levels[level] === null ? undefined : counts[level]?.figures();
      return figures === undefined ? [] : [[name, { rate: rates[level] ?? null, ...figures }]];
    }),
  );
}

// --- internal ---

const CUT_OFFS = [0.5, 0.8, 0.9, 0.95];
const BEST = 10;

/** What is counted at one level. */
class LevelCounts {
  readonly #best = new ReliabilityCounter();
  readonly #byRank = new ReliabilityCounter();
  readonly #cutOffs = CUT_OFFS.map((probability) => ({ probability, hits: 0, agreeing: 0 }));
  #agreeing = 0;

  /** @param hits of a query, best first */
  addQuery(hits: readonly { readonly probability: number; readonly agrees: boolean }[]): void {
    hits.forEach(({ probability, agrees }, index) => {
      if (index < BEST) this.#best.add(probability, agrees);
      this.#byRank.add(probability, agrees, 1 / (index + 1));
      if (agrees) this.#agreeing++;
      for (const cutOff of this.#cutOffs) {
        if (probability < cutOff.probability) break;
        cutOff.hits++;
        if (agrees) cutOff.agreeing++;
      }
    });
  }

  figures(): Omit<LevelCalibrationFigures, 'rate'> | undefined {
    const [bestTen, byRank] = [this.#best.result(), this.#byRank.result()];
    if (bestTen === undefined || byRank === undefined || this.#agreeing === 0) return undefined;
    return {
      bestTen,
      byRank,
      cutOffs: this.#cutOffs.map(({ probability, hits, agreeing }) => ({
        probability,
        hits,
        precision: hits === 0 ? null : agreeing / hits,
        recall: agreeing / this.#agreeing,
      })),
    };
  }
}
