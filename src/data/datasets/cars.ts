/**
 * Cars196: 16,185 pictures of 196 models of cars. Classes 1 to 98 train, 99 to 196 are judged, leave one out; the split
 * of classification (the `test` flag) is not used. An item is a class, e.g. `002.Acura RL Sedan 2012`: make, body and year
 * are read from its name, and the models of a make are not on two sides of training and validation.
 *
 * Read from `cars_annos.mat` with pictures in `car_ims/`, or from the files of the devkit with `cars_train/` and
 * `cars_test/`. Source: Krause, Stark, Deng, Fei-Fei, 3dRR-13, 2013.
 */
import { join } from 'node:path';
import { DataError } from '../../util/index.js';
import type { DatasetReader, ListedPicture, ReadContext } from './dataset-reader.js';
import { type MatArray, matNumber, matText, readMatFile } from './mat-file.js';
import { firstExisting } from './source-folder.js';
import { picturePath } from './text-lines.js';

export const carsReader: DatasetReader = {
  title: 'Cars196',
  markers: ['cars_annos.mat', 'devkit/cars_meta.mat', 'cars_meta.mat'],
  licence: 'for non-commercial research only; the pictures belong to their owners',
  homepage: 'https://ai.stanford.edu/~jkrause/cars/car_dataset.html',
  protocol: { judged: 'leave one out over the test classes', recallAt: [1, 2, 4, 8] },
  validationShare: 0.2,
  async read(root, context) {
    const pictures =
      context.marker === 'cars_annos.mat' ? await readWhole(root, context) : await readDevkit(root, context);
    return {
      pictures,
      attributeNames: ['make', 'body', 'year'],
      levels: ['make'],
      pictureBases: ['', 'car_ims', 'cars_train'],
      official: {
        train: { pictures: 8_054, items: 98 },
        test: { pictures: 8_131, items: 98 },
      },
      notes: [],
    };
  },
};

/**
 * What the name of a class says: `Ram C/V Cargo Van Minivan 2012` → make Ram, body Minivan, year 2012.
 * @returns an empty list where the name says nothing
 */
export function carAttributes(name: string): {
  make: readonly string[];
  body: readonly string[];
  year: readonly string[];
} {
  const words = name.trim().split(/\s+/);
  const year = /^(19|20)\d\d$/.test(words.at(-1) ?? '') ? [words.at(-1)!] : [];
  const makeLength = TWO_WORD_MAKES.has(words.slice(0, 2).join(' ')) ? 2 : 1;
  const body = words
    .slice(makeLength)
    .reverse()
    .map((word) => BODIES.get(word.toLowerCase()))
    .find((found) => found !== undefined);
  return { make: [words.slice(0, makeLength).join(' ')], body: body === undefined ? [] : [body], year };
}

// --- internal ---

const LAST_TRAINING_CLASS = 98;
const TWO_WORD_MAKES: ReadonlySet<string> = new Set(['AM General', 'Aston Martin', 'Land Rover']);
/** Words of names and the body they mean; pick-ups are named after their cabs. */
const BODIES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    sedan: 'Sedan',
    suv: 'SUV',
    coupe: 'Coupe',
    convertible: 'Convertible',
    hatchback: 'Hatchback',
    wagon: 'Wagon',
    minivan: 'Minivan',
    van: 'Van',
    cab: 'Pickup',
    supercab: 'Pickup',
  }),
);

type Structs = readonly ReadonlyMap<string, MatArray>[];

async function readWhole(root: string, context: ReadContext): Promise<ListedPicture[]> {
  const file = join(root, 'cars_annos.mat');
  const variables = await readMatFile(file);
  const names = classNames(variables, file);
  return pictures(variables, names, { file, folder: '', pathField: 'relative_im_path', context });
}

async function readDevkit(root: string, context: ReadContext): Promise<ListedPicture[]> {
  const inDevkit = context.marker.startsWith('devkit');
  const folder = inDevkit ? 'devkit/' : '';
  const meta = join(root, context.marker);
  const names = classNames(await readMatFile(meta), meta);
  const listed: ListedPicture[] = [];
  for (const [part, candidates] of [
    ['cars_train', ['cars_train_annos.mat']],
    ['cars_test', ['cars_test_annos_withlabels.mat']],
  ] as const) {
    const file = await firstExisting(
      root,
      candidates.flatMap((name) => [`${folder}${name}`, name]),
    );
    if (file === undefined) {
      throw new DataError(
        `Cars196: ${candidates.join(' or ')} is required beside ${context.marker}, got none. The protocol needs the ` +
          'labels of all pictures',
        { file: root },
      );
    }
    const variables = await readMatFile(file);
    listed.push(...pictures(variables, names, { file, folder: `${part}/`, pathField: 'fname', context }));
  }
  return listed;
}

function classNames(variables: ReadonlyMap<string, MatArray>, file: string): readonly string[] {
  const array = variables.get('class_names');
  const names = array?.kind === 'cells' ? array.cells.map(matText) : [];
  if (names.length === 0 || names.some((name) => name === undefined)) {
    throw new DataError(
      "a cell array 'class_names' of texts is required, got none. Unpack the dataset again",
      {
        file,
      },
    );
  }
  return names as string[];
}

function pictures(
  variables: ReadonlyMap<string, MatArray>,
  names: readonly string[],
  {
    file,
    folder,
    pathField,
    context,
  }: { file: string; folder: string; pathField: string; context: ReadContext },
): ListedPicture[] {
  const annotations = variables.get('annotations');
  const structs: Structs = annotations?.kind === 'structs' ? annotations.structs : [];
  if (structs.length === 0) {
    throw new DataError("a struct 'annotations' is required, got none. Unpack the dataset again", { file });
  }
  return structs.map((struct, index): ListedPicture => {
    const path = matText(struct.get(pathField));
    const label = matNumber(struct.get('class'));
    const name = label === undefined ? undefined : names[label - 1];
    if (path === undefined || label === undefined || name === undefined) {
      throw new DataError(
        `annotation ${index + 1} must have a text '${pathField}' and a 'class' from 1 to ${names.length}, got ` +
          `${path === undefined ? 'no text' : `'${path}'`} and ${label ?? 'no number'}. Unpack the dataset again`,
        { file },
      );
    }
    const [left, top, right, bottom] = ['bbox_x1', 'bbox_y1', 'bbox_x2', 'bbox_y2'].map((field) =>
      matNumber(struct.get(field)),
    );
    const isBox = left! >= 0 && top! >= 0 && right! > left! && bottom! > top!;
    if (!isBox) context.anomalies.add('boxes are missing or empty', path);
    const attributes = carAttributes(name);
    return {
      path: picturePath(`${folder}${path}`, { file, line: index + 1 }),
      itemId: `${String(label).padStart(3, '0')}.${name.trim()}`,
      split: label <= LAST_TRAINING_CLASS ? 'train' : 'test',
      family: attributes.make[0]!,
      attributes,
      ...(isBox ? { box: { left: left!, top: top!, right: right!, bottom: bottom! } } : {}),
    };
  });
}
