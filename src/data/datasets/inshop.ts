/**
 * DeepFashion In-Shop Clothes Retrieval: 52,712 pictures of 7,982 items, query against gallery.
 *
 * Listings begin with their count and a header; columns are padded by runs of spaces. Attributes (463) are of items,
 * category and gender of each picture's folder: 99 items occur under two categories. The number that a file's name
 * begins with is the colour variant. Source: Liu, Luo, Qiu, Wang, Tang, CVPR 2016; `README.txt` of the dataset.
 */
import { DataError } from '../../util/index.js';
import type { Box, Split } from '../manifest.js';
import type { Anomalies } from './anomalies.js';
import type { DatasetReader, ListedPicture, ReadContext } from './dataset-reader.js';
import { firstExisting } from './source-folder.js';
import { forEachLine, picturePath } from './text-lines.js';

export const inshopReader: DatasetReader = {
  title: 'DeepFashion In-Shop',
  markers: ['Eval/list_eval_partition.txt', 'list_eval_partition.txt'],
  licence: 'for non-commercial research only, by agreement with the Chinese University of Hong Kong',
  homepage: 'https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html',
  protocol: { judged: 'queries against the gallery', recallAt: [1, 10, 20, 30, 40, 50] },
  validationShare: 0.1,
  async read(root, context) {
    const { anomalies } = context;
    const annotation = (name: string) =>
      firstExisting(root, [`Anno/${name}`, `Anno/attributes/${name}`, `anno/${name}`, name]);
    const notes: string[] = [];
    const optional = async <T>(name: string, what: string, read: (file: string) => Promise<T>) => {
      const file = await annotation(name);
      if (file === undefined) notes.push(`no ${name}: ${what} are unknown`);
      return file === undefined ? undefined : await read(file);
    };
    const listed = await readPartition(`${root}/${context.marker}`, context);
    const names = await optional('list_attr_cloth.txt', 'attributes', (file) =>
      readAttributeNames(file, context),
    );
    const attributes =
      names === undefined
        ? undefined
        : await optional('list_attr_items.txt', 'attributes', (file) =>
            readItemAttributes(file, names, context),
          );
    const boxes = await optional('list_bbox_inshop.txt', 'boxes and kinds of clothes', (file) =>
      readBoxes(file, context),
    );
    const colours = await optional('list_color_cloth.txt', 'colours', (file) => readColours(file, context));
    const withoutLine = new Set<string>();
    const pictures = listed.map(({ path, itemId, split }): ListedPicture => {
      const place = placeOf(path, itemId, anomalies);
      const found = boxes?.get(path);
      const known: Record<string, readonly string[]> = { ...place };
      if (found !== undefined) known.clothes = [found.clothes];
      const colour = colours?.get(path);
      if (colour !== undefined) known.colour = [colour];
      const values = attributes?.get(itemId);
      if (values !== undefined) known.attributes = values;
      else if (attributes !== undefined) withoutLine.add(itemId);
      return {
        path,
        itemId,
        split,
        attributes: known,
        ...(found?.box === undefined ? {} : { box: found.box }),
      };
    });
    for (const itemId of withoutLine) anomalies.add('items have no line of attributes', itemId);
    countSharedItems(pictures, anomalies);
    return {
      pictures,
      attributeNames: ['category', 'gender', 'clothes', 'colour', 'variant', 'attributes'],
      levels: ['category'],
      pictureBases: ['', 'Img', 'img', 'Img/img'],
      official: {
        train: { pictures: 25_882, items: 3_997 },
        query: { pictures: 14_218, items: 3_985 },
        gallery: { pictures: 12_612, items: 3_985 },
      },
      notes,
    };
  },
};

// --- internal ---

const CLOTHES: Readonly<Record<string, string>> = { 1: 'upper-body', 2: 'lower-body', 3: 'full-body' };
const PARTITIONS: Readonly<Record<string, Split>> = { train: 'train', query: 'query', gallery: 'gallery' };
/** A path, which ends like a picture, and what follows it. */
const PATH_AND_REST = /^\s*(.+?\.(?:jpe?g|png|webp))\s+(.*?)\s*$/i;

const TWO_PATHS = /\.(jpe?g|png|webp)\s+\S.*\.(jpe?g|png|webp)$/i;

type Where = { file: string; line: number };

/**
 * The rows of a listing of DeepFashion: after the count and a header. Either may be missing, which is counted.
 * @param header a word that only the header has
 */
async function forEachRow(
  file: string,
  header: string,
  { anomalies, signal, progress }: ReadContext,
  visit: (row: string, where: Where) => void,
): Promise<void> {
  let announced: number | undefined;
  let rows = 0;
  await forEachLine(
    file,
    (text, line) => {
      if (rows === 0 && announced === undefined && /^\s*\d+\s*$/.test(text)) announced = Number(text);
      else if (rows === 0 && text.trimStart().split(/\s+/)[0] === header) return;
      else {
        rows++;
        visit(text, { file, line });
      }
    },
    { signal, progress },
  );
  const name = file.split(/[\\/]/).pop()!;
  if (announced === undefined) anomalies.add('listings do not begin with their count', name);
  else if (announced !== rows) {
    anomalies.add(
      'listings have more or fewer rows than they say',
      `${name}: ${rows} instead of ${announced}`,
    );
  }
}

async function readPartition(
  file: string,
  context: ReadContext,
): Promise<readonly { path: string; itemId: string; split: Split }[]> {
  const rows: { path: string; itemId: string; split: Split }[] = [];
  await forEachRow(file, 'image_name', context, (text, where) => {
    const [, path, itemId, status] = /^\s*(\S.*?)\s+(\S+)\s+(\S+)\s*$/.exec(text) ?? [];
    if (path === undefined || itemId === undefined || status === undefined) {
      throw new DataError(
        `a row must have a picture, an item and train, query or gallery, got '${text.trim().slice(0, 80)}'. ` +
          'Correct the line, or unpack the dataset again',
        where,
      );
    }
    const split = Object.hasOwn(PARTITIONS, status) ? PARTITIONS[status] : undefined;
    if (split === undefined) {
      throw new DataError(
        `evaluation_status: one of train, query, gallery is required, got '${status.slice(0, 40)}'. Correct the line, ` +
          'or unpack the dataset again',
        where,
      );
    }
    if (TWO_PATHS.test(path)) {
      throw new DataError(
        'a row must have one picture, got two: this is another benchmark of DeepFashion (consumer to shop). Name the ' +
          "folder of 'In-shop Clothes Retrieval'",
        where,
      );
    }
    rows.push({ path: picturePath(path, where), itemId, split });
  });
  return rows;
}

/** Names may contain spaces. `|` separates values in a manifest and is replaced. */
async function readAttributeNames(file: string, context: ReadContext): Promise<readonly string[]> {
  const names: string[] = [];
  await forEachRow(file, 'attribute_name', context, (text) => {
    const name = text.trim().replace(/\s+/g, ' ').replace(/\|/g, '/');
    if (names.includes(name)) context.anomalies.add('attributes have the same name', name);
    names.push(name);
  });
  return names;
}

/** The values that are 1; −1 is no, 0 is unknown. Rows for the same item occur. */
async function readItemAttributes(
  file: string,
  names: readonly string[],
  context: ReadContext,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const { anomalies } = context;
  const found = new Map<string, readonly string[]>();
  await forEachRow(file, 'item_id', context, (text, { line }) => {
    const [itemId, ...values] = text.trim().split(/\s+/);
    const place = `line ${line}, ${itemId}`;
    if (values.length !== names.length) {
      anomalies.add(`lines of attributes do not have ${names.length} values and are ignored`, place);
      return;
    }
    if (!values.every((value) => value === '1' || value === '-1' || value === '0')) {
      anomalies.add('lines of attributes have values other than -1, 0, 1 and are ignored', place);
      return;
    }
    const present = names.filter((_, index) => values[index] === '1');
    const before = found.get(itemId!);
    if (before === undefined) {
      if (present.length === 0) anomalies.add('items have a line of attributes without any', place);
      found.set(itemId!, [...new Set(present)]);
    } else if (before.join('|') === [...new Set(present)].join('|')) {
      anomalies.add('lines of attributes repeat an item', place);
    } else anomalies.add('lines of attributes contradict an earlier one of the item, which counts', place);
  });
  return found;
}

async function readBoxes(
  file: string,
  context: ReadContext,
): Promise<ReadonlyMap<string, { clothes: string; box: Box | undefined }>> {
  const { anomalies } = context;
  const found = new Map<string, { clothes: string; box: Box | undefined }>();
  await forEachRow(file, 'image_name', context, (text, where) => {
    const [, path, rest = ''] = PATH_AND_REST.exec(text) ?? [];
    const [type, , ...corners] = rest.split(/\s+/);
    const clothes = type === undefined ? undefined : CLOTHES[type];
    const numbers = corners.map(Number);
    if (path === undefined || clothes === undefined || numbers.length !== 4) {
      anomalies.add('lines of boxes cannot be read and are ignored', `line ${where.line}`);
      return;
    }
    const [left, top, right, bottom] = numbers as [number, number, number, number];
    const isBox = left >= 0 && top >= 0 && right > left && bottom > top && Number.isFinite(right + bottom);
    if (!isBox) anomalies.add('boxes are empty or no boxes, and are ignored', `line ${where.line}`);
    found.set(picturePath(path, where), { clothes, box: isBox ? { left, top, right, bottom } : undefined });
  });
  return found;
}

async function readColours(file: string, context: ReadContext): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  await forEachRow(file, 'image_name', context, (text, where) => {
    const [, path, colour] = PATH_AND_REST.exec(text) ?? [];
    if (path === undefined || colour === undefined || colour === '') {
      context.anomalies.add('lines of colours cannot be read and are ignored', `line ${where.line}`);
      return;
    }
    found.set(picturePath(path, where), colour.replace(/\s+/g, ' ').replace(/\|/g, '/'));
  });
  return found;
}

/** `img/WOMEN/Dresses/id_00000002/02_1_front.jpg` → gender WOMEN, category Dresses, variant id_00000002/02. */
function placeOf(path: string, itemId: string, anomalies: Anomalies): Record<string, readonly string[]> {
  const parts = path.split('/');
  const [gender, category, folder, file] = parts.slice(-4);
  if (parts.length < 4 || file === undefined || folder === undefined) {
    anomalies.add('pictures do not stand in gender/category/item folders', path);
    return {};
  }
  if (folder !== itemId) anomalies.add('pictures stand in the folder of another item', `${path}, ${itemId}`);
  const variant = /^(\d+)_/.exec(file)?.[1];
  if (variant === undefined) anomalies.add('file names do not begin with a colour variant', path);
  return {
    category: [category!],
    gender: [gender!],
    ...(variant === undefined ? {} : { variant: [`${itemId}/${variant}`] }),
  };
}

function countSharedItems(pictures: readonly ListedPicture[], anomalies: Anomalies): void {
  const categories = new Map<string, string>();
  const counted = new Set<string>();
  for (const { itemId, attributes } of pictures) {
    const category = attributes.category?.[0];
    if (category === undefined) continue;
    const before = categories.get(itemId);
    if (before === undefined) categories.set(itemId, category);
    else if (before !== category && !counted.has(itemId)) {
      counted.add(itemId);
      anomalies.add('items occur under two categories', `${itemId}: ${before} and ${category}`);
    }
  }
}
