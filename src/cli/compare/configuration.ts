/**
 * What a comparison is: a YAML file, checked, with the line of whatever is wrong. Settings of the training itself are
 * checked when the plan is made, by the room that owns them.
 */
import { readFile } from 'node:fs/promises';
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml';
import { z } from 'zod';
import { DataError, errorMessage } from '../../util/index.js';

const settings = z.record(z.string(), z.unknown());
const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.+-]*$/,
    'must be of letters, digits and any of _ . + - (it names a folder)',
  );
const share = z.number().gt(0).max(1);
const perItem = z.union([z.int().positive(), z.literal('all')]);

const axes = z
  .object({ items: z.array(share).min(1).optional(), picturesPerItem: z.array(perItem).min(1).optional() })
  .catchall(z.array(z.unknown()).min(1));

const pair = z
  .tuple([z.number(), z.number()])
  .refine(([low, high]) => low < high, 'must be [low, high] with low < high');
const distribution = z.union(
  [
    z.strictObject({
      log: pair.refine(([low]) => low > 0, 'must be above 0'),
    }),
    z.strictObject({ uniform: pair }),
    z.strictObject({ integer: pair.refine((ends) => ends.every(Number.isInteger), 'must be whole numbers') }),
    z.strictObject({ choice: z.array(z.unknown()).min(1) }),
  ],
  'must be one of { log: [low, high] }, { uniform: [low, high] }, { integer: [low, high] }, { choice: [value, …] }',
);

/** Values that a hyperparameter may have, and how it is drawn from them. */
export type Distribution = z.infer<typeof distribution>;

const folds = z.preprocess(
  (value) => (typeof value === 'number' ? { count: value } : value),
  z.strictObject({ count: z.int().min(2), by: z.string().min(1).optional() }),
);

const comparisonFormat = z
  .strictObject({
    name,
    /** A dataset that can be built by its name, or a manifest, relative to the file. */
    data: z.string().min(1),
    /** Levels from fine to coarse; default: found in the data. */
    levels: z.array(z.string().min(1)).optional(),
    settings: settings.default({}),
    methods: z.record(
      name,
      settings.nullable().transform((value) => value ?? {}),
    ),
    seeds: z.array(z.int().min(0)).min(1).default([0, 1, 2]),
    folds: folds.optional(),
    judge: z.enum(['val', 'test']).default('val'),
    grid: z.preprocess(
      (value) => (value === undefined || Array.isArray(value) ? value : [value]),
      z.array(axes).min(1).optional(),
    ),
    search: z
      .strictObject({
        trials: z.int().positive(),
        /** Of the draws, and of the trials' trainings. */
        seed: z.int().min(0).default(0),
        settings: settings.default({}),
        score: z.string().min(1).default('mapAtR'),
        space: z.record(
          z.string(),
          z
            .record(z.string(), distribution)
            .nullable()
            .transform((value) => value ?? {}),
        ),
      })
      .optional(),
    comparisons: z.array(z.tuple([z.string(), z.string()])).default([]),
    metrics: z.array(z.string().min(1)).min(1).optional(),
  })
  .superRefine(({ methods, comparisons, search, seeds }, context) => {
    const issue = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message });
    const names = Object.keys(methods);
    if (names.length === 0) issue(['methods'], 'must name at least one method');
    const isMethod = (method: string) => Object.hasOwn(methods, method);
    comparisons.forEach((two, i) => {
      two.forEach((method, j) => {
        if (!isMethod(method))
          issue(['comparisons', i, j], `must be one of ${names.join(', ')}, got '${method}'`);
      });
      if (two[0] === two[1]) issue(['comparisons', i], `must be two methods, got '${two[0]}' twice`);
    });
    for (const method of Object.keys(search?.space ?? {})) {
      if (method !== EVERY_METHOD && !isMethod(method))
        issue(['search', 'space', method], `must be '*' or one of ${names.join(', ')}, got '${method}'`);
    }
    if (new Set(seeds).size < seeds.length) issue(['seeds'], `must differ, got [${seeds.join(', ')}]`);
  });

/** The key of `search.space` that is about every method. */
export const EVERY_METHOD = '*';

export type ComparisonConfiguration = z.infer<typeof comparisonFormat>;

/**
 * Reads and checks the configuration of a comparison.
 * @throws DataError with file and line.
 */
export async function readComparisonConfiguration(file: string): Promise<ComparisonConfiguration> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  return parseComparisonConfiguration(text, file);
}

/** As `readComparisonConfiguration`, of a text. @param file what errors name */
export function parseComparisonConfiguration(text: string, file: string): ComparisonConfiguration {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [broken] = document.errors;
  if (broken !== undefined) {
    throw new DataError(`is not valid YAML: ${broken.message}`, {
      file,
      line: lines.linePos(broken.pos[0]).line,
      cause: broken,
    });
  }
  const result = comparisonFormat.safeParse(document.toJS());
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const isUnknown = issue.code === 'unrecognized_keys';
  const path = isUnknown ? [...issue.path, issue.keys[0]!] : issue.path;
  const offset = offsetOf(document, path);
  const message = isUnknown
    ? 'is no key that a comparison has'
    : issue.code === 'invalid_key'
      ? (issue.issues[0]?.message ?? issue.message)
      : issue.message;
  throw new DataError(
    `${path.length === 0 ? 'comparison' : path.map(String).join('.')}: ${message}. See \`semblance compare --help\``,
    { file, ...(offset === undefined ? {} : { line: lines.linePos(offset).line }) },
  );
}

// --- internal ---

/** Where the node at a path begins, or the nearest one that holds it. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number | undefined {
  const parent = path.length === 0 ? undefined : document.getIn(path.slice(0, -1), true);
  if (isMap(parent)) {
    const pair = parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1));
    const start = isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
    if (start !== undefined) return start;
  }
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true) as Node | undefined;
    if (node?.range) return node.range[0];
  }
  return undefined;
}
