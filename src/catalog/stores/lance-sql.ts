/**
 * How names, values and filters are written in a Lance table's SQL. Everything that comes from outside is quoted, or
 * spelt in hex.
 */
import { type ColumnTest, type Filter, type Literal, literalsOf, splitLiteral } from '../filter.js';

/** A filter in Lance's SQL. Values are quoted; columns must have been checked. `undefined` where all pass. */
export function filterSql(filter: Filter): string | undefined {
  if (filter.length === 0) return undefined;
  return filter
    .map((condition) => {
      const literals = literalsOf(condition).map(literalSql);
      return literals.length === 1 ? literals[0] : `(${literals.join(' OR ') || 'false'})`;
    })
    .join(' AND ');
}

/** A plain lower-case name stays as it is, for whoever opens the table with other tools; any other is spelt in hex. */
export function columnName(column: string): string {
  const isPlain = /^[a-z][a-z0-9_]*$/.test(column) && !/^(id|vector|x_.*)$/.test(column);
  return isPlain ? column : `x_${Buffer.from(column).toString('hex')}`;
}

/** The numbers of a numeric column. Hex has no `u`, so it cannot be the name of a column of texts. */
export function numbersName(column: string): string {
  return `x_number_${Buffer.from(column).toString('hex')}`;
}

/** A text in single quotes. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Conditions that together name all of the ids. */
export function* idLists(ids: readonly string[]): Generator<string> {
  const unique = [...new Set(ids)];
  for (let start = 0; start < unique.length; start += IDS_PER_QUERY)
    yield `id IN (${unique
      .slice(start, start + IDS_PER_QUERY)
      .map(quote)
      .join(', ')})`;
}

// --- internal ---

/** Ids in one SQL list: long lists make slow plans. */
const IDS_PER_QUERY = 1000;

function literalSql(literal: Literal): string {
  const { test, negated } = splitLiteral(literal);
  return negated ? `NOT (${testSql(test)})` : testSql(test);
}

/** Never null, so that `NOT` of it is its opposite. */
function testSql(test: ColumnTest): string {
  const name = `\`${columnName(test.column)}\``;
  if ('known' in test) return `${test.known ? '' : 'NOT '}coalesce(array_length(${name}), 0) > 0`;
  if ('anyOf' in test || 'noneOf' in test) {
    const [values, not] = 'anyOf' in test ? [test.anyOf, ''] : [test.noneOf, 'NOT '];
    if (values.length === 0) return not === '' ? 'false' : 'true';
    return `${not}array_has_any(${name}, make_array(${values.map(quote).join(', ')}))`;
  }
  const number = `\`${numbersName(test.column)}\``;
  const bounds = [
    ...(test.from === undefined ? [] : [`${number} >= ${test.from}`]),
    ...(test.to === undefined ? [] : [`${number} <= ${test.to}`]),
  ];
  return `(${[`${number} IS NOT NULL`, ...bounds].join(' AND ')})`;
}
