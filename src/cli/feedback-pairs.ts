/**
 * What people said of search results, as pairs of pictures to train on: `train --feedback`.
 *
 * A verdict's pictures are looked for among the rows of the manifest, by place and by content. One that is of another split
 * than train takes no part, so that nothing is trained on what is judged; one that is not in the manifest is a further
 * picture without labels.
 */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { boxOfId } from '../catalog/index.js';
import type { Box, Manifest, ManifestRow } from '../data/index.js';
import { ITEM_LEVEL, levelIndex, type Schema } from '../granularity/index.js';
import type { FeedbackEntry } from '../server/index.js';
import type { PairVerdict } from '../training/index.js';
import { DataError, sha256OfFile } from '../util/index.js';

/** Two pictures and what was said of them. Rows that are not of the manifest have no item, and no attributes. */
export interface FeedbackPair {
  readonly rows: readonly [ManifestRow, ManifestRow];
  readonly verdict: PairVerdict;
}

export interface FeedbackCounts {
  /** Verdicts that there are. */
  readonly verdicts: number;
  readonly positive: number;
  readonly negative: number;
  /** Pairs that labels no longer push apart. */
  readonly spared: number;
  /** Verdicts left out: a picture is of a split that is not train. */
  readonly heldOut: number;
  /** Verdicts left out: a picture is gone. */
  readonly gone: number;
  /** Verdicts left out: a later one says otherwise of the same two pictures. */
  readonly contradicted: number;
  /** Verdicts left out: they say nothing at the level that is trained, nothing new, or compare a picture with itself. */
  readonly idle: number;
  /** Pictures of the pairs that are not in the manifest. */
  readonly added: number;
}

export interface FeedbackPairs {
  /** Each two pictures once, ordered by what they are: not by when it was said. */
  readonly pairs: readonly FeedbackPair[];
  readonly counts: FeedbackCounts;
}

/**
 * @param entries the last word of each key, the last word last; paths are absolute or relative to `folder`
 * @param folder the catalogue
 * @param positives what makes two pictures a positive pair in training: `item_id` or a level of the schema
 * @throws DataError when `positives` is no level
 */
export async function feedbackPairs(
  entries: readonly FeedbackEntry[],
  folder: string,
  manifest: Manifest,
  schema: Schema,
  positives: string = ITEM_LEVEL,
): Promise<FeedbackPairs> {
  const trained = schema.levels.indexOf(positives);
  if (trained === -1) {
    throw new DataError(
      `train --feedback: positives must be one of the levels, ${schema.levels.join(', ')}, got '${positives}'`,
    );
  }
  const find = await pictureFinder(entries, folder, manifest);
  const counts = { heldOut: 0, gone: 0, contradicted: 0, idle: 0 };
  const said = new Map<string, FeedbackPair[]>();
  for (const { query, hit, verdict, level } of entries) {
    const found = [find(query), find(hit)] as const;
    // A region of what is judged is judged, too.
    const isOfHeldOut = query.of !== undefined && find(query.of) === 'held out';
    if (isOfHeldOut || found.includes('held out')) counts.heldOut++;
    else if (found.includes('gone')) counts.gone++;
    else {
      const rows = found as readonly [ManifestRow, ManifestRow];
      const says = verdictAt(trained, levelIndex(level, schema.levels.length), verdict);
      if (says === undefined || rows[0] === rows[1]) counts.idle++;
      else append(said, rows.map(placeOf).sort().join('\n'), { rows, verdict: says });
    }
  }
  const pairs: FeedbackPair[] = [];
  for (const key of [...said.keys()].sort()) {
    const verdicts = said.get(key) as FeedbackPair[];
    // That two pictures share a look says nothing against what was said of their item.
    const last = verdicts.findLast(({ verdict }) => verdict !== 'spared') ?? (verdicts[0] as FeedbackPair);
    pairs.push(last);
    const others = verdicts.filter((pair) => pair !== last);
    const isAgainst = ({ verdict }: FeedbackPair) => verdict !== 'spared' && verdict !== last.verdict;
    counts.contradicted += others.filter(isAgainst).length;
    counts.idle += others.filter((pair) => !isAgainst(pair)).length;
  }
  const count = (wanted: PairVerdict) => pairs.filter(({ verdict }) => verdict === wanted).length;
  const inData = new Set(manifest.rows);
  const added = new Set(pairs.flatMap(({ rows }) => rows).filter((row) => !inData.has(row)));
  return {
    pairs,
    counts: {
      verdicts: entries.length,
      positive: count('positive'),
      negative: count('negative'),
      spared: count('spared'),
      ...counts,
      added: added.size,
    },
  };
}

/** One line on what becomes of the verdicts. */
export function describeFeedback(counts: FeedbackCounts): string {
  const { verdicts, positive, negative, spared, added, heldOut, gone, contradicted, idle } = counts;
  const left = [
    [heldOut, 'about pictures of other splits than train'],
    [gone, 'about pictures that are gone'],
    [contradicted, 'taken back by a later one of the same pictures'],
    [idle, 'that add nothing at the level that is trained'],
  ] as const;
  const out = left.filter(([number]) => number > 0).map(([number, why]) => `${number} ${why}`);
  return (
    `${verdicts} verdicts: ${positive} pairs alike, ${negative} not` +
    `${spared > 0 ? `, ${spared} no longer pushed apart` : ''}` +
    `${added > 0 ? `, with ${added} pictures that are not in the data` : ''}` +
    `${out.length > 0 ? `; left out: ${out.join(', ')}` : ''}`
  );
}

// --- internal ---

/** What a verdict at a level (0 the finest) says where pictures that agree at the level `trained` are to be alike. */
function verdictAt(trained: number, level: number, verdict: 'up' | 'down'): PairVerdict | undefined {
  if (verdict === 'up') return level <= trained ? 'positive' : 'spared';
  return level >= trained ? 'negative' : undefined;
}

function append<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

type Found = ManifestRow | 'held out' | 'gone';

/** Finds the row of a picture of an entry; rows are made for pictures that the manifest does not have. */
async function pictureFinder(
  entries: readonly FeedbackEntry[],
  folder: string,
  manifest: Manifest,
): Promise<(picture: { id?: string | undefined; path: string }) => Found> {
  const byPath = new Map<string, ManifestRow[]>();
  for (const row of manifest.rows) append(byPath, row.path, row);
  const pictures = new Map<string, { path: string; box: Box | undefined }>();
  const keyOf = ({ id, path }: { id?: string | undefined; path: string }) => {
    const place = { path: resolve(folder, path), box: boxOf(id, path) };
    const key = placeOf(place);
    pictures.set(key, place);
    return key;
  };
  for (const { query, hit } of entries)
    for (const picture of [query, hit, query.of]) if (picture !== undefined) keyOf(picture);
  const sizes = new Map<string, number | undefined>();
  for (const { path } of pictures.values()) {
    if (!sizes.has(path)) sizes.set(path, await sizeOf(path));
  }
  const copies = await copiesOf(
    [...sizes].flatMap(([path, size]) => (size === undefined ? [] : [{ path, size }])),
    manifest,
  );
  const found = new Map<string, Found>();
  for (const [key, { path, box }] of pictures) {
    const here = byPath.get(path) ?? [];
    const rows = [...here, ...(copies.get(path) ?? [])];
    if (rows.some(({ split }) => split !== 'train')) found.set(key, 'held out');
    else if (sizes.get(path) === undefined) found.set(key, 'gone');
    else {
      const match = rows.find((row) => placeOf({ path, box }) === placeOf({ path, box: row.box }));
      found.set(key, match ?? addedRow(path, box));
    }
  }
  return (picture) => found.get(keyOf(picture)) as Found;
}

/** A box is written at the end of a record's id; a path may end so, too. */
function boxOf(id: string | undefined, path: string): Box | undefined {
  if (id === undefined) return undefined;
  const box = boxOfId(id);
  return box !== undefined && path.endsWith(id.slice(id.lastIndexOf('#'))) ? undefined : box;
}

function placeOf({ path, box }: { path: string; box?: Box | undefined }): string {
  return box === undefined ? path : `${path}#${box.left},${box.top},${box.right},${box.bottom}`;
}

function addedRow(path: string, box: Box | undefined): ManifestRow {
  return {
    path,
    relativePath: path,
    itemId: '',
    split: 'train',
    source: undefined,
    sourceGroup: undefined,
    attributes: {},
    ...(box === undefined ? {} : { box }),
    line: 0,
  };
}

/** Bytes of a file; `undefined` where there is none. */
async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}

/** The rows at other places with the same bytes as a file, by the file's path. Only files of one size are compared. */
async function copiesOf(
  files: readonly { path: string; size: number }[],
  manifest: Manifest,
): Promise<Map<string, ManifestRow[]>> {
  const bySize = new Map<number, string[]>();
  for (const { path, size } of files) append(bySize, size, path);
  const copies = new Map<string, ManifestRow[]>();
  const hashes = new Map<string, string>();
  const hashOf = async (path: string) => {
    const hash = hashes.get(path) ?? (await sha256OfFile(path));
    hashes.set(path, hash);
    return hash;
  };
  for (const row of manifest.rows) {
    const candidates = bySize.get((await sizeOf(row.path)) ?? -1) ?? [];
    for (const path of candidates) {
      if (path === row.path || (await hashOf(path)) !== (await hashOf(row.path))) continue;
      append(copies, path, row);
    }
  }
  return copies;
}
