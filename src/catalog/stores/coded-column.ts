/**
 * A column in memory: each record has the code of its list of values, and each list is kept once. A test is made once
 * a list, a count once a value; records only look codes up.
 */
import { byCodePoint } from '../../granularity/index.js';
import { type Filter, literalPredicate, literalsOf, splitLiteral } from '../filter.js';
import type { FacetCount } from '../store.js';

export class CodedColumn {
  #codes: Int32Array;
  /** Lists by code; the empty one is 0. A list that no record has any more stays. */
  readonly #lists: (readonly string[])[] = [[]];
  /** Of lists of one value, and of longer ones by their JSON. */
  readonly #codeOfText = new Map<string, number>();
  readonly #codeOfList = new Map<string, number>();

  constructor(capacity: number) {
    this.#codes = new Int32Array(capacity);
  }

  set(slot: number, values: readonly string[]): void {
    if (slot >= this.#codes.length) {
      const larger = new Int32Array(Math.ceil(slot * 1.25) + 64);
      larger.set(this.#codes);
      this.#codes = larger;
    }
    this.#codes[slot] = this.#code(values);
  }

  at(slot: number): readonly string[] {
    return this.#lists[this.#codes[slot] ?? 0] ?? [];
  }

  /** The code of each slot. */
  get codes(): Int32Array {
    return this.#codes;
  }

  get lists(): readonly (readonly string[])[] {
    return this.#lists;
  }

  /** In how many of the slots that pass each value is: most frequent first, then by code point. */
  countValues(passes: Uint8Array): FacetCount[] {
    const ofList = new Int32Array(this.#lists.length);
    for (let slot = 0; slot < passes.length; slot++)
      if (passes[slot] === 1) (ofList[this.#codes[slot] as number] as number)++;
    const counts = new Map<string, number>();
    ofList.forEach((count, code) => {
      if (count === 0) return;
      for (const value of new Set(this.#lists[code])) counts.set(value, (counts.get(value) ?? 0) + count);
    });
    return [...counts]
      .map(([value, count]) => ({ value, count }))
      .sort((a, b) => b.count - a.count || byCodePoint(a.value, b.value));
  }

  #code(values: readonly string[]): number {
    const [first] = values;
    if (first === undefined) return 0;
    const [codeOf, key] =
      values.length === 1 ? [this.#codeOfText, first] : [this.#codeOfList, JSON.stringify(values)];
    let code = codeOf.get(key);
    if (code === undefined) {
      code = this.#lists.push([...values]) - 1;
      codeOf.set(key, code);
    }
    return code;
  }
}

/** [N] 1 where the filter holds. The definition is `matchesFilter`'s: the same tests, of each list once. */
export function passingSlots(
  filter: Filter,
  slotCount: number,
  columnOf: (name: string) => CodedColumn,
): Uint8Array {
  const passes = new Uint8Array(slotCount).fill(1);
  for (const condition of filter) {
    const literals = literalsOf(condition).map((literal) => {
      const column = columnOf(splitLiteral(literal).test.column);
      const predicate = literalPredicate(literal);
      const holds = Uint8Array.from(column.lists, (values) => (predicate(values) ? 1 : 0));
      return { codes: column.codes, holds };
    });
    for (let slot = 0; slot < slotCount; slot++) {
      if (passes[slot] === 0) continue;
      let any = 0;
      for (const { codes, holds } of literals) any |= holds[codes[slot] as number] as number;
      passes[slot] = any;
    }
  }
  return passes;
}
