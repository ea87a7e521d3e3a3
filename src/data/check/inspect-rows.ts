/** What can be said of a manifest without opening a picture: identities and splits, attributes, sources. */
import type { Manifest, ManifestRow } from '../manifest.js';
import { type Finding, finding, roleOf } from './finding.js';

/** How an attribute is spread. Shares are of the items that have a value. */
export interface AttributeSummary {
  readonly name: string;
  /** `multi` when any picture has several values. */
  readonly kind: 'single' | 'multi';
  readonly values: number;
  /** Items with a value. */
  readonly items: number;
  readonly mostFrequent: string | undefined;
  /** Share of the items that have the most frequent value, 0 to 1. */
  readonly mostFrequentShare: number;
  /** Values on fewer than `RARE` items. */
  readonly rareValues: number;
  /** Every item has exactly one value: the attribute can be a level. */
  readonly isLevel: boolean;
}

/** A value on fewer items than this is hardly learnt or judged. */
export const RARE = 5;

/** All findings about rows, the graver first. */
export function inspectRows({ rows, attributeNames }: Manifest): {
  findings: readonly Finding[];
  attributes: readonly AttributeSummary[];
} {
  const items = groupByItem(rows);
  const attributes = attributeNames.map((name) => summarise(name, items));
  const findings = [
    ...inspectSplits(items),
    ...inspectMatches(rows, items),
    ...attributes.flatMap((attribute) => inspectAttribute(attribute, items)),
    ...inspectSources(rows),
  ];
  return { findings: findings.filter((found) => found !== undefined), attributes };
}

// --- internal ---

type Items = ReadonlyMap<string, readonly ManifestRow[]>;
type Findings = (Finding | undefined)[];

const percent = (share: number) => `${(100 * share).toFixed(share > 0.995 && share < 1 ? 1 : 0)} %`;
const quoted = (values: readonly string[]) => values.map((value) => `'${value}'`);

function groupByItem(rows: readonly ManifestRow[]): Items {
  const items = new Map<string, ManifestRow[]>();
  for (const row of rows) {
    const found = items.get(row.itemId);
    if (found === undefined) items.set(row.itemId, [row]);
    else found.push(row);
  }
  return items;
}

function inspectSplits(items: Items): Findings {
  const shared = { judged: [] as string[], validated: [] as string[] };
  for (const [itemId, rows] of items) {
    const roles = new Set(rows.map(({ split }) => roleOf(split)));
    if (!roles.has('trained')) continue;
    if (roles.has('judged')) shared.judged.push(itemId);
    if (roles.has('validated')) shared.validated.push(itemId);
  }
  return [
    finding(
      'item-trained-and-judged',
      shared.judged.length,
      `${shared.judged.length} items are both in training and in test`,
      'Figures would praise what was learnt by heart: put all pictures of an item in one split',
      shared.judged,
    ),
    finding(
      'item-trained-and-validated',
      shared.validated.length,
      `${shared.validated.length} items are both in training and in validation`,
      'Choices would favour learning by heart: put all pictures of an item in one split',
      shared.validated,
    ),
  ];
}

function inspectMatches(rows: readonly ManifestRow[], items: Items): Findings {
  const singles: string[] = [];
  const lonely: string[] = [];
  let judged = 0;
  let queries = 0;
  for (const [itemId, pictures] of items) {
    const count = (split: string) => pictures.filter((row) => row.split === split).length;
    if (count('train') === 1) singles.push(itemId);
    const both = count('test');
    const asked = count('query') + both;
    queries += asked;
    judged += asked + count('gallery');
    const gallery = count('gallery') + both;
    // A picture that is both never finds itself.
    if (asked > 0 && (gallery === 0 || (gallery === 1 && both === 1 && asked === 1))) lonely.push(itemId);
  }
  const trained = rows.filter(({ split }) => split === 'train').length;
  const hasValidation = rows.some(({ split }) => split === 'val');
  const trainedItems = [...items.values()].filter((pictures) =>
    pictures.some(({ split }) => split === 'train'),
  );
  return [
    finding(
      'no-judged-pictures',
      queries === 0 && judged === 0 ? 1 : 0,
      'no picture is for judging (query and gallery, or test)',
      'Give some items the split test',
    ),
    finding(
      'no-validation',
      trained > 0 && !hasValidation ? 1 : 0,
      'no picture is for validation (val)',
      'Give about a tenth of the training items the split val: choices must not be made on test',
    ),
    finding(
      'query-without-match',
      lonely.length,
      `${lonely.length} items of queries have no other picture to be found`,
      'They are not judged at the level of items; a level such as a category still is',
      lonely,
    ),
    finding(
      'training-singleton',
      singles.length,
      `${singles.length} of ${trainedItems.length} training items have one picture`,
      singles.length === trainedItems.length
        ? 'No two pictures show one item: train with an attribute as positives (--set positives=…)'
        : 'They make no positive pair: two augmented views stand in for it',
      singles,
    ),
  ];
}

function summarise(name: string, items: Items): AttributeSummary {
  const itemsOf = new Map<string, number>();
  let isMulti = false;
  let known = 0;
  let single = 0;
  for (const rows of items.values()) {
    const values = new Set<string>();
    let isWhole = true;
    for (const { attributes } of rows) {
      const here = attributes[name] ?? [];
      if (here.length > 1) isMulti = true;
      if (here.length !== 1) isWhole = false;
      for (const value of here) values.add(value);
    }
    for (const value of values) itemsOf.set(value, (itemsOf.get(value) ?? 0) + 1);
    if (values.size > 0) known++;
    if (isWhole && values.size === 1) single++;
  }
  let mostFrequent: string | undefined;
  let most = 0;
  for (const [value, count] of itemsOf) if (count > most) [mostFrequent, most] = [value, count];
  return {
    name,
    kind: isMulti ? 'multi' : 'single',
    values: itemsOf.size,
    items: known,
    mostFrequent,
    mostFrequentShare: known === 0 ? 0 : most / known,
    rareValues: [...itemsOf.values()].filter((count) => count < RARE).length,
    isLevel: !isMulti && itemsOf.size > 1 && single === items.size,
  };
}

const DOMINATED = 0.95;
const MANY_VALUES = 0.5;

function inspectAttribute(attribute: AttributeSummary, items: Items): Findings {
  const { name, kind, values, items: known, mostFrequent, mostFrequentShare, rareValues } = attribute;
  if (values === 0) {
    return [
      finding('empty-attribute', 1, `attribute '${name}' has no value anywhere`, 'Fill or delete the column'),
    ];
  }
  if (values === 1) {
    return [
      finding(
        'constant-attribute',
        1,
        `attribute '${name}' has one value only, '${mostFrequent}'`,
        'It tells nothing apart and is not learnt: delete the column',
      ),
    ];
  }
  const isIdentity = kind === 'single' && values > MANY_VALUES * known;
  return [
    finding(
      'dominated-attribute',
      kind === 'single' && mostFrequentShare >= DOMINATED ? 1 : 0,
      `attribute '${name}' is '${mostFrequent}' for ${percent(mostFrequentShare)} of the items that have it`,
      'Read its figures beside this share: always guessing it is right as often',
    ),
    finding(
      'rare-values',
      isIdentity ? 0 : rareValues,
      `attribute '${name}': ${rareValues} of ${values} values are on fewer than ${RARE} items`,
      'They are hardly learnt or judged: merge them, or leave them unknown',
    ),
    isIdentity ? undefined : inspectUnlearnt(attribute, items),
    inspectSteadiness(attribute, items),
  ];
}

/** Values that only pictures have on which nothing is learnt. */
function inspectUnlearnt({ name, values }: AttributeSummary, items: Items): Finding | undefined {
  const trained = new Set<string>();
  const other = new Set<string>();
  for (const rows of items.values()) {
    for (const { split, attributes } of rows) {
      for (const value of attributes[name] ?? []) (split === 'train' ? trained : other).add(value);
    }
  }
  if (trained.size === 0) return undefined;
  const unlearnt = [...other].filter((value) => !trained.has(value));
  return finding(
    'unlearnt-values',
    unlearnt.length,
    `attribute '${name}': ${unlearnt.length} of ${values} values occur outside training only`,
    'A head cannot predict them; as a level they are judged all the same',
    quoted(unlearnt),
  );
}

/** An attribute that nearly all items have one value of, and some several. */
function inspectSteadiness({ name, kind }: AttributeSummary, items: Items): Finding | undefined {
  if (kind === 'multi') return undefined;
  const unsteady: string[] = [];
  let several = 0;
  for (const [itemId, rows] of items) {
    const values = new Set(rows.flatMap(({ attributes }) => attributes[name] ?? []));
    if (rows.length > 1) several++;
    if (values.size > 1) unsteady.push(`${itemId}: ${[...values].join(', ')}`);
  }
  const isNearlySteady = unsteady.length <= 0.05 * several;
  return finding(
    'unsteady-attribute',
    isNearlySteady ? unsteady.length : 0,
    `attribute '${name}': ${unsteady.length} items have several values on their pictures, the others one`,
    'If it is meant to be of the item, correct them: only then it is found to be a level by itself',
    unsteady,
  );
}

function inspectSources(rows: readonly ManifestRow[]): Findings {
  const counts = new Map<string, number>();
  for (const { source } of rows) if (source !== undefined) counts.set(source, (counts.get(source) ?? 0) + 1);
  const known = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (known === 0) return [];
  const [largest, most] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
  return [
    finding(
      'missing-source',
      rows.length - known,
      `${rows.length - known} pictures have no source, ${known} have one`,
      'Fill the column, or hits of the same source cannot be left out',
    ),
    finding(
      'one-source',
      most > 0.8 * known ? 1 : 0,
      counts.size === 1
        ? `all pictures are of one source, '${largest}'`
        : `${percent(most / known)} of the pictures are of one source, '${largest}'`,
      'Search among its own pictures is easier than in life: judge across sources where there are several',
    ),
  ];
}
