/**
 * Checks a manifest and its pictures: what is missing, broken, repeated or leaks from training into test, and how
 * attributes are spread. Nothing is changed; `repairManifest` writes a repaired copy.
 */
import { DataError, type StartProgress, silentProgress } from '../../util/index.js';
import { type Manifest, type ManifestRow, readManifest, SPLITS, type Split } from '../manifest.js';
import { type Finding, finding, roleOf } from './finding.js';
import { type AttributeSummary, inspectRows } from './inspect-rows.js';
import { groupNearDuplicates } from './near-duplicates.js';
import { HASH_WORDS, MINIATURE_BYTES } from './perceptual-hash.js';
import { type PictureScan, scanPictures } from './scan-pictures.js';

export interface CheckOptions {
  /** Shorter side in pixels below which a picture counts as tiny. Default 32. */
  minimumSide?: number;
  /** Do not open the pictures: only what the manifest itself says. Default false. */
  manifestOnly?: boolean;
  progress?: StartProgress;
  signal?: AbortSignal;
}

/** Rows whose pictures show the same. */
export interface DuplicateGroup {
  /** The files hold the same bytes; else they look the same (encoded or scaled anew). */
  readonly isExact: boolean;
  /** Indices of rows, ascending. */
  readonly rows: readonly number[];
}

export interface CheckReport {
  readonly manifest: Manifest;
  readonly items: number;
  readonly splits: Readonly<Partial<Record<Split, { pictures: number; items: number }>>>;
  /** Fewest, median and most pictures of an item. */
  readonly picturesPerItem: { readonly fewest: number; readonly median: number; readonly most: number };
  readonly sources: Readonly<Record<string, number>>;
  readonly attributes: readonly AttributeSummary[];
  /** Errors first. */
  readonly findings: readonly Finding[];
  readonly duplicates: readonly DuplicateGroup[];
  /** Rows whose picture cannot be used, and why. */
  readonly problems: PictureScan['problems'];
  /** Rows with a tiny picture. */
  readonly tiny: readonly number[];
}

/** @throws DataError when the manifest cannot be read, or none of its pictures */
export async function checkManifest(file: string, options: CheckOptions = {}): Promise<CheckReport> {
  const { minimumSide = 32, manifestOnly = false, progress = silentProgress, signal } = options;
  const manifest = await readManifest(file);
  const { rows } = manifest;
  const inspected = inspectRows(manifest);
  const scan = manifestOnly ? undefined : await scanPictures(rows, { progress, signal });
  if (scan !== undefined && scan.problems.size === rows.length) {
    const first = [...scan.problems.values()][0]!;
    throw new DataError(`none of ${rows.length} pictures can be read; the first: ${first.message}`, { file });
  }
  const duplicates = scan === undefined ? [] : findDuplicates(rows, scan, progress);
  const tiny = scan === undefined ? [] : tinyRows(scan, minimumSide);
  const findings = [
    ...(scan === undefined ? [] : pictureFindings(rows, scan, tiny, minimumSide)),
    ...duplicateFindings(rows, duplicates),
    ...inspected.findings,
  ].filter((found) => found !== undefined);
  return {
    manifest,
    ...overview(rows),
    attributes: inspected.attributes,
    findings: [...findings].sort(
      (a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'),
    ),
    duplicates,
    problems: scan?.problems ?? new Map(),
    tiny,
  };
}

// --- internal ---

function overview(
  rows: readonly ManifestRow[],
): Pick<CheckReport, 'items' | 'splits' | 'picturesPerItem' | 'sources'> {
  const perItem = new Map<string, number>();
  const bySplit = new Map<Split, { pictures: number; items: Set<string> }>();
  const sources: Record<string, number> = {};
  for (const { itemId, split, source } of rows) {
    perItem.set(itemId, (perItem.get(itemId) ?? 0) + 1);
    const found = bySplit.get(split) ?? { pictures: 0, items: new Set<string>() };
    found.pictures++;
    found.items.add(itemId);
    bySplit.set(split, found);
    if (source !== undefined) sources[source] = (Object.hasOwn(sources, source) ? sources[source]! : 0) + 1;
  }
  const counts = [...perItem.values()].sort((a, b) => a - b);
  const splits: Partial<Record<Split, { pictures: number; items: number }>> = {};
  for (const split of SPLITS) {
    const found = bySplit.get(split);
    if (found !== undefined) splits[split] = { pictures: found.pictures, items: found.items.size };
  }
  return {
    items: perItem.size,
    splits,
    picturesPerItem: { fewest: counts[0]!, median: counts[counts.length >> 1]!, most: counts.at(-1)! },
    sources,
  };
}

function findDuplicates(
  rows: readonly ManifestRow[],
  scan: PictureScan,
  startProgress: StartProgress,
): readonly DuplicateGroup[] {
  const byContent = new Map<string, number[]>();
  for (const [row, content] of scan.contents.entries()) {
    if (content === undefined) continue;
    const found = byContent.get(content);
    if (found === undefined) byContent.set(content, [row]);
    else found.push(row);
  }
  const contents = [...byContent.values()];
  // Only one of each content is compared with the others.
  const hashes = new Uint32Array(contents.length * HASH_WORDS);
  const miniatures = new Uint8Array(contents.length * MINIATURE_BYTES);
  for (const [index, [row]] of contents.entries()) {
    hashes.set(scan.hashes.subarray(HASH_WORDS * row!, HASH_WORDS * (row! + 1)), HASH_WORDS * index);
    miniatures.set(
      scan.miniatures.subarray(MINIATURE_BYTES * row!, MINIATURE_BYTES * (row! + 1)),
      MINIATURE_BYTES * index,
    );
  }
  const progress = startProgress('comparing', 8);
  const near = groupNearDuplicates(hashes, miniatures, contents.length, {
    onPart: (done) => progress.update(done),
  });
  progress.stop();
  const inNear = new Set(near.flat());
  const exact = contents.filter((group, index) => group.length > 1 && !inNear.has(index));
  const groups = [
    ...exact.map((group): DuplicateGroup => ({ isExact: true, rows: group })),
    ...near.map(
      (indices): DuplicateGroup => ({
        isExact: false,
        rows: indices.flatMap((index) => contents[index]!).sort((a, b) => a - b),
      }),
    ),
  ];
  // Two boxes of one file may look alike without being the same picture twice.
  return groups
    .filter(({ rows: members }) => !isOneFileInBoxes(members.map((row) => rows[row]!)))
    .sort((a, b) => a.rows[0]! - b.rows[0]!);
}

function isOneFileInBoxes(members: readonly ManifestRow[]): boolean {
  const boxes = new Set(members.map(({ box }) => JSON.stringify(box)));
  return new Set(members.map(({ path }) => path)).size === 1 && boxes.size === members.length;
}

function tinyRows({ shorterSides, problems }: PictureScan, minimumSide: number): readonly number[] {
  const tiny: number[] = [];
  for (const [row, side] of shorterSides.entries())
    if (!problems.has(row) && side < minimumSide) tiny.push(row);
  return tiny;
}

function pictureFindings(
  rows: readonly ManifestRow[],
  { problems, shorterSides }: PictureScan,
  tiny: readonly number[],
  minimumSide: number,
): (Finding | undefined)[] {
  const ordered = [...problems].sort(([a], [b]) => a - b);
  const missing = ordered.filter(([, { isMissing }]) => isMissing);
  const unreadable = ordered.filter(([, { isMissing }]) => !isMissing);
  return [
    finding(
      'missing-picture',
      missing.length,
      `${missing.length} of ${rows.length} pictures are not on disk`,
      'Put them there, or leave out their rows with --fix',
      missing.map(([row]) => `line ${rows[row]!.line}: ${rows[row]!.relativePath}`),
    ),
    finding(
      'unreadable-picture',
      unreadable.length,
      `${unreadable.length} of ${rows.length} pictures cannot be read`,
      'Get them anew, or leave out their rows with --fix',
      unreadable.map(([row, { message }]) => `line ${rows[row]!.line}: ${message}`),
    ),
    finding(
      'tiny-picture',
      tiny.length,
      `${tiny.length} of ${rows.length} pictures are smaller than ${minimumSide} pixels`,
      'Little can be seen on them: look whether they are thumbnails or placeholders',
      tiny.map((row) => `line ${rows[row]!.line}: ${rows[row]!.relativePath}, ${shorterSides[row]} pixels`),
    ),
  ];
}

function duplicateFindings(
  rows: readonly ManifestRow[],
  duplicates: readonly DuplicateGroup[],
): (Finding | undefined)[] {
  const examples: Record<'judged' | 'validated' | 'items' | 'repeated', string[]> = {
    judged: [],
    validated: [],
    items: [],
    repeated: [],
  };
  for (const { isExact, rows: members } of duplicates) {
    const pictures = members.map((row) => rows[row]!);
    const roles = new Set(pictures.map(({ split }) => roleOf(split)));
    const place = `${isExact ? 'same file' : 'same look'}: ${pictures
      .slice(0, 3)
      .map(({ relativePath, itemId, split }) => `${relativePath} (${itemId}, ${split})`)
      .join(' = ')}${pictures.length > 3 ? ` and ${pictures.length - 3} more` : ''}`;
    if (roles.has('trained') && roles.has('judged')) examples.judged.push(place);
    else if (roles.has('trained') && roles.has('validated')) examples.validated.push(place);
    else if (new Set(pictures.map(({ itemId }) => itemId)).size > 1) examples.items.push(place);
    else examples.repeated.push(place);
  }
  return [
    finding(
      'picture-trained-and-judged',
      examples.judged.length,
      `${examples.judged.length} pictures are both in training and in test`,
      'They are found by heart: remove them from training (--fix does)',
      examples.judged,
    ),
    finding(
      'picture-trained-and-validated',
      examples.validated.length,
      `${examples.validated.length} pictures are both in training and in validation`,
      'Remove them from training (--fix does)',
      examples.validated,
    ),
    finding(
      'picture-of-several-items',
      examples.items.length,
      `${examples.items.length} pictures are given for several items`,
      'They contradict themselves, in training and in judging: decide which item they show',
      examples.items,
    ),
    finding(
      'repeated-picture',
      examples.repeated.length,
      `${examples.repeated.length} pictures of an item are there more than once`,
      'A query finds its copy at once: keep one of each (--fix keeps the first of identical files)',
      examples.repeated,
    ),
  ];
}
