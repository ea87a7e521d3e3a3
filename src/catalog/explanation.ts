/**
 * Why a picture was found: its score taken apart, in numbers and in words.
 *
 * A score is a dot product of a weighted query with a stored vector, so it is a sum over the vector's elements, and the
 * elements of the attribute part and of the levels' parts are attribute values. A part of two unit vectors t and t′ gives
 * w·(t·t′) = w − w·½‖t − t′‖²: where a value's numbers differ, ½w(t_v − t′_v)² is missing from the most that the part can
 * give. So both what speaks for and what speaks against add up, to the score and to what it lacks.
 *
 * Letters: S size of a stored vector, P parts.
 */
import type { Explainer, HeatMaps, PictureSource } from '../bundle/index.js';
import { attributeBlocks, partScores, type Schema, type VectorLayout } from '../granularity/index.js';

/** What one value of one attribute did to a score, in the attribute part and in the part of its level together. */
export interface AttributeContribution {
  /** Of the attribute. */
  readonly name: string;
  readonly value: string;
  /** Its share of the score. */
  readonly contribution: number;
  /** What is missing from the score because query and hit differ in it; at least 0. */
  readonly missing: number;
  /**
   * How much of it the model sees in the query and in the hit: from 0 to 1, where the numbers of all of an attribute's
   * values are scaled to unit length.
   */
  readonly query: number;
  readonly hit: number;
}

export interface ScoreExplanation {
  /** The sum of `parts`. */
  readonly score: number;
  /** Each part's share: `embedding`, `attributes`, `level:<name>`. */
  readonly parts: Readonly<Record<string, number>>;
  /**
   * Every value that gives or lacks anything, and those that both show although they do not count at this granularity;
   * the largest contribution first. With the embedding's share their contributions add up to the score.
   */
  readonly attributes: readonly AttributeContribution[];
  /** The reasons, a line each, most important first. */
  readonly words: readonly string[];
}

export interface Explanation extends ScoreExplanation {
  readonly heatMaps?: HeatMaps;
}

/**
 * Takes a score apart.
 * @param options.query [S] with which was searched: scaled by the weights, perhaps edited
 * @param options.own [S] the query's stored vector before it was scaled: tells what it shows where a part weighs nothing.
 *   Default: what can be told from `query`
 * @param options.weights P weights, as the query was scaled by
 * @param options.stored [S] of the hit
 */
export function explainScore(options: {
  readonly schema: Schema;
  readonly layout: VectorLayout;
  readonly query: Float32Array;
  readonly own?: Float32Array | undefined;
  readonly weights: readonly number[];
  readonly stored: Float32Array;
}): ScoreExplanation {
  const { schema, layout, query, own: shown = query, weights, stored } = options;
  const parts = partScores(layout, query, stored);
  const score = Object.values(parts).reduce((sum, share) => sum + share, 0);
  const found = new Map<string, Mutable<AttributeContribution>>();
  const blocks = attributeBlocks(schema);
  layout.parts.forEach(({ name: partName, offset }, part) => {
    if (partName === 'embedding') return;
    const isWhole = partName === 'attributes';
    const weight = weights[part] ?? 0;
    blocks.forEach((block, index) => {
      if (!isWhole && partName !== `level:${block.name}`) return;
      const attribute = schema.attributes[index]!;
      const start = offset + (isWhole ? block.offset : 0);
      const asked = stretch(shown, start, block.size);
      const has = stretch(stored, start, block.size);
      attribute.values.forEach((value, v) => {
        const own = query[start + v]!;
        const other = stored[start + v]!;
        const key = JSON.stringify([attribute.name, value]);
        const entry = found.get(key) ?? {
          name: attribute.name,
          value,
          contribution: 0,
          missing: 0,
          query: asked[v]!,
          hit: has[v]!,
        };
        entry.contribution += own * other;
        if (weight > 0) entry.missing += 0.5 * weight * (own / weight - other) ** 2;
        found.set(key, entry);
      });
    });
  });
  const attributes = [...found.values()]
    .filter((entry) => entry.contribution !== 0 || entry.missing !== 0 || isShared(entry))
    .sort(
      (a, b) => b.contribution - a.contribution || b.query * b.hit - a.query * a.hit || b.missing - a.missing,
    );
  return { score, parts, attributes, words: inWords(parts, attributes) };
}

/**
 * Takes a score apart, and says where in both pictures the embedding's share comes from.
 * @param options.pictures of the query and of the hit; without them or an explainer there are no heat maps
 */
export async function explainHit(
  options: Parameters<typeof explainScore>[0] & {
    readonly explainer?: Explainer | undefined;
    readonly pictures?: { readonly query: PictureSource; readonly hit: PictureSource } | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Explanation> {
  const { explainer, pictures, signal } = options;
  const explained = explainScore(options);
  if (explainer === undefined || pictures === undefined) return explained;
  return { ...explained, heatMaps: await explainer.heatMaps(pictures.query, pictures.hit, { signal }) };
}

// --- internal ---

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A part below this is not worth a word. */
const WORTH_A_WORD = 0.005;
/** The product of a value's numbers in both pictures from which on both show it. */
const SHARED = 0.1;
/** Values in one line. */
const MOST_VALUES = 5;

const isShared = ({ query, hit }: AttributeContribution) => query * hit >= SHARED;

/** A block of a vector scaled to unit length; zero stays zero. */
function stretch(vector: Float32Array, start: number, size: number): number[] {
  const block = [...vector.subarray(start, start + size)];
  const length = Math.hypot(...block);
  return length === 0 ? block : block.map((value) => value / length);
}

function inWords(
  parts: Readonly<Record<string, number>>,
  attributes: readonly AttributeContribution[],
): string[] {
  const words: string[] = [];
  const embedding = parts.embedding ?? 0;
  if (Math.abs(embedding) >= WORTH_A_WORD)
    words.push(`appearance: ${embedding.toFixed(2)} from the embedding`);
  const line = (
    start: string,
    entries: readonly AttributeContribution[],
    amount: (entry: AttributeContribution) => number,
  ) => {
    const listed = entries
      .filter((entry) => Math.abs(amount(entry)) >= WORTH_A_WORD)
      .sort((a, b) => Math.abs(amount(b)) - Math.abs(amount(a)))
      .slice(0, MOST_VALUES)
      .map((entry) => `${entry.name} ${entry.value} (${signed(amount(entry))})`);
    if (listed.length > 0) words.push(`${start}: ${listed.join(', ')}`);
  };
  line('both', attributes, ({ contribution }) => contribution);
  if (attributes.every(({ contribution, missing }) => contribution === 0 && missing === 0)) {
    const shown = attributes.filter(isShared).slice(0, MOST_VALUES);
    const names = shown.map(({ name, value }) => `${name} ${value}`).join(', ');
    if (names !== '') words.push(`both show: ${names} (which does not count at this granularity)`);
  }
  line(
    'only the query',
    attributes.filter(({ query, hit }) => query > hit),
    ({ missing }) => -missing,
  );
  line(
    'only the picture found',
    attributes.filter(({ query, hit }) => hit > query),
    ({ missing }) => -missing,
  );
  return words;
}

const signed = (amount: number) => amount.toFixed(2).replace('-', '−');
