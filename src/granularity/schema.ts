/**
 * The attribute schema: which attributes a model learns, their values, and the levels from fine to coarse.
 *
 * Letters: N rows, A values over all attributes (columns of the attribute vector), K attributes (blocks of it).
 * Invariants: every attribute has at least two values, sorted by code point; the first level is always `item_id`;
 * the other levels are single attributes. An empty list of values in a row means unknown, never no.
 */
import { z } from 'zod';
import { DataError } from '../util/index.js';

/** `single`: one of the values (softmax). `multi`: any of them (a sigmoid each). */
export interface Attribute {
  readonly name: string;
  readonly kind: 'single' | 'multi';
  readonly values: readonly string[];
}

export interface Schema {
  readonly attributes: readonly Attribute[];
  /** Fine to coarse; the first is `item_id`. */
  readonly levels: readonly string[];
}

/** What inference reads of a manifest row. */
export interface AttributeRow {
  readonly itemId: string;
  readonly attributes: Readonly<Record<string, readonly string[]>>;
}

/** The columns `[offset, offset + size)` of the attribute vector that belong to one attribute. */
export interface AttributeBlock {
  readonly name: string;
  readonly kind: 'single' | 'multi';
  readonly offset: number;
  readonly size: number;
}

/** The name of the finest level. */
export const ITEM_LEVEL = 'item_id';

/** A schema as it stands in JSON. */
export const schemaFormat = z
  .object({
    attributes: z.array(
      z.object({
        name: z.string().min(1),
        kind: z.enum(['single', 'multi']),
        values: z.array(z.string()).min(2),
      }),
    ),
    levels: z.array(z.string()).min(1),
  })
  .superRefine((schema, context) => {
    for (const problem of schemaProblems(schema)) context.addIssue({ code: 'custom', message: problem });
  });

/**
 * Reads a schema back from parsed JSON.
 * @param file named in the error.
 * @throws DataError when it is not a schema, saying where.
 */
export function parseSchema(value: unknown, file?: string): Schema {
  const result = schemaFormat.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(
    `schema: ${issue?.path.join('.') || 'value'}: ${issue?.message ?? 'is not a schema'}`,
    file === undefined ? {} : { file },
  );
}

/** The blocks of the attribute vector, in order. Their sizes add up to A. */
export function attributeBlocks(schema: Schema): AttributeBlock[] {
  let offset = 0;
  return schema.attributes.map(({ name, kind, values }) => {
    const block = { name, kind, offset, size: values.length };
    offset += values.length;
    return block;
  });
}

/** A: the number of values over all attributes. */
export function attributeCount(schema: Schema): number {
  return schema.attributes.reduce((sum, attribute) => sum + attribute.values.length, 0);
}

/**
 * Chooses attributes, kinds and levels from a manifest's rows (the training rows; other splits must not decide).
 *
 * An attribute is `multi` when any row has several values of it. Left out, each with a note: attributes with fewer
 * than two values, free text (nearly as many values as items), and single attributes of too many values.
 * Levels: `item_id`, then the single attributes of which every item has exactly one value, most values first.
 *
 * @param options.minimumItems a value of a multi attribute must occur on this many items. Default 20.
 * @param options.maximumValues at most this many values an attribute: a multi attribute keeps its most frequent, a
 *   single one is left out. Default 512.
 * @param options.levels written by hand instead of inferred: names of single attributes, fine to coarse.
 * @returns the schema, and one sentence for each decision that a user may want to know.
 * @throws DataError when a level written by hand is not a single attribute of the schema.
 */
export function inferSchema(
  rows: readonly AttributeRow[],
  options: { minimumItems?: number; maximumValues?: number; levels?: readonly string[] } = {},
): { schema: Schema; notes: string[] } {
  const { minimumItems = 20, maximumValues = 512 } = options;
  const notes: string[] = [];
  const itemCount = new Set(rows.map((row) => row.itemId)).size;
  const names = new Set<string>();
  for (const row of rows) for (const name of Object.keys(row.attributes)) names.add(name);
  const columns = [...names].map((name) => summarise(rows, name));
  const attributes: Attribute[] = [];
  const candidates: Column[] = [];
  for (const column of columns) {
    const values = chooseValues(column, { minimumItems, maximumValues }, notes);
    if (values === undefined) continue;
    attributes.push({ name: column.name, kind: column.kind, values });
    if (column.kind === 'single') candidates.push(column);
  }
  const levels =
    options.levels === undefined
      ? inferLevels(candidates, itemCount, notes)
      : [ITEM_LEVEL, ...options.levels.filter((name) => name !== ITEM_LEVEL)];
  const schema: Schema = { attributes, levels };
  const problem = schemaProblems(schema)[0];
  if (problem !== undefined) throw new DataError(`schema: ${problem}`);
  return { schema, notes };
}

/**
 * The labels of rows as the network's targets.
 *
 * A value that the schema does not have is ignored in a multi attribute and makes a single one unknown.
 * @returns `values` [N, A], 1 where the row has the value, else 0; `known` [N, K], 1 where the row says anything
 *   about the attribute: only there may the zeros of `values` be read as *no*.
 * @throws DataError when a row has several values of a single attribute.
 */
export function encodeAttributes(
  schema: Schema,
  rows: readonly AttributeRow[],
): { values: Float32Array; known: Float32Array } {
  const blocks = attributeBlocks(schema);
  const width = attributeCount(schema);
  const values = new Float32Array(rows.length * width);
  const known = new Float32Array(rows.length * blocks.length);
  const columnsOf = schema.attributes.map(
    (attribute, index) =>
      new Map(attribute.values.map((value, position) => [value, (blocks[index]?.offset ?? 0) + position])),
  );
  rows.forEach((row, n) => {
    blocks.forEach((block, k) => {
      const labels = row.attributes[block.name] ?? [];
      const columns = labels
        .map((label) => columnsOf[k]?.get(label))
        .filter((column) => column !== undefined);
      if (block.kind === 'single' && new Set(labels).size > 1)
        throw new DataError(
          `encodeAttributes: '${block.name}' must have one value, got ${JSON.stringify(labels)} at item ` +
            `'${row.itemId}'. Make the attribute 'multi' in the schema, or correct the row`,
        );
      for (const column of columns) values[n * width + column] = 1;
      const isKnown = block.kind === 'single' ? columns.length > 0 : labels.length > 0;
      if (isKnown) known[n * blocks.length + k] = 1;
    });
  });
  return { values, known };
}

/** Orders texts by code point: the same on every machine and in every locale. */
export function byCodePoint(a: string, b: string): number {
  if (a === b) return 0;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

// --- internal ---

interface Column {
  name: string;
  kind: 'single' | 'multi';
  /** Value → the items that have it. */
  items: Map<string, Set<string>>;
  /** Item → its values. */
  valuesOf: Map<string, Set<string>>;
}

function summarise(rows: readonly AttributeRow[], name: string): Column {
  const column: Column = { name, kind: 'single', items: new Map(), valuesOf: new Map() };
  for (const row of rows) {
    const labels = row.attributes[name] ?? [];
    if (new Set(labels).size > 1) column.kind = 'multi';
    for (const label of labels) {
      addTo(column.items, label, row.itemId);
      addTo(column.valuesOf, row.itemId, label);
    }
  }
  return column;
}

function addTo(map: Map<string, Set<string>>, key: string, value: string): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

/** Above this share of distinct values an item, a single column reads as free text, if it has more than a few. */
const FREE_TEXT_SHARE = 0.8;
const FEW_VALUES = 8;

function chooseValues(
  column: Column,
  limits: { minimumItems: number; maximumValues: number },
  notes: string[],
): string[] | undefined {
  const { name, kind } = column;
  const all = [...column.items.keys()].sort(byCodePoint);
  const leaveOut = (reason: string) => {
    notes.push(`attribute '${name}' is left out: ${reason}`);
    return undefined;
  };
  if (kind === 'single') {
    if (all.length < 2)
      return leaveOut(all.length === 0 ? 'it has no value' : `its only value is '${all[0]}'`);
    if (all.length > FEW_VALUES && all.length > FREE_TEXT_SHARE * column.valuesOf.size)
      return leaveOut(`${all.length} values on ${column.valuesOf.size} items read as free text`);
    if (all.length > limits.maximumValues)
      return leaveOut(`${all.length} values are more than ${limits.maximumValues}`);
    return all;
  }
  const frequent = all.filter((value) => (column.items.get(value)?.size ?? 0) >= limits.minimumItems);
  if (frequent.length < all.length)
    notes.push(
      `attribute '${name}': ${all.length - frequent.length} of ${all.length} values occur on fewer than ` +
        `${limits.minimumItems} items and are not learnt`,
    );
  if (frequent.length < 2) return leaveOut(`fewer than two values occur on ${limits.minimumItems} items`);
  if (frequent.length <= limits.maximumValues) return frequent;
  notes.push(`attribute '${name}': only the ${limits.maximumValues} most frequent values are learnt`);
  const count = (value: string) => column.items.get(value)?.size ?? 0;
  return [...frequent]
    .sort((a, b) => count(b) - count(a) || byCodePoint(a, b))
    .slice(0, limits.maximumValues)
    .sort(byCodePoint);
}

function inferLevels(candidates: readonly Column[], itemCount: number, notes: string[]): string[] {
  const levels: Column[] = [];
  for (const column of candidates) {
    if (column.items.size >= itemCount) continue;
    const ambiguous = [...column.valuesOf.values()].filter((values) => values.size > 1).length;
    const missing = itemCount - column.valuesOf.size;
    if (ambiguous > 0 || missing > 0) {
      const reason = ambiguous > 0 ? `${ambiguous} items have several values` : `${missing} items have none`;
      notes.push(`attribute '${column.name}' is no level: ${reason} of it`);
      continue;
    }
    levels.push(column);
  }
  levels.sort((a, b) => b.items.size - a.items.size || byCodePoint(a.name, b.name));
  levels.slice(1).forEach((coarse, index) => {
    const fine = levels[index] as Column;
    if (!isFunctionOf(coarse, fine))
      notes.push(
        `levels: items that share '${fine.name}' can differ in '${coarse.name}'; name the levels by hand if ` +
          'they are to nest',
      );
  });
  return [ITEM_LEVEL, ...levels.map((column) => column.name)];
}

function isFunctionOf(coarse: Column, fine: Column): boolean {
  return [...fine.items.values()].every(
    (items) => new Set([...items].map((item) => [...(coarse.valuesOf.get(item) ?? [])][0])).size <= 1,
  );
}

function schemaProblems(schema: Schema): string[] {
  const problems: string[] = [];
  const names = schema.attributes.map((attribute) => attribute.name);
  if (new Set(names).size < names.length) problems.push('attribute names must be different');
  for (const { name, values } of schema.attributes)
    if (new Set(values).size < values.length) problems.push(`the values of '${name}' must be different`);
  if (schema.levels[0] !== ITEM_LEVEL)
    problems.push(`levels must begin with '${ITEM_LEVEL}', got ${JSON.stringify(schema.levels)}`);
  if (new Set(schema.levels).size < schema.levels.length) problems.push('levels must be different');
  for (const level of schema.levels.slice(1)) {
    const attribute = schema.attributes.find(({ name }) => name === level);
    if (attribute?.kind !== 'single')
      problems.push(
        `level '${level}' must be a single attribute, got ${attribute?.kind ?? 'no such attribute'}. ` +
          `Choose from: ${schema.attributes
            .filter(({ kind }) => kind === 'single')
            .map(({ name }) => name)
            .join(', ')}`,
      );
  }
  return problems;
}
