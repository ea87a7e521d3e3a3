/**
 * What a search looks for: examples, for and against, become one stored vector; weights and edits make it the vector
 * whose dot products are the scores.
 *
 * Letters: S size of a stored vector, A attribute values, K attributes. Several examples are combined as Rocchio did
 * (1971): in each part the mean of those for, less half the mean of those against, scaled back to unit length.
 */
import type { Embedder, PictureSource } from '../bundle/index.js';
import {
  attributeBlocks,
  queryVector,
  type Schema,
  storedVectors,
  type VectorLayout,
  type VectorPart,
} from '../granularity/index.js';
import { DataError } from '../util/index.js';
import { removeDirections } from './attribute-directions.js';
import type { CatalogDescription } from './catalog.js';
import type { VectorStore } from './store.js';

/** One example of what is sought: a picture, a record of the catalogue, or a stored vector [S]. */
export type Example = (
  | { readonly picture: PictureSource }
  | { readonly id: string }
  | { readonly vector: Float32Array }
) & {
  /** 1: more like this, the default; -1: less like this. */
  readonly weight?: 1 | -1;
};

/** Asks for a value of an attribute, against it, or for any value, whatever the examples show. */
export type Edit =
  | { readonly attribute: string; readonly value: string; readonly want: boolean }
  | { readonly attribute: string; readonly any: true };

/** What the model says of a picture's attribute. */
export interface AttributePrediction {
  readonly name: string;
  readonly kind: 'single' | 'multi';
  /** The likeliest first; probabilities from 0 to 1. */
  readonly values: readonly { readonly value: string; readonly probability: number }[];
}

/** A record that a request names is not there. */
export class UnknownPictureError extends DataError {
  readonly id: string;

  constructor(id: string) {
    super(`the catalogue has no picture '${id}'. Correct the id, or index the picture`);
    this.id = id;
  }
}

/**
 * How much an edit can add to a score, or take from it: a hit that certainly has the value gets all of it. At 1 what has
 * the value comes before what has not, and likeness orders each.
 */
export const EDIT_STRENGTH = 1;
/** How much those against count beside those for. */
export const NEGATIVE_SHARE = 0.5;
/** Values that `predictedAttributes` gives of an attribute. */
export const PREDICTED_VALUES = 5;

/** An example, looked at: its stored vector and, of a picture, what the model predicts. */
export interface ResolvedExample {
  /** [S] */
  readonly vector: Float32Array;
  readonly weight: 1 | -1;
  /** Of a record of the catalogue. */
  readonly id?: string;
  /** [A]; of a picture only: a stored vector does not tell the probabilities of a multi attribute. */
  readonly probabilities?: Float32Array;
}

/**
 * Embeds pictures, fetches records, checks vectors.
 * @throws DataError on an unreadable picture or a vector of another size; UnknownPictureError.
 */
export async function resolveExamples(
  examples: readonly Example[],
  from: {
    readonly description: CatalogDescription;
    readonly layout: VectorLayout;
    readonly store: VectorStore;
    readonly embedder: Pick<Embedder, 'embedOne'>;
  },
): Promise<ResolvedExample[]> {
  const { description, layout, store, embedder } = from;
  if (!examples.some(({ weight = 1 }) => weight === 1))
    throw new DataError('search: there must be an example to search for, got none, or only ones against');
  const ids = examples.flatMap((example) => ('id' in example ? [example.id] : []));
  const records = new Map((await store.get(ids)).map((record, n) => [ids[n] as string, record]));
  const resolved: ResolvedExample[] = [];
  for (const example of examples) {
    const { weight = 1 } = example;
    if ('id' in example) {
      const vector = records.get(example.id)?.vector;
      if (vector === undefined) throw new UnknownPictureError(example.id);
      resolved.push({ vector, weight, id: example.id });
    } else if ('vector' in example) {
      checkStoredVector(layout, example.vector);
      resolved.push({ vector: example.vector, weight });
    } else {
      const { embedding, attributes } = await embedder.embedOne(example.picture);
      const outputs = { embeddings: embedding, attributes };
      const vector = storedVectors(description.schema, description.dimension, outputs);
      resolved.push({ vector, weight, probabilities: attributes });
    }
  }
  return resolved;
}

/**
 * Combines examples to one stored vector; of a single one the result is that one.
 * @returns [S], each part of unit length, or zero where the examples say nothing.
 */
export function combineExamples(
  layout: VectorLayout,
  examples: readonly Pick<ResolvedExample, 'vector' | 'weight'>[],
): Float32Array {
  const [first] = examples;
  if (first !== undefined && examples.length === 1 && first.weight === 1) return first.vector;
  const positives = examples.filter(({ weight }) => weight === 1).length;
  const negatives = examples.length - positives;
  const combined = new Float32Array(layout.size);
  for (const { vector, weight } of examples) {
    const share = weight === 1 ? 1 / positives : -NEGATIVE_SHARE / negatives;
    for (let i = 0; i < combined.length; i++) combined[i]! += share * (vector[i] ?? 0);
  }
  for (const part of layout.parts) scaleToUnitLength(slice(combined, part));
  return combined;
}

/**
 * The vector to search with.
 * @param vector [S], from `combineExamples`.
 * @param weights P weights, from `weightsAt`.
 * @param edits each adds `EDIT_STRENGTH` times the hit's own share of the value (from 0 to 1: the element of its
 *   attribute block, of unit length) to the score, or takes it away; what the examples say of a value that is asked
 *   against, or of a `single` attribute that is asked for, no longer counts in the attribute and level parts. `any`
 *   silences the attribute in them.
 * @param directions of an attribute in the embedding, from `attributeDirections`: taken out of the query's embedding for
 *   each attribute that `silencedAttributes` names.
 * @returns [S]
 * @throws DataError when an edit names what the model has not learnt.
 */
export function editedQueryVector(
  schema: Schema,
  layout: VectorLayout,
  vector: Float32Array,
  weights: readonly number[],
  edits: readonly Edit[] = [],
  directions: ReadonlyMap<string, readonly Float32Array[]> = new Map(),
): Float32Array {
  const query = queryVector(layout, vector, weights);
  const embedding = layout.parts.find(({ name }) => name === 'embedding');
  const part = layout.parts.find(({ name }) => name === 'attributes');
  if (part === undefined || edits.length === 0) return query;
  const own = slice(query, part);
  const blocks = new Map(attributeBlocks(schema).map((block) => [block.name, block]));
  // A hit's blocks have length 1 / √K each: this makes a block's share of the score run to 1.
  const strength = EDIT_STRENGTH * Math.sqrt(schema.attributes.length);
  for (const edit of edits) checkEdit(schema, edit);
  for (const attribute of silencedAttributes(schema, edits)) {
    const block = blocks.get(attribute);
    if (block !== undefined) own.fill(0, block.offset, block.offset + block.size);
    const level = layout.parts.find(({ name }) => name === `level:${attribute}`);
    if (level !== undefined) slice(query, level).fill(0);
    if (embedding !== undefined) removeDirections(slice(query, embedding), directions.get(attribute) ?? []);
  }
  for (const edit of edits) {
    if ('any' in edit) continue;
    const block = blocks.get(edit.attribute);
    const attribute = schema.attributes.find(({ name }) => name === edit.attribute);
    if (block === undefined || attribute === undefined) continue;
    const element = attribute.values.indexOf(edit.value);
    const index = block.offset + element;
    own[index] = edit.want ? (own[index] ?? 0) + strength : -strength;
    const level = layout.parts.find(({ name }) => name === `level:${edit.attribute}`);
    if (level !== undefined && !edit.want) slice(query, level)[element] = 0;
  }
  return query;
}

/** The attributes of which the examples no longer count: `any`, and a `single` one that a value is asked of. */
export function silencedAttributes(schema: Schema, edits: readonly Edit[]): string[] {
  const isSingle = (name: string) =>
    schema.attributes.some((attribute) => attribute.name === name && attribute.kind === 'single');
  const silencing = edits.filter((edit) => 'any' in edit || (edit.want && isSingle(edit.attribute)));
  return [...new Set(silencing.map(({ attribute }) => attribute))];
}

/**
 * The likeliest values of each attribute.
 * @param probabilities [A], of the model.
 * @param most values of an attribute. Default 5.
 */
export function predictedAttributes(
  schema: Schema,
  probabilities: Float32Array,
  most = PREDICTED_VALUES,
): AttributePrediction[] {
  return attributeBlocks(schema).map(({ name, kind, offset, size }, n) => {
    const { values } = schema.attributes[n] as Schema['attributes'][number];
    const ranked = Array.from(probabilities.subarray(offset, offset + size), (probability, v) => ({
      value: values[v] as string,
      probability,
    })).sort((a, b) => b.probability - a.probability);
    return { name, kind, values: ranked.slice(0, most) };
  });
}

// --- internal ---

function checkEdit(schema: Schema, edit: Edit): void {
  const attribute = schema.attributes.find(({ name }) => name === edit.attribute);
  if (attribute === undefined)
    throw new DataError(
      `edits: the model has not learnt '${edit.attribute}'. It knows ${schema.attributes.map(({ name }) => name).join(', ') || 'no attributes'}; a filter takes every column`,
    );
  if (!('any' in edit) && !attribute.values.includes(edit.value))
    throw new DataError(
      `edits: '${edit.attribute}' must be one of its ${attribute.values.length} values ` +
        `(${attribute.values.slice(0, 8).join(', ')}${attribute.values.length > 8 ? ', …' : ''}), got '${edit.value}'`,
    );
}

function checkStoredVector(layout: VectorLayout, vector: Float32Array): void {
  if (vector.length !== layout.size)
    throw new DataError(
      `search: a vector must have ${layout.size} numbers, got ${vector.length}. It is of another model: search by the picture again`,
    );
  for (const part of layout.parts) {
    let sum = 0;
    for (const x of slice(vector, part)) sum += x * x;
    if (!(sum < 1.01))
      throw new DataError(
        `search: a vector's parts must be of unit length, got ${part.name} of ${Math.sqrt(sum)}`,
      );
  }
}

function slice(vector: Float32Array, { offset, size }: VectorPart): Float32Array {
  return vector.subarray(offset, offset + size);
}

function scaleToUnitLength(part: Float32Array): void {
  let sum = 0;
  for (const x of part) sum += x * x;
  if (sum === 0) return;
  const scale = 1 / Math.sqrt(sum);
  for (let i = 0; i < part.length; i++) part[i]! *= scale;
}
