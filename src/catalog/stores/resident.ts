/**
 * Records held in memory, to answer searches, counts and facets at once and exactly: vectors as one matrix that
 * onnxruntime multiplies with the queries, each column as one code a record.
 *
 * Searches are exact, at any weighting of the query and under any filter: onnxruntime's product in single precision
 * decides only what certainly is not among the k best; the rest is scored again in double precision.
 *
 * Letters: N slots (some may be free), S numbers a vector, Q queries that are answered together.
 */

import { byCodePoint } from '../../granularity/index.js';
import { buildGraph, type Graph, gather, input, matmul, transpose, type Value } from '../../graph/index.js';
import { floatTensor, Session, type Tensor, writeModel } from '../../onnx/index.js';
import type { Filter } from '../filter.js';
import { dotProduct, type FacetCount, type Hit, type StoredRecord } from '../store.js';
import { CodedColumn, passingSlots } from './coded-column.js';

/** One question to `ResidentRecords.search`. */
export interface ResidentQuery {
  /** [S] */
  readonly vector: Float32Array;
  /** From 1. */
  readonly k: number;
  readonly filter: Filter;
}

export class ResidentRecords {
  readonly dimension: number;
  readonly columns: readonly string[];
  readonly #coded: ReadonlyMap<string, CodedColumn>;
  readonly #ids: (string | undefined)[] = [];
  readonly #slots = new Map<string, number>();
  readonly #free: number[] = [];
  #vectors: Float32Array;
  /** No vector is longer. */
  #longest = 0;
  #sessions: Promise<Products> | undefined;
  #scores = new Float32Array();

  /** @param capacity records that there is room for before memory must be moved. */
  constructor(shape: { dimension: number; columns: readonly string[] }, capacity = 0) {
    this.dimension = shape.dimension;
    this.columns = shape.columns;
    this.#coded = new Map(shape.columns.map((column) => [column, new CodedColumn(capacity)]));
    this.#vectors = new Float32Array(capacity * shape.dimension);
  }

  /** How many records there are. */
  get size(): number {
    return this.#slots.size;
  }

  /**
   * Adds a record, or replaces the one of its id.
   * @param lists the values of each column, in the order of `columns`.
   * @returns its slot.
   */
  put(id: string, vector: ArrayLike<number>, lists: readonly (readonly string[])[]): number {
    this.remove(id);
    const slot = this.#free.pop() ?? this.#ids.length;
    if ((slot + 1) * this.dimension > this.#vectors.length) this.#grow(slot + 1);
    this.#ids[slot] = id;
    this.#slots.set(id, slot);
    this.#vectors.set(vector, slot * this.dimension);
    this.#longest = Math.max(this.#longest, norm(this.#vectorAt(slot)));
    let n = 0;
    for (const column of this.#coded.values()) column.set(slot, lists[n++] ?? []);
    return slot;
  }

  /** @returns whether it was there. */
  remove(id: string): boolean {
    const slot = this.#slots.get(id);
    if (slot === undefined) return false;
    this.#slots.delete(id);
    this.#ids[slot] = undefined;
    this.#free.push(slot);
    for (const column of this.#coded.values()) column.set(slot, []);
    return true;
  }

  /** The record's id, `undefined` where the slot is free. */
  idAt(slot: number): string | undefined {
    return this.#ids[slot];
  }

  slotOf(id: string): number | undefined {
    return this.#slots.get(id);
  }

  get(ids: readonly string[]): (StoredRecord | undefined)[] {
    return ids.map((id) => {
      const slot = this.#slots.get(id);
      return slot === undefined ? undefined : this.#recordAt(slot);
    });
  }

  count(filter: Filter): number {
    if (filter.length === 0) return this.size;
    let count = 0;
    const passes = this.#passing(filter);
    for (let slot = 0; slot < passes.length; slot++) count += passes[slot] as number;
    return count;
  }

  facets(columns: readonly string[], filter: Filter): Record<string, FacetCount[]> {
    const passes = this.#passing(filter);
    return Object.fromEntries(columns.map((name) => [name, this.#column(name).countValues(passes)]));
  }

  /**
   * Answers several queries with one product: vectors are read from memory once for all. Nothing may be put or
   * removed until it is done.
   * @returns for each query its hits, best first, ties by id.
   */
  async search(queries: readonly ResidentQuery[]): Promise<Hit[][]> {
    const plans = queries.map(({ filter }) => this.#plan(filter));
    const wide = queries.filter((_, n) => plans[n]?.slots === undefined).map(({ vector }) => vector);
    const products = await this.#products(wide);
    const answers: Hit[][] = [];
    for (const [n, { vector, k }] of queries.entries()) {
      const { passes, slots } = plans[n] as Plan;
      let scores: Float32Array;
      if (slots === undefined) {
        scores = products.shift() as Float32Array;
        for (let slot = 0; slot < passes.length; slot++)
          if (passes[slot] === 0) scores[slot] = Number.NEGATIVE_INFINITY;
      } else scores = await this.#productsOf(slots, vector);
      const candidates = this.#candidates(scores, k, norm(vector));
      answers.push(
        this.#best(vector, slots === undefined ? candidates : candidates.map((at) => slots[at] as number), k),
      );
    }
    return answers;
  }

  /** Frees what onnxruntime holds. */
  async close(): Promise<void> {
    const sessions = this.#sessions;
    this.#sessions = undefined;
    for (const session of Object.values((await sessions) ?? {})) await session.close();
  }

  // --- internal ---

  #column(name: string): CodedColumn {
    return this.#coded.get(name) as CodedColumn;
  }

  #vectorAt(slot: number): Float32Array {
    return this.#vectors.subarray(slot * this.dimension, (slot + 1) * this.dimension);
  }

  #recordAt(slot: number): StoredRecord {
    return {
      id: this.#ids[slot] as string,
      vector: this.#vectorAt(slot).slice(),
      fields: Object.fromEntries(this.columns.map((name) => [name, [...this.#column(name).at(slot)]])),
    };
  }

  /** [N] 1 where a record is and passes. */
  #passing(filter: Filter): Uint8Array {
    const passes = passingSlots(filter, this.#ids.length, (name) => this.#column(name));
    for (const slot of this.#free) passes[slot] = 0;
    return passes;
  }

  #plan(filter: Filter): Plan {
    const passes = this.#passing(filter);
    if (filter.length === 0) return { passes, slots: undefined };
    const slots = new Int32Array(passes.length);
    let count = 0;
    for (let slot = 0; slot < passes.length; slot++) if (passes[slot] === 1) slots[count++] = slot;
    return { passes, slots: count > passes.length * GATHERED_SHARE ? undefined : slots.subarray(0, count) };
  }

  /** @returns [Q][N]; overwritten by the next call. */
  async #products(queries: readonly Float32Array[]): Promise<Float32Array[]> {
    const count = this.#ids.length;
    if (queries.length === 0) return [];
    if (count === 0) return queries.map(() => new Float32Array());
    const session = await this.#openSession();
    const rows = new Float32Array(queries.length * this.dimension);
    queries.forEach((query, n) => {
      rows.set(query, n * this.dimension);
    });
    const size = queries.length * count;
    if (this.#scores.length < size) this.#scores = new Float32Array(Math.ceil(size * ROOM));
    const scores = this.#scores.subarray(0, size);
    await session.all.run(
      { queries: floatTensor(rows, [queries.length, this.dimension]), vectors: this.#matrix() },
      { scores: floatTensor(scores, [queries.length, count]) },
    );
    return queries.map((_, n) => scores.subarray(n * count, (n + 1) * count));
  }

  /** The products with the vectors of some slots: they are gathered side by side first. */
  async #productsOf(slots: Int32Array, query: Float32Array): Promise<Float32Array> {
    const scores = new Float32Array(slots.length);
    if (slots.length === 0) return scores;
    const session = await this.#openSession();
    const indices = new BigInt64Array(slots.length);
    const halves = new Int32Array(indices.buffer);
    for (let n = 0; n < slots.length; n++) halves[2 * n] = slots[n] as number;
    await session.gathered.run(
      {
        queries: floatTensor(query, [1, this.dimension]),
        vectors: this.#matrix(),
        slots: { dataType: 'int64', shape: [slots.length], data: indices },
      },
      { scores: floatTensor(scores, [1, slots.length]) },
    );
    return scores;
  }

  #matrix(): Tensor {
    const count = this.#ids.length;
    return floatTensor(this.#vectors.subarray(0, count * this.dimension), [count, this.dimension]);
  }

  #openSession(): Promise<Products> {
    this.#sessions ??= openProducts();
    return this.#sessions;
  }

  /** Where the scores may be among the k best, given the error that one in single precision can have. */
  #candidates(scores: Float32Array, k: number, queryNorm: number): number[] {
    const best = new SmallestFirst(k);
    for (let n = 0; n < scores.length; n++) best.offer(scores[n] as number);
    const error = this.dimension * 2 ** -24 * queryNorm * this.#longest;
    const least = best.isFull ? best.smallest - 2 * error : Number.NEGATIVE_INFINITY;
    const candidates: number[] = [];
    for (let n = 0; n < scores.length; n++) {
      const score = scores[n] as number;
      if (score >= least && score > Number.NEGATIVE_INFINITY) candidates.push(n);
    }
    return candidates;
  }

  /** The k best of some slots, in double precision. */
  #best(vector: Float32Array, slots: readonly number[], k: number): Hit[] {
    const scores = Float64Array.from(slots, (slot) => dotProduct(vector, this.#vectorAt(slot)));
    const best = new SmallestFirst(k);
    for (const score of scores) best.offer(score);
    const least = best.isFull ? best.smallest : Number.NEGATIVE_INFINITY;
    const found: { score: number; slot: number; id: string }[] = [];
    slots.forEach((slot, n) => {
      const score = scores[n] as number;
      if (score >= least) found.push({ score, slot, id: this.#ids[slot] as string });
    });
    found.sort((a, b) => b.score - a.score || byCodePoint(a.id, b.id));
    return found.slice(0, k).map(({ score, slot }) => ({ score, record: this.#recordAt(slot) }));
  }

  #grow(slots: number): void {
    const larger = new Float32Array(Math.ceil(slots * ROOM + 64) * this.dimension);
    larger.set(this.#vectors);
    this.#vectors = larger;
  }
}

/** Memory grows by this much at a time. */
const ROOM = 1.25;
/**
 * Up to this share of the records those that pass are gathered before the product: of 100,000 × 512, the product with 1 % takes 0.3 ms,
 * 10 % 2.5 ms, 20 % 6 ms, where the product with all takes 8 to 12 (two threads).
 */
const GATHERED_SHARE = 0.3;

interface Plan {
  /** [N] 1 where a record is and passes. */
  readonly passes: Uint8Array;
  /** Those that pass, where it is worth while to gather them. */
  readonly slots: Int32Array | undefined;
}

/** Products of queries with all vectors, and with those of some slots. */
interface Products {
  readonly all: Session;
  readonly gathered: Session;
}

/** The k largest of the numbers offered, as a heap whose root is the smallest of them. */
class SmallestFirst {
  readonly #heap: number[] = [];
  readonly #k: number;

  /** @param k from 1. */
  constructor(k: number) {
    this.#k = k;
  }

  get isFull(): boolean {
    return this.#heap.length >= this.#k;
  }

  get smallest(): number {
    return this.#heap[0] as number;
  }

  offer(value: number): void {
    const heap = this.#heap;
    if (heap.length < this.#k) {
      let at = heap.push(value) - 1;
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if ((heap[parent] as number) <= value) break;
        heap[at] = heap[parent] as number;
        at = parent;
      }
      heap[at] = value;
      return;
    }
    if (value <= (heap[0] as number)) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++;
      if ((heap[child] as number) >= value) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = value;
  }
}

function norm(vector: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += (vector[i] as number) ** 2;
  return Math.sqrt(sum);
}

async function openProducts(): Promise<Products> {
  const queries = input('queries', 'float32', ['Q', 'S']);
  const vectors = input('vectors', 'float32', ['N', 'S']);
  const slots = input('slots', 'int64', ['M']);
  const product = (rows: Value) => ({ scores: matmul(queries, transpose(rows, [1, 0])) });
  const open = (graph: Graph) => Session.create(writeModel(graph), { spinning: false });
  return {
    all: await open(buildGraph([queries, vectors], product(vectors))),
    gathered: await open(buildGraph([queries, vectors, slots], product(gather(vectors, slots, 0)))),
  };
}
