/**
 * Reads a public dataset that a user brings and writes its manifest. What readers have in common is here: finding the
 * folder, pictures that are listed and not there, validation items out of the training part, counts against the
 * official ones, and what is odd about the protocol as a whole.
 */
import { join, resolve } from 'node:path';
import { DataError, type StartProgress, sha256OfFile, silentProgress } from '../../util/index.js';
import { type ManifestEntry, manifestPath, SPLITS, type Split, writeManifest } from '../manifest.js';
import { Anomalies, type Anomaly } from './anomalies.js';
import type { DatasetReader, ListedPicture, Listing, Protocol, SplitCount } from './dataset-reader.js';
import { findPictureBase, findRoot, PictureFolder } from './source-folder.js';
import { chooseValidationFamilies } from './validation-share.js';

export interface ImportOptions {
  /** Where the manifest goes. Default `manifest.csv` in the dataset's folder. `.jsonl` writes JSON lines. */
  out?: string;
  /** Share of the training items that become validation items, 0 to 0.9. Default: the reader's. */
  validationShare?: number;
  /** Share of the items to be judged on, for a dataset without a split, 0 to 0.9. Default: the reader's. */
  testShare?: number;
  /** Keep rows whose picture is not on disk. Default false: they are left out and counted. */
  keepMissing?: boolean;
  /** Write the boxes: pictures are then cut to them everywhere. Default false, as published protocols have it. */
  boxes?: boolean;
  /** One of the reader's benchmarks. */
  benchmark?: string;
  progress?: StartProgress;
  signal?: AbortSignal;
}

/** What was read and written. */
export interface ImportSummary {
  readonly dataset: string;
  /** The folder in which the dataset was found, absolute. */
  readonly root: string;
  readonly manifest: string;
  /** SHA-256 of the manifest. */
  readonly manifestHash: string;
  readonly pictures: number;
  readonly items: number;
  readonly splits: Readonly<Partial<Record<Split, SplitCount>>>;
  /** Different values of each attribute, and pictures that have any. */
  readonly attributes: Readonly<Record<string, { values: number; pictures: number }>>;
  readonly levels: readonly string[];
  readonly protocol: Protocol;
  /** Official numbers that differ from what is listed. */
  readonly differences: readonly string[];
  readonly anomalies: readonly Anomaly[];
  readonly notes: readonly string[];
  readonly licence: string;
  readonly homepage: string;
}

/**
 * Reads a dataset and writes its manifest.
 * @throws DataError: not this dataset, a listing that is damaged (file and line), no picture on disk, not writable
 */
export async function importDataset(
  reader: DatasetReader,
  directory: string,
  options: ImportOptions = {},
): Promise<ImportSummary> {
  const { validationShare = reader.validationShare, signal, progress = silentProgress } = options;
  const testShare = options.testShare ?? reader.testShare ?? 0;
  for (const [name, share] of Object.entries({ validation: validationShare, test: testShare })) {
    if (share >= 0 && share <= 0.9) continue;
    throw new DataError(`${name} share: a number from 0 to 0.9 is required, got ${share}`);
  }
  const { root, marker } = await findRoot(directory, reader.markers, reader.title, {
    acceptsAnyFile: reader.acceptsAnyFile === true,
  });
  const anomalies = new Anomalies();
  const listing = await reader.read(root, {
    marker,
    anomalies,
    benchmark: options.benchmark ?? reader.benchmarks?.[0],
    testShare,
    progress,
    signal,
  });
  if (listing.pictures.length === 0) {
    throw new DataError(`${reader.title}: at least one picture is required, got none. Unpack it again`, {
      file: join(root, marker),
    });
  }
  const notes = [...listing.notes];
  if (resolve(directory) !== root && reader.acceptsAnyFile !== true) notes.unshift(`found in ${root}`);
  const listed = withoutRepeats(listing.pictures, anomalies);
  const differences = compareCounts(countSplits(listed), listing);
  const base = await findPictureBase(
    root,
    listing.pictureBases,
    listed.map(({ path }) => path),
  );
  const kept = await locatePictures(reader, { root, base, listed, anomalies, progress }, options);
  const families = validationFamilies(reader, kept, validationShare);
  if (families.size > 0) notes.push('splits train and val together are the official training part');
  const out = resolve(options.out ?? join(root, 'manifest.csv'));
  const rows = kept.map((picture): ManifestEntry => {
    const isValidation = picture.split === 'train' && families.has(familyOf(picture));
    return {
      relativePath: manifestPath(out, join(root, base, picture.path)),
      itemId: picture.itemId,
      split: isValidation ? 'val' : picture.split,
      source: picture.source,
      attributes: picture.attributes,
      ...((options.boxes === true || reader.keepsBoxes) && picture.box !== undefined
        ? { box: picture.box }
        : {}),
    };
  });
  inspectProtocol(rows, anomalies);
  const attributes = countAttributes(rows, listing.attributeNames);
  await writeManifest(out, rows, { attributeNames: Object.keys(attributes) });
  return {
    dataset: reader.title,
    root,
    manifest: out,
    manifestHash: await sha256OfFile(out),
    pictures: rows.length,
    items: new Set(rows.map(({ itemId }) => itemId)).size,
    splits: countSplits(rows),
    attributes,
    levels: listing.levels,
    protocol: listing.protocol ?? reader.protocol,
    differences,
    anomalies: anomalies.list(),
    notes,
    licence: reader.licence,
    homepage: reader.homepage,
  };
}

// --- internal ---

const familyOf = ({ family, itemId }: ListedPicture) => family ?? itemId;

/** One row a picture: the first counts. */
function withoutRepeats(pictures: readonly ListedPicture[], anomalies: Anomalies): readonly ListedPicture[] {
  const seen = new Map<string, ListedPicture>();
  for (const picture of pictures) {
    const before = seen.get(picture.path);
    if (before === undefined) seen.set(picture.path, picture);
    else if (before.itemId !== picture.itemId || before.split !== picture.split) {
      anomalies.add('pictures listed twice, with different items or splits; the first counts', picture.path);
    } else anomalies.add('pictures listed twice', picture.path);
  }
  return [...seen.values()];
}

function countSplits(
  rows: readonly { readonly itemId: string; readonly split: Split }[],
): Partial<Record<Split, SplitCount>> {
  const counts: Partial<Record<Split, SplitCount>> = {};
  for (const split of SPLITS) {
    const inSplit = rows.filter((row) => row.split === split);
    if (inSplit.length === 0) continue;
    counts[split] = { pictures: inSplit.length, items: new Set(inSplit.map(({ itemId }) => itemId)).size };
  }
  return counts;
}

function compareCounts(
  counts: Partial<Record<Split, SplitCount>>,
  { official = {} }: Listing,
): readonly string[] {
  const differences: string[] = [];
  for (const split of SPLITS) {
    for (const what of ['pictures', 'items'] as const) {
      const expected = official[split]?.[what];
      const actual = counts[split]?.[what] ?? 0;
      if (expected !== undefined && expected !== actual) {
        differences.push(`${split}: ${actual} ${what} are listed, ${expected} are official`);
      }
    }
  }
  return differences;
}

/** The pictures that are on disk, under their real names; all of them where missing ones are to be kept. */
async function locatePictures(
  reader: DatasetReader,
  found: {
    root: string;
    base: string;
    listed: readonly ListedPicture[];
    anomalies: Anomalies;
    progress: StartProgress;
  },
  { keepMissing = false, signal }: ImportOptions,
): Promise<readonly ListedPicture[]> {
  const { root, base, listed, anomalies } = found;
  const folder = new PictureFolder(join(root, base));
  const kept: ListedPicture[] = [];
  let missing = 0;
  const progress = found.progress('looking up', listed.length);
  try {
    for (const [index, picture] of listed.entries()) {
      if (index % 256 === 0) {
        signal?.throwIfAborted();
        progress.update(index);
      }
      const path = await folder.locate(picture.path);
      if (path === undefined) {
        missing++;
        anomalies.add(
          `listed pictures are not on disk${keepMissing ? '' : ' and are left out'}`,
          join(base, picture.path),
        );
        if (keepMissing) kept.push(picture);
        continue;
      }
      if (path !== picture.path) {
        anomalies.add('pictures differ from their listing in upper and lower case', picture.path);
      }
      kept.push(path === picture.path ? picture : { ...picture, path });
    }
    progress.update(listed.length);
  } finally {
    progress.stop();
  }
  if (missing === listed.length && !keepMissing) {
    throw new DataError(
      `${reader.title}: none of ${listed.length} listed pictures is on disk, e.g. ` +
        `${join(base, listed[0]!.path)}. Unpack the pictures there, or keep the rows with --keep-missing`,
      { file: root },
    );
  }
  return kept;
}

function validationFamilies(
  reader: DatasetReader,
  pictures: readonly ListedPicture[],
  share: number,
): ReadonlySet<string> {
  if (pictures.some(({ split }) => split === 'val')) return new Set();
  const training = pictures.filter(({ split }) => split === 'train');
  const families = new Map(training.map((picture) => [picture.itemId, familyOf(picture)]));
  return chooseValidationFamilies(families, share, reader.title);
}

/** Oddities that decide what a protocol can measure. */
function inspectProtocol(rows: readonly ManifestEntry[], anomalies: Anomalies): void {
  const splitsOf = new Map<string, Map<Split, number>>();
  for (const { itemId, split } of rows) {
    const counts = splitsOf.get(itemId) ?? new Map<Split, number>();
    counts.set(split, (counts.get(split) ?? 0) + 1);
    splitsOf.set(itemId, counts);
  }
  for (const [itemId, counts] of splitsOf) {
    const learnt = (counts.get('train') ?? 0) + (counts.get('val') ?? 0);
    const judged = counts.size - (counts.has('train') ? 1 : 0) - (counts.has('val') ? 1 : 0);
    if (learnt > 0 && judged > 0) anomalies.add('items are both in training and in test', itemId);
    if (counts.get('train') === 1) {
      anomalies.add('training items have one picture and make no positive pair', itemId);
    }
    const gallery = (counts.get('gallery') ?? 0) + (counts.get('test') ?? 0);
    if ((counts.get('query') ?? 0) > 0 && gallery === 0) {
      anomalies.add('items of queries have no picture in the gallery', itemId);
    }
    if (counts.get('test') === 1 && gallery === 1) {
      anomalies.add('test items have one picture, and so no match', itemId);
    }
  }
}

/** Attributes that no picture has are left out. */
function countAttributes(
  rows: readonly ManifestEntry[],
  names: readonly string[],
): Record<string, { values: number; pictures: number }> {
  const counts: Record<string, { values: number; pictures: number }> = {};
  for (const name of names) {
    const values = new Set<string>();
    let pictures = 0;
    for (const { attributes } of rows) {
      const known = attributes[name] ?? [];
      if (known.length > 0) pictures++;
      for (const value of known) values.add(value);
    }
    if (pictures > 0) counts[name] = { values: values.size, pictures };
  }
  return counts;
}
