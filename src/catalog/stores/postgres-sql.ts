/**
 * How a store's table, values and filters are written in PostgreSQL's SQL. Nothing that comes from outside is ever
 * part of a statement: tables and columns are named by numbers (`records_7`, `f0`, `n0`), and values are parameters.
 */
import { endianness } from 'node:os';
import { type ColumnTest, type Filter, type Literal, literalsOf, splitLiteral } from '../filter.js';

/** How vectors are kept: `single` is exact; `half` takes half the room and rounds to 11 bits. */
export type Precision = 'single' | 'half';

/** The changes of the metadata's tables, oldest first. One that was released is never edited; another follows it. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE semblance.stores (
     number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     name text COLLATE "C" NOT NULL UNIQUE,
     dimension integer NOT NULL,
     columns jsonb NOT NULL,
     numeric_columns jsonb NOT NULL,
     precision text NOT NULL,
     version bigint NOT NULL DEFAULT 1
   );
   CREATE TABLE semblance.catalogs (
     name text COLLATE "C" PRIMARY KEY,
     description jsonb NOT NULL
   )`,
  `CREATE TABLE semblance.set_aside (
     catalog text COLLATE "C" NOT NULL,
     id text COLLATE "C" NOT NULL,
     reason text NOT NULL,
     at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (catalog, id)
   )`,
  `CREATE TABLE semblance.readers (
     reader uuid PRIMARY KEY,
     store text COLLATE "C" NOT NULL,
     seen_at timestamptz NOT NULL
   )`,
];

/** The statements that make a store's table. GIN takes at most 32 columns an index. */
export function tableStatements(
  table: string,
  shape: { dimension: number; columns: number; numericColumns: number; precision: Precision },
): string[] {
  const { dimension, precision } = shape;
  const texts = Array.from({ length: shape.columns }, (_, n) => `f${n}`);
  const numbers = Array.from({ length: shape.numericColumns }, (_, n) => `n${n}`);
  const columns = [
    'id text COLLATE "C" PRIMARY KEY',
    `vector ${vectorType(precision)}(${dimension}) NOT NULL`,
    ...texts.map((name) => `${name} text[] COLLATE "C" NOT NULL`),
    ...numbers.map((name) => `${name} double precision`),
  ];
  const bytes = dimension * (precision === 'half' ? 2 : 4);
  const groups = Array.from({ length: Math.ceil(texts.length / 32) }, (_, n) =>
    texts.slice(32 * n, 32 * n + 32),
  );
  return [
    `CREATE TABLE ${table} (${columns.join(', ')})`,
    // Beside the row, exact scans read one page instead of two.
    ...(bytes <= MOST_INLINE_BYTES ? [`ALTER TABLE ${table} ALTER COLUMN vector SET STORAGE PLAIN`] : []),
    ...groups.map((group) => `CREATE INDEX ON ${table} USING gin (${group.join(', ')})`),
    ...numbers.map((name) => `CREATE INDEX ON ${table} (${name})`),
  ];
}

export function vectorType(precision: Precision): 'vector' | 'halfvec' {
  return precision === 'half' ? 'halfvec' : 'vector';
}

/**
 * A filter as a condition. Columns must have been checked.
 * @param values parameters so far; those of the filter are appended.
 * @returns `true` where all pass.
 */
export function filterCondition(
  filter: Filter,
  names: { columns: readonly string[]; numericColumns: readonly string[] },
  values: unknown[],
): string {
  const parameter = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
  const testSql = (test: ColumnTest): string => {
    const name = `f${names.columns.indexOf(test.column)}`;
    if ('known' in test) return `${name} ${test.known ? '<>' : '='} '{}'`;
    if ('anyOf' in test) return `${name} && ${parameter(test.anyOf.map(escapeText), 'text[]')}`;
    if ('noneOf' in test) return `NOT (${name} && ${parameter(test.noneOf.map(escapeText), 'text[]')})`;
    const number = `n${names.numericColumns.indexOf(test.column)}`;
    const bounds = [
      ...(test.from === undefined ? [] : [`${number} >= ${parameter(test.from, 'double precision')}`]),
      ...(test.to === undefined ? [] : [`${number} <= ${parameter(test.to, 'double precision')}`]),
    ];
    return `(${[`${number} IS NOT NULL`, ...bounds].join(' AND ')})`;
  };
  const literalSql = (literal: Literal): string => {
    const { test, negated } = splitLiteral(literal);
    return negated ? `NOT (${testSql(test)})` : testSql(test);
  };
  const conditions = filter.map((condition) => {
    const literals = literalsOf(condition).map(literalSql);
    return `(${literals.join(' OR ') || 'false'})`;
  });
  return conditions.join(' AND ') || 'true';
}

/**
 * A text as PostgreSQL can keep it, which has no U+0000: that becomes U+0001 U+0001, and U+0001 becomes U+0001 U+0002,
 * so that the order of texts stays what it is.
 */
export function escapeText(text: string): string {
  return text.replace(ESCAPED, (character) => (character === '\0' ? '\x01\x01' : '\x01\x02'));
}

/** The inverse of `escapeText`. */
export function unescapeText(text: string): string {
  return text.includes('\x01') ? text.replace(ESCAPES, (pair) => (pair[1] === '\x01' ? '\0' : '\x01')) : text;
}

/** A vector in pgvector's text form. Shortest digits that give the same float32 would save bytes, and cost time. */
export function vectorText(vector: Float32Array): string {
  return `[${vector.join(',')}]`;
}

/** Reads what pgvector's `vector_send` writes: two 16-bit numbers, then big-endian float32. */
export function parseVector(bytes: Buffer): Float32Array {
  const vector = new Float32Array(bytes.readUInt16BE(0));
  const own = Buffer.from(vector.buffer);
  bytes.copy(own, 0, 4, 4 + own.length);
  if (isLittleEndian) own.swap32();
  return vector;
}

/** A row of `COPY … FROM STDIN` in its text format: tabs between, backslashes before what would mean something. */
export function copyRow(cells: readonly (string | number | null | readonly string[])[]): string {
  const text = cells.map((cell) => {
    if (cell === null) return '\\N';
    const plain = typeof cell === 'object' ? arrayText(cell) : String(cell);
    return plain.replace(/[\\\t\n\r]/g, (character) => COPY_ESCAPES[character] as string);
  });
  return `${text.join('\t')}\n`;
}

// --- internal ---

const isLittleEndian = endianness() === 'LE';
/** Of a page's 8 kB, what leaves room for the other columns. */
const MOST_INLINE_BYTES = 6000;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
const ESCAPED = /[\0\x01]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is escaped
const ESCAPES = /\x01[\x01\x02]/g;
const COPY_ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
};

function arrayText(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`;
}
