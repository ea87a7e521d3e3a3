/**
 * CUB-200-2011: 11,788 pictures of 200 kinds of birds. Classes 1 to 100 train, 101 to 200 are judged, leave one out;
 * `train_test_split.txt` is of classification and is not used. An item is a class; the last word of its name
 * (`Laysan_Albatross`) is its kind, and classes of a kind are not on two sides of training and validation.
 *
 * Attributes are given per picture: `image attribute present certainty time`; certainty 1 means that the part is not
 * visible, which is unknown. Some rows have more fields than five. Source: Wah, Branson, Welinder, Perona, Belongie,
 * CNS-TR-2011-001; `README` of the dataset.
 */
import { dirname, join } from 'node:path';
import { DataError } from '../../util/index.js';
import type { Box } from '../manifest.js';
import type { DatasetReader, ListedPicture, ReadContext } from './dataset-reader.js';
import { firstExisting } from './source-folder.js';
import { forEachLine, numberIn, picturePath } from './text-lines.js';

export const cubReader: DatasetReader = {
  title: 'CUB-200-2011',
  markers: ['image_class_labels.txt'],
  licence: 'for non-commercial research and education only; the pictures belong to their photographers',
  homepage: 'https://www.vision.caltech.edu/datasets/cub_200_2011/',
  protocol: { judged: 'leave one out over the test classes', recallAt: [1, 2, 4, 8] },
  validationShare: 0.2,
  async read(root, context) {
    const paths = await readPairs(join(root, 'images.txt'), 'image', (text, where) =>
      picturePath(text, where),
    );
    const classes = await readPairs(join(root, 'classes.txt'), 'class', (text) => text);
    const labels = await readPairs(join(root, 'image_class_labels.txt'), 'image', (text, where) =>
      numberIn(text, 'class', where, { minimum: 1 }),
    );
    const boxesFile = await firstExisting(root, ['bounding_boxes.txt']);
    const boxes = boxesFile === undefined ? undefined : await readBoxes(boxesFile, context);
    const attributes = await readAttributes(root, paths, context);
    const pictures = [...paths].map(([id, { value: path, line }]): ListedPicture => {
      const label = labels.get(id)?.value;
      const name = label === undefined ? undefined : classes.get(label)?.value;
      if (label === undefined || name === undefined) {
        throw new DataError(
          label === undefined
            ? `image ${id} must have a line in image_class_labels.txt, got none. Unpack the dataset again`
            : `image ${id} must have a class of classes.txt, got ${label}. Unpack the dataset again`,
          { file: join(root, 'images.txt'), line },
        );
      }
      const kind = name.slice(Math.max(name.lastIndexOf('_'), name.lastIndexOf('.')) + 1);
      const box = boxes?.get(id);
      return {
        path,
        itemId: name,
        split: label <= LAST_TRAINING_CLASS ? 'train' : 'test',
        family: kind,
        attributes: { kind: [kind], ...attributes?.valuesOf(id) },
        ...(box === undefined ? {} : { box }),
      };
    });
    return {
      pictures,
      attributeNames: ['kind', ...(attributes?.names ?? [])],
      levels: ['kind'],
      pictureBases: ['images', ''],
      official: {
        train: { pictures: 5_864, items: 100 },
        test: { pictures: 5_924, items: 100 },
      },
      notes:
        attributes === undefined ? ['no attributes/image_attribute_labels.txt: attributes are unknown'] : [],
    };
  },
};

// --- internal ---

const LAST_TRAINING_CLASS = 100;
const ATTRIBUTE_COUNT = 312;
const NOT_VISIBLE = 1;

type Where = { file: string; line: number };

/** Lines `number text`. */
async function readPairs<T>(
  file: string,
  name: string,
  parse: (text: string, where: Where) => T,
): Promise<ReadonlyMap<number, { value: T; line: number }>> {
  const found = new Map<number, { value: T; line: number }>();
  await forEachLine(file, (text, line) => {
    const where = { file, line };
    const [, first, rest] = /^\s*(\S+)\s+(.*?)\s*$/.exec(text) ?? [];
    const id = numberIn(first, name, where, { minimum: 1 });
    if (found.has(id)) {
      throw new DataError(
        `${name}: every number must occur once, got ${id} again. Unpack the dataset again`,
        where,
      );
    }
    found.set(id, { value: parse(rest!, where), line });
  });
  return found;
}

async function readBoxes(file: string, { anomalies }: ReadContext): Promise<ReadonlyMap<number, Box>> {
  const found = new Map<number, Box>();
  await forEachLine(file, (text, line) => {
    const [id, left, top, width, height] = text.trim().split(/\s+/).map(Number);
    const isBox = id! > 0 && left! >= 0 && top! >= 0 && width! > 0 && height! > 0;
    if (isBox && Number.isFinite(left! + top! + width! + height!)) {
      found.set(id!, { left: left!, top: top!, right: left! + width!, bottom: top! + height! });
    } else anomalies.add('lines of boxes cannot be read and are ignored', `line ${line}`);
  });
  return found;
}

interface PictureAttributes {
  readonly names: readonly string[];
  valuesOf(image: number): Record<string, readonly string[]>;
}

async function readAttributes(
  root: string,
  images: ReadonlyMap<number, unknown>,
  context: ReadContext,
): Promise<PictureAttributes | undefined> {
  const labelsFile = await firstExisting(root, ['attributes/image_attribute_labels.txt']);
  const namesFile =
    (await firstExisting(root, ['attributes/attributes.txt', 'attributes.txt'])) ??
    (await firstExisting(dirname(root), ['attributes.txt']));
  if (labelsFile === undefined || namesFile === undefined) return undefined;
  const parts = await readPairs(namesFile, 'attribute', attributeOf);
  if (parts.size !== ATTRIBUTE_COUNT) {
    context.anomalies.add(
      `lists of attributes do not have ${ATTRIBUTE_COUNT}`,
      `${parts.size} in ${namesFile}`,
    );
  }
  const present = await readLabels(labelsFile, images, parts, context);
  return {
    names: [...new Set([...parts.values()].map(({ value }) => value.name))],
    valuesOf(image) {
      const values: Record<string, string[]> = {};
      for (const id of present.get(image) ?? []) {
        const { name, value } = parts.get(id)!.value;
        values[name] = [...(values[name] ?? []), value];
      }
      return values;
    },
  };
}

/** `has_bill_shape::curved_(up_or_down)` → bill_shape, `curved (up or down)`. */
function attributeOf(text: string, where: Where): { name: string; value: string } {
  const [, name, value] = /^(?:has_)?([^:]+)::(.+)$/.exec(text) ?? [];
  if (name !== undefined && value !== undefined) {
    return { name: name.trim(), value: value.replace(/_/g, ' ').replace(/\|/g, '/').trim() };
  }
  throw new DataError(
    `attribute: a name and a value such as has_bill_shape::hooked is required, got '${text.slice(0, 60)}'. Correct the ` +
      'line, or unpack the dataset again',
    where,
  );
}

/** The attributes that a picture visibly has, by image. */
async function readLabels(
  file: string,
  images: ReadonlyMap<number, unknown>,
  parts: ReadonlyMap<number, unknown>,
  { anomalies, signal, progress }: ReadContext,
): Promise<ReadonlyMap<number, readonly number[]>> {
  const present = new Map<number, number[]>();
  const rows = new Map<number, number>();
  await forEachLine(
    file,
    (text, line) => {
      const fields = text.trim().split(/\s+/);
      const [image, attribute, value, certainty] = fields.map(Number) as [number, number, number, number];
      const isRow =
        images.has(image) &&
        parts.has(attribute) &&
        (value === 0 || value === 1) &&
        certainty >= 1 &&
        certainty <= 4 &&
        Number.isInteger(certainty);
      if (!isRow) {
        anomalies.add(
          'lines of attributes are out of range and are ignored',
          `line ${line}: ${text.slice(0, 40)}`,
        );
        return;
      }
      if (fields.length !== 5) {
        anomalies.add(
          'lines of attributes have more or fewer fields than five; the first four count',
          `line ${line}`,
        );
      }
      rows.set(image, (rows.get(image) ?? 0) + 1);
      if (value === 0 || certainty === NOT_VISIBLE) return;
      const known = present.get(image);
      if (known === undefined) present.set(image, [attribute]);
      else if (!known.includes(attribute)) known.push(attribute);
    },
    { signal, progress },
  );
  for (const image of images.keys()) {
    const count = rows.get(image) ?? 0;
    if (count !== parts.size) {
      anomalies.add(`pictures do not have ${parts.size} lines of attributes`, `image ${image} has ${count}`);
    }
  }
  return present;
}
