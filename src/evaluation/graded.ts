/**
 * Metrics that know more than right and wrong: gains from levels (H-AP, ASI, nDCG) and from attributes (nDCG,
 * Spearman), which is what a semantic-granularity embedding claims and Recall@1 cannot show. Gains come from the
 * ground truth; predicted attributes never judge. Ties are pessimistic: of equal similarities the lesser gain first.
 * Who asks and who answers is the ranking's business (`rankQueries`): the same gallery as MAP@R.
 */
import { ShapeError } from '../util/index.js';
import { type AttributeAgreement, type AttributeSet, attributeAgreement } from './attribute-agreement.js';
import { DescendingOrder } from './descending-order.js';
import {
  averageSetIntersection,
  correlationOfRanks,
  hierarchicalAp,
  meanRanks,
  ndcg,
  ndcgOfLevels,
} from './hierarchical.js';
import { encodeLabels, type Labels, type RankedQuery } from './ranking.js';

export interface GradedOptions {
  /** Labels [N] by level, fine to coarse. */
  levels: Readonly<Record<string, Labels>>;
  /** [N], the items whose other pictures do not judge attributes. Default: the finest level. */
  items?: Labels | undefined;
  /** [N]; with them the attribute metrics are computed. */
  attributes?: readonly AttributeSet[] | undefined;
  /** [N], attributes that are known although no value of them is in `attributes`. */
  knownAttributes?: readonly Readonly<Record<string, boolean>>[] | undefined;
}

/** Figures of single queries, in their order; NaN where a query is not judged. */
export interface GradedQueryMetrics {
  /** Where anything is relevant at any level, as the three that follow. */
  hap: Float64Array;
  asi: Float64Array;
  /** Gain `2^level − 1`, the whole ranking. */
  ndcg: Float64Array;
  /** The same of the first 10. */
  ndcgAt10: Float64Array;
  /**
   * With attributes, over pictures of other items whose attributes can be compared: nDCG@10 with their Jaccard
   * similarity as gain, where any gain is positive.
   */
  attributeNdcgAt10: Float64Array;
  /**
   * Spearman's rank correlation of similarity and gain, where gains differ; 0 where all similarities are equal, which
   * tell nothing apart.
   */
  attributeSpearman: Float64Array;
}

/** Means over the queries that are judged; 0 when there is none. */
export interface GradedSummary {
  hap: number;
  asi: number;
  ndcg: number;
  ndcgAt10: number;
  /** Queries that the four are over. */
  queries: number;
  /** Absent without attributes. */
  attributes?: {
    ndcgAt10: number;
    spearman: number;
    /** Queries that nDCG@10 is over. */
    queries: number;
    /** Queries that Spearman's correlation is over. */
    spearmanQueries: number;
  };
}

export interface GradedJudge {
  /** To be handed to `rankQueries`, which calls it once a query. */
  readonly visit: (query: RankedQuery) => void;
  readonly metrics: GradedQueryMetrics;
}

/**
 * Prepares graded judging of `queries` queries among N rows.
 * @throws ShapeError where lengths disagree.
 */
export function gradedJudge(rows: number, queries: number, options: GradedOptions): GradedJudge {
  const { attributes } = options;
  if (attributes !== undefined && attributes.length !== rows)
    throw new ShapeError(`gradedJudge: attributes must be of N = ${rows} rows, got ${attributes.length}.`);
  const finest = options.items ?? Object.values(options.levels)[0];
  const items = finest === undefined ? undefined : encodeLabels('gradedJudge: items', finest, rows);
  const blank = () => new Float64Array(queries).fill(Number.NaN);
  const metrics: GradedQueryMetrics = {
    hap: blank(),
    asi: blank(),
    ndcg: blank(),
    ndcgAt10: blank(),
    attributeNdcgAt10: blank(),
    attributeSpearman: blank(),
  };
  const comparison =
    attributes === undefined
      ? undefined
      : new AttributeComparison(attributeAgreement(attributes, options.knownAttributes), items, rows);
  return {
    metrics,
    visit(ranked) {
      const { place, relevant, levels, ranks } = ranked;
      if (relevant > 0) {
        metrics.hap[place] = hierarchicalAp(levels, ranks, relevant);
        metrics.asi[place] = averageSetIntersection(levels, ranks, relevant);
        metrics.ndcg[place] = ndcgOfLevels(levels, ranks, relevant);
        metrics.ndcgAt10[place] = ndcgOfLevels(levels, ranks, relevant, DEPTH);
      }
      if (comparison === undefined) return;
      const { ndcgAt10, spearman } = comparison.judge(ranked);
      metrics.attributeNdcgAt10[place] = ndcgAt10;
      metrics.attributeSpearman[place] = spearman;
    },
  };
}

/** Means of query metrics. @param hasAttributes whether attributes were judged */
export function summariseGraded(metrics: GradedQueryMetrics, hasAttributes: boolean): GradedSummary {
  const { hap, asi, ndcg, ndcgAt10, attributeNdcgAt10, attributeSpearman } = metrics;
  return {
    hap: meanOf(hap).mean,
    asi: meanOf(asi).mean,
    ndcg: meanOf(ndcg).mean,
    ndcgAt10: meanOf(ndcgAt10).mean,
    queries: meanOf(hap).count,
    ...(hasAttributes
      ? {
          attributes: {
            ndcgAt10: meanOf(attributeNdcgAt10).mean,
            spearman: meanOf(attributeSpearman).mean,
            queries: meanOf(attributeNdcgAt10).count,
            spearmanQueries: meanOf(attributeSpearman).count,
          },
        }
      : {}),
  };
}

// --- internal ---

/** k of nDCG@k. */
const DEPTH = 10;

/** The ranking of pictures of other items against their attributes. */
class AttributeComparison {
  readonly #agreement: AttributeAgreement;
  readonly #items: Int32Array | undefined;
  readonly #jaccard: Float64Array;
  readonly #bySimilarity: DescendingOrder;
  readonly #byGain: DescendingOrder;
  /** By place among the judged, which are in the order of the gallery. */
  readonly #gains: Float64Array;
  readonly #similarityRanks: Float64Array;
  readonly #gainRanks: Float64Array;

  constructor(agreement: AttributeAgreement, items: Int32Array | undefined, rows: number) {
    this.#agreement = agreement;
    this.#items = items;
    this.#jaccard = new Float64Array(rows);
    this.#bySimilarity = new DescendingOrder(rows);
    this.#byGain = new DescendingOrder(rows);
    this.#gains = new Float64Array(rows);
    this.#similarityRanks = new Float64Array(rows);
    this.#gainRanks = new Float64Array(rows);
  }

  judge(ranked: RankedQuery): { ndcgAt10: number; spearman: number } {
    const count = this.#gather(ranked);
    const alike = this.#bySimilarity;
    const gained = this.#byGain;
    const { values } = gained;
    alike.sort(count);
    alike.level(count, ranked.tieTolerance);
    gained.sort(count);
    return {
      ndcgAt10:
        count > 0 && values[0]! > 0
          ? ndcg(this.#firstGains(count), values.subarray(0, Math.min(DEPTH, count)))
          : Number.NaN,
      spearman: count > 0 && values[0] !== values[count - 1] ? this.#spearman(count) : Number.NaN,
    };
  }

  /** Whoever is of another item and has attributes to compare. @returns how many */
  #gather({ query, similarities, offset, galleryRows }: RankedQuery): number {
    const jaccard = this.#jaccard;
    const items = this.#items;
    const own = items?.[query] ?? -1;
    const alike = this.#bySimilarity;
    const gained = this.#byGain;
    const gains = this.#gains;
    this.#agreement.of(query, jaccard);
    let count = 0;
    for (let g = 0; g < galleryRows.length; g++) {
      const row = galleryRows[g]!;
      const similarity = similarities[offset + g]!;
      const gain = jaccard[row]!;
      if (similarity === -Infinity || Number.isNaN(gain) || (own >= 0 && items![row] === own)) continue;
      gains[count] = gain;
      gained.values[count] = gain;
      gained.payload[count] = count;
      alike.values[count] = similarity;
      alike.payload[count] = count;
      count++;
    }
    return count;
  }

  /** Of the ten most similar, of equal similarities the least gain first. */
  #firstGains(count: number): Float64Array {
    const { values, payload } = this.#bySimilarity;
    const first: number[] = [];
    for (let start = 0; start < count && first.length < DEPTH; ) {
      let end = start + 1;
      while (end < count && values[end] === values[start]) end++;
      const tied = Float64Array.from(payload.subarray(start, end), (place) => this.#gains[place]!);
      first.push(...tied.sort().subarray(0, DEPTH));
      start = end;
    }
    return Float64Array.from(first.slice(0, DEPTH));
  }

  #spearman(count: number): number {
    const { values, payload } = this.#bySimilarity;
    if (values[0] === values[count - 1]) return 0;
    meanRanks(values, payload, count, this.#similarityRanks);
    meanRanks(this.#byGain.values, this.#byGain.payload, count, this.#gainRanks);
    return correlationOfRanks(this.#similarityRanks, this.#gainRanks, count);
  }
}

function meanOf(values: Float64Array): { mean: number; count: number } {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += value;
    count++;
  }
  return { mean: count === 0 ? 0 : sum / count, count };
}
