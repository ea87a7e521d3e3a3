/**
 * Filters of a search: a list of conditions that must all hold; each is one test of a column, its negation, or an OR
 * of such. That is any Boolean combination in conjunctive form, without nesting to be followed or limited.
 * Plain JSON, so that the command line, the API and every store share one form; no store's query language leaks out.
 */
import { z } from 'zod';
import { DataError } from '../util/index.js';

/** The record has one of these values in the column. */
export interface AnyOf {
  readonly column: string;
  readonly anyOf: readonly string[];
}

/** The record has none of these values in the column; unknown counts as none. */
export interface NoneOf {
  readonly column: string;
  readonly noneOf: readonly string[];
}

/** The record's number in a numeric column (see `numberOf`) lies in [from, to]; one bound may be left out. */
export interface NumberRange {
  readonly column: string;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** The record has a value in the column, or, with `false`, none. */
export interface Known {
  readonly column: string;
  readonly known: boolean;
}

/** One test of one column. */
export type ColumnTest = AnyOf | NoneOf | NumberRange | Known;

/** A test that must hold, or must not. What is unknown fails the range inside `not`, and so passes. */
export type Literal = ColumnTest | { readonly not: ColumnTest };

/** One literal, or several of which one at least must hold. */
export type Condition = Literal | { readonly or: readonly Literal[] };

/** All conditions must hold; an empty filter keeps everything. */
export type Filter = readonly Condition[];

/** What a filter may come to: beyond it, it is refused. */
export const FILTER_LIMITS = { literals: 256, values: 10_000, text: 10_000 } as const;

const TEST_FORM =
  '{ column, anyOf: [values] }, { column, noneOf: [values] }, { column, known: true or false } or { column, from, to }';

/** A filter as it stands in JSON. */
export const filterFormat = filterSchema();

/**
 * Makes sure that a filter can be applied: it is no longer than `FILTER_LIMITS`, every test names one of the columns,
 * and every range a numeric one, with bounds that are finite and in order.
 * @throws DataError naming the column and the choices.
 */
export function checkFilter(
  filter: Filter,
  columns: readonly string[],
  numericColumns: readonly string[] = [],
): void {
  const tests = filter.flatMap(literalsOf).map(testOf);
  if (tests.length > FILTER_LIMITS.literals)
    throw new DataError(
      `filter: must have at most ${FILTER_LIMITS.literals} tests, got ${tests.length}. Put values of one column into one`,
    );
  const values = tests.reduce((sum, test) => sum + valuesOf(test).length, 0);
  if (values > FILTER_LIMITS.values)
    throw new DataError(`filter: must have at most ${FILTER_LIMITS.values} values, got ${values}`);
  for (const test of tests) checkTest(test, columns, numericColumns);
}

/**
 * Makes sure that these are columns of a store.
 * @param where what names them, for the message.
 * @throws DataError naming the column and the choices.
 */
export function checkColumns(where: string, names: readonly string[], columns: readonly string[]): void {
  for (const name of names)
    if (!columns.includes(name))
      throw new DataError(
        `${where}: there is no column '${shorten(name)}'. Choose from: ${columns.join(', ') || 'none'}`,
      );
}

/** Whether a record's fields pass the filter: the definition that every store is held to. */
export function matchesFilter(filter: Filter, fields: Readonly<Record<string, readonly string[]>>): boolean {
  return filterPredicate(filter)(fields);
}

/** `matchesFilter` for many records: what depends on the filter alone is done once. */
export function filterPredicate(
  filter: Filter,
): (fields: Readonly<Record<string, readonly string[]>>) => boolean {
  const conditions = filter.map((condition) =>
    literalsOf(condition).map((literal) => {
      const { column } = splitLiteral(literal).test;
      return { column, holds: literalPredicate(literal) };
    }),
  );
  return (fields) =>
    conditions.every((literals) => literals.some(({ column, holds }) => holds(fields[column] ?? [])));
}

/** Whether a literal holds for the values that a record has in its column. */
export function literalPredicate(literal: Literal): (values: readonly string[]) => boolean {
  const { test, negated } = splitLiteral(literal);
  const holds = testPredicate(test);
  return negated ? (values) => !holds(values) : holds;
}

/**
 * The number of a record in a numeric column: that of its one value. A record with no value, with several, or with
 * one that is not a decimal number (`12`, `-.5`, `1e3`) has none: ranges count it as unknown.
 */
export function numberOf(values: readonly string[] | undefined): number | undefined {
  const [text, ...others] = values ?? [];
  if (text === undefined || others.length > 0 || !DECIMAL.test(text)) return undefined;
  const number = Number(text);
  return Number.isFinite(number) ? number : undefined;
}

/**
 * The columns of which every record has one value or none, that value always a number (see `numberOf`), and some
 * record has one: those that ranges can be asked of.
 */
export function findNumericColumns(
  records: Iterable<Readonly<Record<string, readonly string[]>>>,
  columns: readonly string[],
): string[] {
  const candidates = new Set(columns);
  const seen = new Set<string>();
  for (const fields of records)
    for (const column of candidates) {
      const values = fields[column] ?? [];
      if (values.length === 0) continue;
      if (numberOf(values) === undefined) candidates.delete(column);
      else seen.add(column);
    }
  return columns.filter((column) => candidates.has(column) && seen.has(column));
}

/** The literals of a condition, of which one at least must hold. */
export function literalsOf(condition: Condition): readonly Literal[] {
  return 'or' in condition ? condition.or : [condition];
}

/** The test of a literal, and whether it must fail. */
export function splitLiteral(literal: Literal): { test: ColumnTest; negated: boolean } {
  return 'not' in literal ? { test: literal.not, negated: true } : { test: literal, negated: false };
}

// --- internal ---

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function filterSchema() {
  const text = z.string().max(FILTER_LIMITS.text);
  const column = text.min(1);
  const values = z.array(text).min(1).max(FILTER_LIMITS.values);
  const test = z.union(
    [
      z.strictObject({ column, anyOf: values }),
      z.strictObject({ column, noneOf: values }),
      z.strictObject({ column, known: z.boolean() }),
      z.strictObject({ column, from: z.number(), to: z.number().optional() }),
      z.strictObject({ column, to: z.number() }),
    ],
    { error: `must be ${TEST_FORM}` },
  );
  const literal = z.union([test, z.strictObject({ not: test })], {
    error: `must be ${TEST_FORM}, or { not: such a test }`,
  });
  const or = z.array(literal).min(1).max(FILTER_LIMITS.literals);
  const condition = z.union([literal, z.strictObject({ or })], {
    error: `must be ${TEST_FORM}, { not: such a test } or { or: [such tests] }`,
  });
  return z.array(condition).max(FILTER_LIMITS.literals);
}

function testOf(literal: Literal): ColumnTest {
  return splitLiteral(literal).test;
}

function valuesOf(test: ColumnTest): readonly string[] {
  return 'anyOf' in test ? test.anyOf : 'noneOf' in test ? test.noneOf : [];
}

function testPredicate(test: ColumnTest): (values: readonly string[]) => boolean {
  if ('anyOf' in test || 'noneOf' in test) {
    const wanted = new Set('anyOf' in test ? test.anyOf : test.noneOf);
    const isAnyOf = 'anyOf' in test;
    return (values) => values.some((value) => wanted.has(value)) === isAnyOf;
  }
  if ('known' in test) return (values) => values.length > 0 === test.known;
  const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY } = test;
  return (values) => {
    const number = numberOf(values);
    return number !== undefined && number >= from && number <= to;
  };
}

function checkTest(test: ColumnTest, columns: readonly string[], numericColumns: readonly string[]): void {
  checkColumns('filter', [test.column], columns);
  for (const value of valuesOf(test))
    if (value.length > FILTER_LIMITS.text)
      throw new DataError(
        `filter: a value must have at most ${FILTER_LIMITS.text} characters, got ${value.length}`,
      );
  if ('anyOf' in test || 'noneOf' in test || 'known' in test) return;
  const { column, from, to } = test;
  if (!numericColumns.includes(column))
    throw new DataError(
      `filter: a range needs a column of numbers, got '${shorten(column)}'. ` +
        (numericColumns.length === 0
          ? 'There is none here; name values instead'
          : `Choose from: ${numericColumns.join(', ')}`),
    );
  if (from === undefined && to === undefined)
    throw new DataError(`filter: a range of '${shorten(column)}' must have a lower or an upper bound`);
  for (const bound of [from, to])
    if (bound !== undefined && !Number.isFinite(bound))
      throw new DataError(
        `filter: the bounds of '${shorten(column)}' must be finite numbers, got ${String(bound)}`,
      );
  if (from !== undefined && to !== undefined && from > to)
    throw new DataError(
      `filter: the range of '${shorten(column)}' must not end before it begins, got ${from} to ${to}`,
    );
}

/** A name for a message, however long it is. */
function shorten(name: string): string {
  return name.length <= 80 ? name : `${name.slice(0, 79)}…`;
}
