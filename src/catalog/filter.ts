/**
 * Filters of a search: a list of conditions that must all hold, each an OR over values of one column.
 * Plain JSON, so that the command line, the API and every store share one form; no store's query language leaks out.
 */
import { z } from 'zod';
import { CliError, DataError } from '../util/index.js';

/** Holds when the record has any of `anyOf` in the column, or, with `noneOf`, none of them (unknown counts as none). */
export type Condition =
  | { readonly column: string; readonly anyOf: readonly string[] }
  | { readonly column: string; readonly noneOf: readonly string[] };

/** All conditions must hold; an empty filter keeps everything. */
export type Filter = readonly Condition[];

/** A filter as it stands in JSON. */
export const filterFormat = z.array(
  z.union([
    z.strictObject({ column: z.string(), anyOf: z.array(z.string()).min(1) }),
    z.strictObject({ column: z.string(), noneOf: z.array(z.string()).min(1) }),
  ]),
);

/**
 * Reads `column=value,value` and `column!=value,value`; several expressions must all hold.
 *
 * The first `=` ends the column. A comma inside a value is written `\,`, a backslash `\\`.
 * @throws CliError when an expression has no `=`, no column or an empty value.
 */
export function parseFilter(expressions: readonly string[]): Filter {
  return expressions.map((expression) => {
    const equals = expression.indexOf('=');
    const negated = equals > 0 && expression[equals - 1] === '!';
    const column = expression.slice(0, negated ? equals - 1 : Math.max(equals, 0));
    const values = splitValues(expression.slice(equals + 1));
    if (column === '' || values.includes(''))
      throw new CliError(
        `--filter: must read column=value,value or column!=value, got '${expression}'. A comma inside a value is \\,`,
      );
    return negated ? { column, noneOf: values } : { column, anyOf: values };
  });
}

/**
 * Makes sure that every condition names one of the columns.
 * @throws DataError naming the column and the choices.
 */
export function checkFilter(filter: Filter, columns: readonly string[]): void {
  for (const { column } of filter)
    if (!columns.includes(column))
      throw new DataError(`filter: there is no column '${column}'. Choose from: ${columns.join(', ')}`);
}

/** Whether a record's fields pass the filter: the definition that every store is held to. */
export function matchesFilter(filter: Filter, fields: Readonly<Record<string, readonly string[]>>): boolean {
  return filter.every((condition) => {
    const values = fields[condition.column] ?? [];
    return 'anyOf' in condition
      ? condition.anyOf.some((value) => values.includes(value))
      : !condition.noneOf.some((value) => values.includes(value));
  });
}

// --- internal ---

function splitValues(text: string): string[] {
  const values: string[] = [];
  let value = '';
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === ',') {
      values.push(value);
      value = '';
    } else if (character === '\\' && /[\\,]/.test(text.charAt(i + 1))) value += text.charAt(++i);
    else value += character;
  }
  return [...values, value];
}
