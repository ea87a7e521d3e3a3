/**
 * A plain folder: `item/picture.jpg`, `split/item/picture.jpg`, `kind/item/picture.jpg` or `split/kind/item/picture.jpg`.
 * Which it is, is told by the depth of the pictures and by whether the first folders are named like splits. Without
 * splits, items are divided by hash. Hidden files, `._*`, `__MACOSX` and thumbnails are passed over.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../util/index.js';
import type { Split } from '../manifest.js';
import type { DatasetReader, ListedPicture, ReadContext } from './dataset-reader.js';
import { isLitter } from './source-folder.js';
import { chooseValidationFamilies } from './validation-share.js';

export const pictureFolderReader: DatasetReader = {
  title: 'a folder of pictures',
  markers: [],
  licence: 'that of the pictures',
  homepage: 'your own disk',
  protocol: { judged: 'queries against the gallery, or leave one out', recallAt: [1, 10] },
  validationShare: 0.15,
  testShare: 0.25,
  async read(root, context) {
    const notes: string[] = [];
    let folder = '';
    let files = await listPictures(root, folder, context);
    if (files.length === 0) {
      throw new DataError(
        'a folder: pictures as item/picture.jpg are required, got none. Name another folder',
        {
          file: root,
        },
      );
    }
    // A folder given too high: everything stands in one folder that is neither an item nor a split.
    while (true) {
      const first = new Set(files.map(({ parts }) => parts[0]!));
      const [only] = first;
      const isDeep = files.every(({ parts }) => parts.length > 2);
      if (first.size !== 1 || only === undefined || !isDeep || isSplitName(only)) break;
      folder = folder === '' ? only : `${folder}/${only}`;
      notes.push(`everything stands in '${only}', which is taken as the folder of the dataset`);
      files = files.map(({ path, parts }) => ({ path, parts: parts.slice(1) }));
    }
    const { pictures, hasSplits, hasKinds } = arrange(root, files, context);
    if (!hasSplits) notes.push('no folders named like splits: items were divided by hash');
    return {
      pictures: hasSplits ? pictures : withSplits(pictures, context.testShare),
      attributeNames: hasKinds ? ['kind'] : [],
      levels: hasKinds ? ['kind'] : [],
      pictureBases: [''],
      notes,
    };
  },
};

// --- internal ---

const SPLIT_NAMES: Readonly<Record<string, Split>> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  query: 'query',
  queries: 'query',
  gallery: 'gallery',
  test: 'test',
};
const isSplitName = (name: string) => Object.hasOwn(SPLIT_NAMES, name.toLowerCase());
const PICTURE = /\.(jpe?g|png|webp|gif|avif|tiff?)$/i;
/** Deepest place of a picture: split/kind/item/picture, below three folders that are all of the dataset. */
const DEEPEST = 7;

interface FoundPicture {
  /** Relative to the root. */
  readonly path: string;
  /** Its folders below the dataset's own, and its name. */
  readonly parts: readonly string[];
}

async function listPictures(root: string, folder: string, context: ReadContext): Promise<FoundPicture[]> {
  const found: FoundPicture[] = [];
  const visit = async (path: string, depth: number): Promise<void> => {
    context.signal?.throwIfAborted();
    const entries = await readdir(join(root, path), { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const place = path === '' ? entry.name : `${path}/${entry.name}`;
      if (isLitter(entry.name)) {
        context.anomalies.add('hidden files and leftovers of unpacking are passed over', place);
        continue;
      }
      const status = entry.isSymbolicLink() ? await stat(join(root, place)).catch(() => undefined) : entry;
      if (status?.isDirectory() === true) {
        if (depth + 1 > DEEPEST) context.anomalies.add('folders are too deep and are passed over', place);
        else await visit(place, depth + 1);
      } else if (status?.isFile() === true && PICTURE.test(entry.name)) {
        found.push({ path: place, parts: place.split('/') });
      } else context.anomalies.add('files are no pictures by their names and are passed over', place);
    }
  };
  await visit(folder, 0);
  return found;
}

/** Reads the layout off the depth at which most pictures stand. */
function arrange(
  root: string,
  files: readonly FoundPicture[],
  { anomalies }: ReadContext,
): { pictures: readonly ListedPicture[]; hasSplits: boolean; hasKinds: boolean } {
  const depths = new Map<number, number>();
  for (const { parts } of files) depths.set(parts.length, (depths.get(parts.length) ?? 0) + 1);
  const depth = [...depths].reduce((a, b) => (b[1] > a[1] ? b : a))[0];
  if (depth === 1) {
    throw new DataError(
      'a folder: pictures must stand in a folder for each item (item/picture.jpg), got pictures without one. Name the ' +
        'folder above, or sort them into folders',
      { file: root },
    );
  }
  const level = files.filter(({ parts }) => parts.length === depth);
  const hasSplits = depth > 2 && level.every(({ parts }) => isSplitName(parts[0]!));
  const hasKinds = depth - (hasSplits ? 1 : 0) === 3;
  if (depth - (hasSplits ? 1 : 0) > 3) {
    throw new DataError(
      'a folder: item/picture, split/item/picture, kind/item/picture or split/kind/item/picture is required, got ' +
        `pictures ${depth} deep, e.g. ${level[0]!.path}. Name a folder further down`,
      { file: root },
    );
  }
  for (const { path, parts } of files) {
    if (parts.length !== depth)
      anomalies.add('pictures stand at another depth than most and are left out', path);
  }
  const pictures = level.map(({ path, parts }): ListedPicture => {
    const split = hasSplits ? SPLIT_NAMES[parts[0]!.toLowerCase()]! : 'train';
    const [kind, item] = hasKinds ? parts.slice(-3, -1) : [undefined, parts.at(-2)];
    return {
      path,
      itemId: kind === undefined ? item! : `${kind}/${item}`,
      split,
      attributes: kind === undefined ? {} : { kind: [kind.replace(/\|/g, '/')] },
    };
  });
  return { pictures, hasSplits, hasKinds };
}

/** Judged items by hash; the caller takes validation items out of the rest. */
function withSplits(pictures: readonly ListedPicture[], testShare: number): readonly ListedPicture[] {
  const items = new Map(pictures.map(({ itemId }) => [itemId, itemId]));
  const judged = chooseValidationFamilies(items, testShare, 'folder test');
  return pictures.map((picture) =>
    judged.has(picture.itemId) ? { ...picture, split: 'test' as const } : picture,
  );
}
