/**
 * Keeps records in memory in step with a Lance table, whoever writes to it. Before each answer the table's version is
 * asked for (0.3 ms); when it is another, the addresses of its rows are compared with those that are held, and only
 * what is new is read. Lance never uses an address (fragment and offset) twice, and an update makes a new row.
 */
import type { Table } from '@lancedb/lancedb';
import type { Data, Vector } from 'apache-arrow';
import type { Hit } from '../store.js';
import { type ResidentQuery, ResidentRecords } from './resident.js';

export interface MirrorOptions {
  /** A handle on the table of the mirror's own; it is moved from version to version. */
  readonly table: Table;
  /** The version that is the newest at this moment. */
  readonly newestVersion: () => Promise<number>;
  readonly dimension: number;
  readonly columns: readonly string[];
  /** How the table calls a column. */
  readonly columnName: (column: string) => string;
}

/** A batch of rows, or several in a table. */
interface Rows {
  readonly numRows: number;
  getChild(name: string): Vector | null;
}

/** Queries that one product answers at most. */
const MOST_TOGETHER = 32;

/**
 * Room for records to come: to move 200 MB of vectors elsewhere takes most of a second. Memory that nothing was written
 * to is not taken from the machine.
 */
const HEADROOM = 1.125;

export class LanceMirror {
  readonly #options: MirrorOptions;
  #records: ResidentRecords;
  #version = 0;
  /** Of the rows held, ascending, with the slot of each. */
  #addresses = new Float64Array();
  #slots = new Int32Array();
  #holdsStill = false;
  #lastTurn: Promise<unknown> = Promise.resolve();
  #waiting: { query: ResidentQuery; resolve: (hits: Hit[]) => void; reject: (error: unknown) => void }[] = [];

  constructor(options: MirrorOptions) {
    this.#options = options;
    this.#records = new ResidentRecords(options);
  }

  /** Answers from records that are as new as the newest acknowledged write. `read` must be synchronous. */
  async read<T>(read: (records: ResidentRecords) => T): Promise<T> {
    return await this.#turn(async () => {
      await this.#sync();
      return read(this.#records);
    });
  }

  /** As `read`; queries that come while others are being answered are answered together. */
  async search(query: ResidentQuery): Promise<Hit[]> {
    return await new Promise((resolve, reject) => {
      if (this.#waiting.push({ query, resolve, reject }) === 1) this.#answerWaiting();
    });
  }

  /**
   * Runs what moves rows without changing a record, such as compaction, and finds them again by id: reading them all
   * again would take far longer. Meanwhile what is held is answered from; nothing else may write.
   */
  async whileRowsMove<T>(action: () => Promise<T>): Promise<T> {
    await this.#turn(() => this.#sync());
    this.#holdsStill = true;
    try {
      const result = await action();
      await this.#turn(() => this.#findAgain());
      return result;
    } finally {
      this.#holdsStill = false;
    }
  }

  async close(): Promise<void> {
    await this.#lastTurn.catch(() => {});
    await this.#records.close();
    this.#options.table.close();
  }

  // --- internal ---

  /** One at a time: what is read must not be changed meanwhile. */
  #turn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#lastTurn.catch(() => {}).then(action);
    this.#lastTurn = done;
    return done;
  }

  #answerWaiting(): void {
    void this.#turn(async () => {
      const asked = this.#waiting.splice(0, MOST_TOGETHER);
      if (this.#waiting.length > 0) this.#answerWaiting();
      try {
        await this.#sync();
        const answers = await this.#records.search(asked.map(({ query }) => query));
        asked.forEach(({ resolve }, n) => {
          resolve(answers[n] as Hit[]);
        });
      } catch (error) {
        for (const { reject } of asked) reject(error);
      }
    });
  }

  async #sync(): Promise<void> {
    const { table, newestVersion } = this.#options;
    if (this.#holdsStill) return;
    const version = await newestVersion();
    if (version === this.#version) return;
    // Held there, so that what is read in several queries belongs together.
    await table.checkout(version);
    const rowIds = await table
      .query()
      .select([] as string[])
      .withRowId()
      .toArrow();
    const addresses = toNumbers(rowIds.getChild('_rowid')).sort();
    const { gone, added } = difference(this.#addresses, addresses);
    if (added.length > addresses.length / 4) {
      await this.#readAll(addresses.length, version);
      return;
    }
    // Read first, then change what is held without a pause: a failure leaves it as it was.
    const rows = added.length === 0 ? undefined : await table.takeRowIds(added).withRowId().toArrow();
    for (const n of gone) {
      const id = this.#records.idAt(this.#slots[n] as number);
      if (id !== undefined) this.#records.remove(id);
    }
    const slotOf = new Map<number, number>();
    if (rows !== undefined)
      this.#put(rows as unknown as Rows, this.#records, (address, slot) => slotOf.set(address, slot));
    const slots = new Int32Array(addresses.length);
    for (let n = 0, old = 0; n < slots.length; n++) {
      const address = addresses[n] as number;
      while ((this.#addresses[old] as number) < address) old++;
      slots[n] =
        this.#addresses[old] === address ? (this.#slots[old] as number) : (slotOf.get(address) as number);
    }
    this.#hold(addresses, slots, version);
  }

  async #findAgain(): Promise<void> {
    const { table, newestVersion } = this.#options;
    const version = await newestVersion();
    if (version === this.#version) return;
    await table.checkout(version);
    const arrow = await table.query().select(['id']).withRowId().toArrow();
    const slots = Array.from(arrow.getChild('id') ?? [], (id) => this.#records.slotOf(String(id)) ?? -1);
    // Where another process has written meanwhile, the next sync reads what does not match.
    if (slots.length === this.#records.size && !slots.includes(-1))
      this.#hold(toNumbers(arrow.getChild('_rowid')), slots, version);
  }

  async #readAll(count: number, version: number): Promise<void> {
    const { table, dimension, columns } = this.#options;
    const records = new ResidentRecords({ dimension, columns }, Math.ceil(count * HEADROOM) + 1024);
    const addresses: number[] = [];
    const slots: number[] = [];
    for await (const batch of table.query().withRowId())
      this.#put(batch as unknown as Rows, records, (address, slot) => {
        addresses.push(address);
        slots.push(slot);
      });
    const before = this.#records;
    this.#records = records;
    this.#hold(Float64Array.from(addresses), slots, version);
    await before.close();
  }

  #put(batch: Rows, records: ResidentRecords, note: (address: number, slot: number) => void): void {
    const { dimension, columns, columnName } = this.#options;
    const addresses = toNumbers(batch.getChild('_rowid'));
    const ids = batch.getChild('id') as Vector;
    const vectors = vectorRows(batch.getChild('vector') as Vector, dimension);
    const lists = columns.map((column) => [...listsOf(batch.getChild(columnName(column)))]);
    for (let row = 0; row < batch.numRows; row++) {
      const slot = records.put(
        String(ids.get(row)),
        vectors(row),
        lists.map((list) => list[row] ?? []),
      );
      note(addresses[row] as number, slot);
    }
  }

  #hold(addresses: Float64Array<ArrayBuffer>, slots: ArrayLike<number>, version: number): void {
    if (addresses.every((address, n) => n === 0 || (addresses[n - 1] as number) < address)) {
      this.#addresses = addresses;
      this.#slots = Int32Array.from(slots);
    } else {
      const order = Uint32Array.from(addresses, (_, n) => n).sort(
        (a, b) => (addresses[a] as number) - (addresses[b] as number),
      );
      this.#addresses = Float64Array.from(order, (n) => addresses[n] as number);
      this.#slots = Int32Array.from(order, (n) => slots[n] as number);
    }
    this.#version = version;
  }
}

/** The lists of a column, read from Arrow's buffers: a row object each would take ten times as long. */
export function* listsOf(column: Vector | null): Generator<string[]> {
  const texts = column?.getChildAt(0);
  let start = 0;
  for (const { valueOffsets, length, children } of column?.data ?? []) {
    for (let row = 0; row < length; row++) {
      const list: string[] = [];
      for (let i = valueOffsets[row] as number; i < (valueOffsets[row + 1] as number); i++)
        list.push(texts?.get(start + i) as string);
      yield list;
    }
    start += children[0]?.length ?? 0;
  }
}

/** Row addresses as numbers: fragment × 2³² + offset, exact up to two million fragments. */
export function toNumbers(column: Vector | null): Float64Array<ArrayBuffer> {
  const numbers = new Float64Array(column?.length ?? 0);
  let n = 0;
  for (const { values, length } of column?.data ?? []) {
    // BigInts are made one by one: halves are many times as fast.
    const { buffer, byteOffset } = values as BigUint64Array;
    const halves = new Uint32Array(buffer, byteOffset, 2 * length);
    for (let i = 0; i < length; i++)
      numbers[n++] = (halves[2 * i + 1] as number) * 2 ** 32 + (halves[2 * i] as number);
  }
  return numbers;
}

// --- internal ---

/** Where the vectors of a column's rows lie in Arrow's memory. */
function vectorRows(column: Vector, dimension: number): (row: number) => Float32Array {
  const chunks = column.data.map(({ children, length, offset }) => ({
    length,
    values: ((children[0] as Data).values as Float32Array).subarray(offset * dimension),
  }));
  return (row) => {
    let at = row;
    for (const { length, values } of chunks) {
      if (at < length) return values.subarray(at * dimension, (at + 1) * dimension);
      at -= length;
    }
    return new Float32Array(dimension);
  };
}

/** Of two ascending lists: the places in the first of what the second lacks, and what only the second has. */
function difference(before: Float64Array, after: Float64Array): { gone: number[]; added: number[] } {
  const gone: number[] = [];
  const added: number[] = [];
  let [a, b] = [0, 0];
  while (a < before.length || b < after.length) {
    const old = before[a] ?? Number.POSITIVE_INFINITY;
    const current = after[b] ?? Number.POSITIVE_INFINITY;
    if (old === current) {
      a++;
      b++;
    } else if (old < current) gone.push(a++);
    else {
      added.push(current);
      b++;
    }
  }
  return { gone, added };
}
