/**
 * Data that is a part of other data: a share of the training items, few pictures an item, one fold held out. Choices
 * are made by hash, so they are the same everywhere, and a smaller share is a part of a larger one.
 */
import { access } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { type Manifest, type ManifestRow, writeManifest } from '../../data/index.js';
import { DataError, sha256 } from '../../util/index.js';

/** What is made of a manifest; nothing at all leaves it as it is. */
export interface Derivation {
  /** Share of the training items that are kept, in (0, 1]. */
  readonly items?: number;
  /** At most so many training pictures of an item. */
  readonly picturesPerItem?: number;
  /** Decides which items and pictures are kept; there only where one of the two is. */
  readonly seed?: number;
  /** Of the identities of `train` and `val`, fold `index` of `count` is held out. */
  readonly fold?: {
    readonly index: number;
    readonly count: number;
    readonly by?: string | undefined;
    /** `test`: the fold is what is judged, and nothing is validated on. `val`: it is validated on. */
    readonly as: 'test' | 'val';
  };
}

/**
 * The rows of a derivation, in their order. Rows of `query`, `gallery` and `test` stay, unless a fold takes their place.
 * @param groupOf what is never on two sides of a fold, e.g. an item's family.
 */
export function deriveRows(
  rows: readonly ManifestRow[],
  { items = 1, picturesPerItem = Number.POSITIVE_INFINITY, seed = 0, fold }: Derivation,
  groupOf: (row: ManifestRow) => string,
): ManifestRow[] {
  const split = fold === undefined ? [...rows] : holdOut(rows, fold, groupOf);
  const training = split.filter((row) => row.split === 'train');
  const kept = new Set(firstByHash([...new Set(training.map(({ itemId }) => itemId))], items, seed));
  const keptPictures = new Set<ManifestRow>();
  for (const pictures of groupBy(training, ({ itemId }) => itemId).values()) {
    const ordered = [...pictures].sort(byHash((row) => `${seed}:picture:${row.relativePath}`));
    for (const row of ordered.slice(0, picturesPerItem)) keptPictures.add(row);
  }
  return split.filter((row) => row.split !== 'train' || (kept.has(row.itemId) && keptPictures.has(row)));
}

/**
 * The fold of each group: balanced by pictures, whatever the order of the rows.
 * @throws DataError when there are fewer groups than folds.
 */
export function foldsOf(
  rows: readonly ManifestRow[],
  count: number,
  groupOf: (row: ManifestRow) => string,
): ReadonlyMap<string, number> {
  const groups = groupBy(rows, groupOf);
  if (groups.size < count) {
    throw new DataError(
      `folds: there must be at least ${count} groups of items to divide, got ${groups.size}`,
    );
  }
  const sizes = new Array<number>(count).fill(0);
  const folds = new Map<string, number>();
  for (const group of [...groups.keys()].sort(byHash((key) => `fold:${key}`))) {
    const smallest = sizes.indexOf(Math.min(...sizes));
    sizes[smallest]! += groups.get(group)!.length;
    folds.set(group, smallest);
  }
  return folds;
}

/**
 * The manifest of a derivation: the manifest itself where nothing is derived, otherwise a file in `folder` named by
 * what it is; written once.
 */
export async function derivedManifest(
  manifest: Manifest,
  dataHash: string,
  derivation: Derivation,
  groupOf: (row: ManifestRow) => string,
  folder: string,
): Promise<string> {
  if (Object.keys(derivation).length === 0) return manifest.file;
  const file = join(folder, `${sha256(JSON.stringify([dataHash, derivation])).slice(0, 12)}.csv`);
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (isThere) return file;
  const from = dirname(resolve(file));
  const rows = deriveRows(manifest.rows, derivation, groupOf).map((row) => ({
    ...row,
    relativePath: relative(from, row.path),
  }));
  await writeManifest(file, rows, { attributeNames: manifest.attributeNames });
  return file;
}

// --- internal ---

function holdOut(
  rows: readonly ManifestRow[],
  { index, count, as }: NonNullable<Derivation['fold']>,
  groupOf: (row: ManifestRow) => string,
): ManifestRow[] {
  const isDivided = ({ split }: ManifestRow) => split === 'train' || split === 'val';
  const folds = foldsOf(rows.filter(isDivided), count, groupOf);
  return rows.flatMap((row): ManifestRow[] => {
    if (!isDivided(row)) return as === 'test' ? [] : [row];
    return [{ ...row, split: folds.get(groupOf(row)) === index ? as : 'train' }];
  });
}

function firstByHash(items: readonly string[], share: number, seed: number): string[] {
  const ordered = [...items].sort(byHash((item) => `${seed}:item:${item}`));
  return ordered.slice(0, Math.max(1, Math.round(share * ordered.length)));
}

function byHash<T>(keyOf: (value: T) => string): (a: T, b: T) => number {
  const hashes = new Map<T, string>();
  const hash = (value: T) => {
    const known = hashes.get(value) ?? sha256(keyOf(value));
    hashes.set(value, known);
    return known;
  };
  return (a, b) => (hash(a) < hash(b) ? -1 : hash(a) > hash(b) ? 1 : 0);
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const key = keyOf(value);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
