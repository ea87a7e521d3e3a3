/**
 * The order in which a search shows what the store found, and where a page ends. Pure functions over candidates, so that
 * each order has one definition whatever store is beneath.
 *
 * A page ends at a key, not at a count: the next one takes what comes after that key, so that pictures which are
 * added meanwhile neither repeat a hit nor hide one. Ties are broken by id, in code points.
 */
import { byCodePoint } from '../granularity/index.js';
import { DataError, sha256 } from '../util/index.js';

/** What an order is made of. */
export interface Candidate {
  readonly id: string;
  readonly itemId: string;
  readonly score: number;
}

/** The place of a hit in an order: numbers and texts, compared one after the other. */
export type Key = readonly (number | string)[];

/** Where a page ended. */
export interface Cursor {
  /** Of the search: a cursor is good for no other. */
  readonly search: string;
  /** Hits shown so far. */
  readonly shown: number;
  readonly key?: Key;
  /** Of a diverse order, where no key says what was shown: the ids. */
  readonly ids?: readonly string[];
}

/**
 * Compares two keys of one order, element by element.
 * @param descending the position of the element that is compared the other way round, if any.
 */
export function compareKeys(a: Key, b: Key, descending?: number): number {
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i], b[i]];
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : byCodePoint(String(x), String(y));
    if (order !== 0) return i === descending ? -order : order;
  }
  return 0;
}

/** By score, best first. */
export function scoreKey({ score, id }: Pick<Candidate, 'score' | 'id'>): Key {
  return [-score, id];
}

/** The position in a column's key that a descending order turns round. */
export const COLUMN_VALUE = 1;

/**
 * By the first value of a column; records without one come last, whatever the direction.
 * @param numeric compares numbers; a value that is none counts as missing.
 */
export function columnKey(values: readonly string[], id: string, numeric: boolean): Key {
  const [value] = values;
  if (!numeric) return value === undefined ? [1, '', id] : [0, value, id];
  const number = value === undefined || value.trim() === '' ? Number.NaN : Number(value);
  return Number.isFinite(number) ? [0, number, id] : [1, 0, id];
}

/**
 * Keeps the best picture of each item, in the order given; a record without an item stands for itself.
 * @returns each with the further pictures of its item among the candidates, best first.
 */
export function groupByItem<T extends Candidate>(ordered: readonly T[]): { best: T; others: T[] }[] {
  const groups = new Map<string, { best: T; others: T[] }>();
  for (const candidate of ordered) {
    const key = candidate.itemId === '' ? `picture:${candidate.id}` : `item:${candidate.itemId}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { best: candidate, others: [] });
    else group.others.push(candidate);
  }
  return [...groups.values()];
}

/**
 * Maximal marginal relevance (Carbonell and Goldstein 1998): picks, one after the other, the candidate with the largest
 * `(1 − diversity) · score − diversity · s`, where s is its largest similarity to those picked before.
 * @param similarity of two candidates, from −1 to 1.
 * @param picked shown before, on earlier pages.
 * @param count how many to pick.
 */
export function diversify<T extends Candidate>(
  candidates: readonly T[],
  options: {
    readonly diversity: number;
    readonly similarity: (a: T, b: T) => number;
    readonly picked: readonly T[];
    readonly count: number;
  },
): T[] {
  const { diversity, similarity, picked, count } = options;
  const left = candidates.filter((candidate) => !picked.includes(candidate));
  const nearest = left.map((candidate) =>
    picked.reduce((most, other) => Math.max(most, similarity(candidate, other)), Number.NEGATIVE_INFINITY),
  );
  const chosen: T[] = [];
  while (chosen.length < count && left.length > 0) {
    let best = 0;
    let bestValue = Number.NEGATIVE_INFINITY;
    left.forEach((candidate, i) => {
      const s = nearest[i] as number;
      const value = (1 - diversity) * candidate.score - (s === Number.NEGATIVE_INFINITY ? 0 : diversity * s);
      if (value > bestValue) [best, bestValue] = [i, value];
    });
    const [candidate] = left.splice(best, 1) as [T];
    nearest.splice(best, 1);
    chosen.push(candidate);
    left.forEach((other, i) => {
      nearest[i] = Math.max(nearest[i] as number, similarity(candidate, other));
    });
  }
  return chosen;
}

/**
 * What tells one search from another: a hash of what was asked for, and the query's vector from twelve sides. The same picture's
 * vector differs in its last bits with the company that it had in the model, so vectors are compared by these, with a tolerance.
 * @param asked all but the vector
 * @param vector [S]
 */
export function searchMark(asked: unknown, vector: Float32Array): string {
  const sides = Array.from({ length: SIDES }, (_, side) => {
    let sum = 0;
    for (const [i, x] of vector.entries()) sum += isAdded(side, i) ? x : -x;
    return Math.round(sum / SIDE_STEP);
  });
  return [sha256(JSON.stringify(asked)).slice(0, 16), ...sides].join(' ');
}

/** A cursor as text that survives a URL. */
export function writeCursor(cursor: Cursor): string {
  return Buffer.from(JSON.stringify(cursor)).toString('base64url');
}

/**
 * @param search the mark of the search that the cursor must belong to.
 * @throws DataError when it is no cursor, or one of another search.
 */
export function readCursor(text: string, search: string): Cursor {
  const cursor = parseCursor(text);
  if (cursor === undefined)
    throw new DataError('cursor: must be one that a search gave, got another text. Begin at the first page');
  if (!isSameSearch(cursor.search, search))
    throw new DataError(
      'cursor: must belong to this search, got that of another one, or the catalogue has moved to another model. ' +
        'Begin at the first page',
    );
  return cursor;
}

// --- internal ---

const SIDES = 12;
/** Of a vector of about unit length; batches move a side by a hundredth of it. */
const SIDE_STEP = 1e-3;

/** Half of all components, others for each side. */
function isAdded(side: number, index: number): boolean {
  const mixed = Math.imul(index * SIDES + side + 1, 0x9e3779b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >>> 31 === 1;
}

function isSameSearch(a: string, b: string): boolean {
  const [hash, ...sides] = a.split(' ');
  const [otherHash, ...otherSides] = b.split(' ');
  return (
    hash === otherHash &&
    sides.length === otherSides.length &&
    sides.every((side, i) => Math.abs(Number(side) - Number(otherSides[i])) <= 1)
  );
}

function parseCursor(text: string): Cursor | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { search, shown, key, ids } = value as Record<string, unknown>;
  if (typeof search !== 'string' || !Number.isInteger(shown) || (shown as number) < 0) return undefined;
  const isKey = Array.isArray(key) && key.every((x) => typeof x === 'number' || typeof x === 'string');
  const areIds = Array.isArray(ids) && ids.every((x) => typeof x === 'string');
  if ((key === undefined ? !areIds : !isKey) || (ids !== undefined && !areIds)) return undefined;
  return {
    search,
    shown: shown as number,
    ...(isKey ? { key: key as Key } : {}),
    ...(areIds ? { ids: ids as string[] } : {}),
  };
}
