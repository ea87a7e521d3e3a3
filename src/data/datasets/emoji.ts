/**
 * The emoji dataset: one item drawn by several artists. The same code point drawn by another artist is another
 * picture of the same item; `subgroup` and `group` are its kinds, `tags` its attributes. Artwork, not photographs.
 *
 * Writes `manifest.csv`, `families.json` (family by item), `pictures/<source>/<code>.png` (transparent), `LICENSES.md`, `contact-sheet.png` and
 * `dataset.json`. The manifest depends on the pinned packages only, to the byte. An interrupted build goes on where
 * it stopped; a finished one is recognised without rendering anything.
 */
import { access, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import {
  DataError,
  readJson,
  type StartProgress,
  sha256,
  sha256OfFile,
  silentProgress,
  writeFileAtomic,
  writeJson,
} from '../../util/index.js';
import { type ManifestEntry, writeManifest } from '../manifest.js';
import { forEachInParallel } from '../parallel.js';
import { makeContactSheet } from './contact-sheet.js';
import {
  ART_SETS,
  collectAliases,
  type Drawing,
  EMOJI_DATA_PACKAGE,
  type LocateArtOptions,
  locateArt,
  PACKAGE_VERSIONS,
  readDrawings,
} from './emoji-art.js';
import { type EmojiItem, emojiItems } from './emoji-items.js';

export interface EmojiDatasetOptions extends LocateArtOptions {
  /** Width and height of the pictures, pixels. Default 96. */
  size?: number;
  progress?: StartProgress;
}

/** What was built, and where. */
export interface DatasetSummary {
  readonly dataset: string;
  readonly directory: string;
  readonly manifest: string;
  /** SHA-256 of the manifest. */
  readonly manifestHash: string;
  readonly pictures: number;
  readonly items: number;
  /** Items by split. */
  readonly splits: Readonly<Record<string, number>>;
  /** Pictures by source. */
  readonly sources: Readonly<Record<string, number>>;
  /** True when everything was there already. */
  readonly reused: boolean;
}

/**
 * Builds the dataset in a folder, or finds that it is there.
 * @throws DataError when the folder holds another dataset, the art cannot be installed, or a file cannot be written
 */
export async function buildEmojiDataset(
  directory: string,
  options: EmojiDatasetOptions = {},
): Promise<DatasetSummary> {
  const { size = 96, progress = silentProgress, signal } = options;
  if (!Number.isInteger(size) || size < 16 || size > 512) {
    throw new DataError(`emoji dataset: size must be a whole number from 16 to 512, got ${size}`);
  }
  const recipe: Recipe = { dataset: 'emoji', recipe: RECIPE_VERSION, size, packages: PACKAGE_VERSIONS };
  const before = await readRecord(directory);
  if (before !== undefined && sameRecipe(before, recipe)) {
    if (before.summary !== undefined && (await isWhole(directory, before.summary))) {
      return { ...before.summary, ...placesIn(directory), reused: true };
    }
  } else if (before !== undefined) {
    await rm(join(directory, 'pictures'), { recursive: true, force: true }); // made by another recipe
  }
  await writeJson(join(directory, RECORD), recipe);

  const folders = await locateArt(options);
  signal?.throwIfAborted();
  const dataFolder = folders.get(EMOJI_DATA_PACKAGE)!;
  const items = emojiItems(
    await readJson(join(dataFolder, 'en', 'data.json')),
    await readJson(join(dataFolder, 'meta', 'groups.json')),
  );
  const aliases = await collectAliases(folders, items);
  const drawings = new Map<string, ReadonlyMap<string, Drawing>>();
  for (const set of ART_SETS) {
    const drawn = await readDrawings(set, folders.get(set.package)!, items, size, aliases);
    drawings.set(set.source, await withoutRepeats(drawn));
  }
  const rows = rowsOf(items, drawings);
  await renderAll(directory, rows, size, progress, signal);
  await writeManifest(join(directory, MANIFEST), rows, { attributeNames: ['subgroup', 'group', 'tags'] });
  const families = Object.fromEntries(items.map(({ itemId, family }) => [itemId, family]));
  await writeJson(join(directory, FAMILIES_FILE), families);
  await writeFileAtomic(join(directory, 'LICENSES.md'), licencesText(size));
  await makeContactSheet(join(directory, 'contact-sheet.png'), sheetRows(directory, rows), {
    cellSize: size,
  });

  const summary: StoredSummary = {
    manifestHash: await sha256OfFile(join(directory, MANIFEST)),
    pictures: rows.length,
    items: new Set(rows.map((row) => row.itemId)).size,
    splits: count([...new Map(rows.map((row) => [row.itemId, row.split])).values()]),
    sources: count(rows.map((row) => row.source)),
  };
  await writeJson(join(directory, RECORD), { ...recipe, summary });
  return { ...summary, ...placesIn(directory), reused: false };
}

// --- internal ---

/** Raised when the same packages would give other pictures or another manifest. */
const RECIPE_VERSION = 1;
/** Beside a manifest: the family of each item. */
export const FAMILIES_FILE = 'families.json';
const RECORD = 'dataset.json';
const MANIFEST = 'manifest.csv';

interface Recipe {
  dataset: string;
  recipe: number;
  size: number;
  packages: Readonly<Record<string, string>>;
}

type StoredSummary = Omit<DatasetSummary, 'dataset' | 'directory' | 'manifest' | 'reused'>;
type Row = ManifestEntry & { source: string; drawing: Drawing };

const placesIn = (directory: string) => ({
  dataset: 'emoji',
  directory,
  manifest: join(directory, MANIFEST),
});

async function readRecord(directory: string): Promise<(Recipe & { summary?: StoredSummary }) | undefined> {
  const exists = (file: string) =>
    access(join(directory, file)).then(
      () => true,
      () => false,
    );
  if (!(await exists(RECORD))) {
    if (await exists(MANIFEST)) {
      throw new DataError(
        'emoji dataset: an empty folder is required, got one with a manifest. Name another folder',
        {
          file: directory,
        },
      );
    }
    return undefined;
  }
  const record = (await readJson(join(directory, RECORD))) as Recipe & { summary?: StoredSummary };
  if (record.dataset !== 'emoji') {
    throw new DataError(
      `emoji dataset: the folder holds the dataset '${record.dataset}'. Name another folder`,
      {
        file: directory,
      },
    );
  }
  return record;
}

function sameRecipe(a: Recipe, b: Recipe): boolean {
  const text = ({ dataset, recipe, size, packages }: Recipe) =>
    JSON.stringify([dataset, recipe, size, Object.entries(packages).sort()]);
  return text(a) === text(b);
}

async function isWhole(directory: string, summary: StoredSummary): Promise<boolean> {
  try {
    if ((await sha256OfFile(join(directory, MANIFEST))) !== summary.manifestHash) return false;
    await access(join(directory, FAMILIES_FILE));
    for (const [source, pictures] of Object.entries(summary.sources)) {
      const names = await readdir(join(directory, 'pictures', source));
      if (names.filter((name) => name.endsWith('.png')).length !== pictures) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/**
 * A set may use one drawing for several items (woman and person frowning). It stays with the first in Unicode order:
 * as a picture of another item as well it would contradict itself, in training and in judging.
 */
async function withoutRepeats(drawings: ReadonlyMap<string, Drawing>): Promise<ReadonlyMap<string, Drawing>> {
  const seen = new Set<string>();
  const kept = new Map<string, Drawing>();
  for (const [code, drawing] of drawings) {
    const hash = 'svg' in drawing ? sha256(drawing.svg) : await sha256OfFile(drawing.file);
    if (!seen.has(hash)) kept.set(code, drawing);
    seen.add(hash);
  }
  return kept;
}

/** Item by item in Unicode order, within an item in the order of the sets. */
function rowsOf(
  items: readonly EmojiItem[],
  drawings: ReadonlyMap<string, ReadonlyMap<string, Drawing>>,
): readonly Row[] {
  return items.flatMap((item) =>
    ART_SETS.flatMap((set): Row[] => {
      const drawing = drawings.get(set.source)?.get(item.code);
      if (drawing === undefined) return [];
      return [
        {
          relativePath: `pictures/${set.source}/${item.code}.png`,
          itemId: item.itemId,
          split: item.split,
          source: set.source,
          sourceGroup: set.sourceGroup,
          attributes: { subgroup: [item.subgroup], group: [item.group], tags: item.tags },
          drawing,
        },
      ];
    }),
  );
}

async function renderAll(
  directory: string,
  rows: readonly Row[],
  size: number,
  startProgress: StartProgress,
  signal: AbortSignal | undefined,
): Promise<void> {
  const wanted = new Set(rows.map((row) => row.relativePath));
  const present = new Set<string>();
  for (const { source } of ART_SETS) {
    const folder = join(directory, 'pictures', source);
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(folder)) {
      const path = `pictures/${source}/${name}`;
      if (wanted.has(path) && (await stat(join(folder, name))).size > 0) present.add(path);
      else await rm(join(folder, name), { force: true });
    }
  }
  const left = rows.filter((row) => !present.has(row.relativePath));
  const progress = startProgress('drawing', rows.length);
  let done = rows.length - left.length;
  try {
    await forEachInParallel(
      left.length,
      async (index) => {
        const row = left[index]!;
        await render(row.drawing, join(directory, row.relativePath), size);
        progress.update(++done);
      },
      { signal },
    );
  } finally {
    progress.stop();
  }
}

async function render(drawing: Drawing, file: string, size: number): Promise<void> {
  const picture = 'svg' in drawing ? sharp(Buffer.from(drawing.svg)) : sharp(drawing.file).resize(size, size);
  const temporary = `${file}.part`;
  try {
    const bytes = await picture.png({ compressionLevel: 3, adaptiveFiltering: false }).toBuffer();
    await writeFile(temporary, bytes);
    await rename(temporary, file);
  } catch (error) {
    throw new DataError(`emoji dataset: cannot be drawn: ${error instanceof Error ? error.message : error}`, {
      file,
      cause: error,
    });
  }
}

/** Twelve items that all sets draw, spread evenly; a row of pictures a set. */
function sheetRows(directory: string, rows: readonly Row[]): { label: string; files: string[] }[] {
  const byItem = new Map<string, Row[]>();
  for (const row of rows) byItem.set(row.itemId, [...(byItem.get(row.itemId) ?? []), row]);
  const complete = [...byItem.values()].filter((pictures) => pictures.length === ART_SETS.length);
  const columns = Math.min(12, complete.length);
  const chosen = Array.from(
    { length: columns },
    (_, at) => complete[Math.floor((at * complete.length) / columns)]!,
  );
  return ART_SETS.map((set, index) => ({
    label: set.source,
    files: chosen.map((pictures) => join(directory, pictures[index]!.relativePath)),
  }));
}

function licencesText(size: number): string {
  const sets = ART_SETS.map(
    (set) =>
      `| \`${set.source}\` | ${set.artist} | [${set.licence}](${set.licenceUrl}) | ` +
      `\`${set.package}@${PACKAGE_VERSIONS[set.package]}\` |`,
  );
  return [
    '# Licences of this dataset',
    '',
    `The pictures were drawn to PNG of ${size} × ${size} pixels from the sets below and are otherwise unchanged. ` +
      'Whoever passes them on passes on these licences and the names of the artists.',
    '',
    '| source | artist | licence | npm package |',
    '|---|---|---|---|',
    ...sets,
    '',
    `Names, groups and tags: \`${EMOJI_DATA_PACKAGE}@${PACKAGE_VERSIONS[EMOJI_DATA_PACKAGE]}\`, Miles Johnson, MIT, ` +
      'after the Unicode CLDR (Unicode License V3).',
    '',
  ].join('\n');
}

function count(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
