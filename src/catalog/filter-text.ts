/**
 * Filters as text, for the command line and addresses: `column=value,value`, `price=10..20`, `kind=cat|tags!=red`.
 *
 *   expression := literal ( '|' literal )*          one at least must hold
 *   literal    := column ( '=' | '!=' ) values      one of the values; none of them
 *               | column ( '=' | '!=' ) low..high   a range, both ends included; one may be left out
 *               | column ( '>=' | '<=' ) number
 *               | column ( '=' | '!=' ) '*'         known; unknown
 *   values     := value ( ',' value )*
 *
 * A backslash before one of `, | = . * ! < >` or a backslash takes its meaning away; before anything else it is itself.
 */
import { CliError } from '../util/index.js';
import { type Condition, type Filter, type Literal, literalsOf, numberOf, splitLiteral } from './filter.js';

/** How a filter is written, in a few lines: for `--help`. */
export const FILTER_HELP =
  'Filters: colour=red,blue (one of), colour!=red (none of), price=10..20, price>=10, price<=20 (numbers, ends\n' +
  "included), price!=10..20, colour=* (known), colour!=* (unknown), 'colour=red|price<=20' (one of both). Several\n" +
  '--filter must all hold. A backslash takes the meaning from , | = . and *.\n';

/**
 * Reads filter expressions, which must all hold.
 * @throws CliError when an expression has no operator, no column, an empty value, or no number where one must be.
 */
export function parseFilter(expressions: readonly string[]): Filter {
  return expressions.map((expression): Condition => {
    const literals = split(readCharacters(expression), '|').map((part) => parseLiteral(part, expression));
    const [first] = literals;
    return literals.length === 1 && first !== undefined ? first : { or: literals };
  });
}

/** Writes a filter as expressions that `parseFilter` reads back to the same conditions, or to an equal meaning. */
export function formatFilter(filter: Filter): string[] {
  return filter.map((condition) => literalsOf(condition).map(formatLiteral).join('|'));
}

// --- internal ---

/** One character of an expression; `plain` is false where a backslash has taken its meaning. */
interface Character {
  readonly text: string;
  readonly plain: boolean;
}

const WITH_MEANING = /[\\,|=.*!<>]/;

function readCharacters(expression: string): Character[] {
  const characters: Character[] = [];
  for (let i = 0; i < expression.length; i++) {
    const text = expression.charAt(i);
    if (text === '\\' && WITH_MEANING.test(expression.charAt(i + 1)))
      characters.push({ text: expression.charAt(++i), plain: false });
    else characters.push({ text, plain: true });
  }
  return characters;
}

function parseLiteral(characters: readonly Character[], expression: string): Literal {
  const equals = characters.findIndex(({ text, plain }) => plain && text === '=');
  const before = characters[equals - 1];
  const sign = before?.plain && /[!<>]/.test(before.text) ? before.text : '';
  const column = toText(characters.slice(0, Math.max(equals - sign.length, 0)));
  const rest = characters.slice(equals + 1);
  if (equals < 0 || column === '') throw malformed(expression);
  if (sign === '>' || sign === '<') {
    const bound = parseNumber(rest, expression);
    return sign === '>' ? { column, from: bound } : { column, to: bound };
  }
  const negated = sign === '!';
  if (rest.length === 1 && rest[0]?.plain && rest[0].text === '*') return { column, known: !negated };
  const range = parseRange(rest, expression);
  if (range !== undefined) return negated ? { not: { column, ...range } } : { column, ...range };
  const values = split(rest, ',').map(toText);
  if (values.includes('')) throw malformed(expression);
  return negated ? { column, noneOf: values } : { column, anyOf: values };
}

/** `low..high` where the two dots are plain and what is around them is a number or nothing; else undefined. */
function parseRange(
  characters: readonly Character[],
  expression: string,
): { from?: number; to?: number } | undefined {
  const isDot = (at: number) => characters[at]?.plain === true && characters[at].text === '.';
  let first: number | undefined;
  for (let at = 0; at + 1 < characters.length; at++) {
    if (!isDot(at) || !isDot(at + 1)) continue;
    first ??= at;
    if (at > first + 1) return undefined; // what is before holds two dots: no number
    const [low, high] = [characters.slice(0, at), characters.slice(at + 2)];
    const isNumber = (side: readonly Character[]) =>
      side.length === 0 || numberOf([toText(side)]) !== undefined;
    if (!isNumber(low) || !isNumber(high) || characters.length === 2) continue;
    return {
      ...(low.length > 0 ? { from: parseNumber(low, expression) } : {}),
      ...(high.length > 0 ? { to: parseNumber(high, expression) } : {}),
    };
  }
  return undefined;
}

function parseNumber(characters: readonly Character[], expression: string): number {
  const number = numberOf([toText(characters)]);
  if (number === undefined)
    throw new CliError(
      `--filter: must have a number in '${expression}', got '${toText(characters)}'. Write column>=10`,
    );
  return number;
}

function split(characters: readonly Character[], separator: string): Character[][] {
  const parts: Character[][] = [[]];
  for (const character of characters) {
    if (character.plain && character.text === separator) parts.push([]);
    else parts.at(-1)?.push(character);
  }
  return parts;
}

function toText(characters: readonly Character[]): string {
  return characters.map(({ text }) => text).join('');
}

function malformed(expression: string): CliError {
  return new CliError(
    `--filter: must read column=value,value, column!=value or column=10..20, alternatives with | between, ` +
      `got '${expression}'. A comma or | inside a value is \\, or \\|`,
  );
}

function formatLiteral(literal: Literal): string {
  const { test, negated } = splitLiteral(literal);
  const column = escapeColumn(test.column);
  if ('known' in test) return `${column}${test.known === negated ? '!=' : '='}*`;
  if ('anyOf' in test || 'noneOf' in test) {
    const values = 'anyOf' in test ? test.anyOf : test.noneOf;
    const equals = 'noneOf' in test !== negated ? '!=' : '=';
    return `${column}${equals}${values.map(escapeText).join(',')}`;
  }
  return `${column}${negated ? '!=' : '='}${test.from ?? ''}..${test.to ?? ''}`;
}

function escapeText(text: string): string {
  return text === '*' ? '\\*' : text.replace(/[\\,|]/g, '\\$&').replaceAll('..', '\\.\\.');
}

/** A last `!`, `<` or `>` would be read as part of the operator. */
function escapeColumn(column: string): string {
  return column.replace(/[\\|=]|[!<>]$/g, '\\$&');
}
