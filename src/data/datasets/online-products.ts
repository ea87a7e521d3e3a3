/**
 * Stanford Online Products: 120,053 pictures of 22,634 products in 12 categories, leave one out over the test products.
 * `Ebay_train.txt`, `Ebay_test.txt`: a header, then `image_id class_id super_class_id path`; the category's name is the
 * folder of the picture (`bicycle_final/111085122871_0.JPG`). Source: Song, Xiang, Jegelka, Savarese, CVPR 2016.
 */
import { join } from 'node:path';
import { DataError } from '../../util/index.js';
import type { Split } from '../manifest.js';
import type { DatasetReader, ListedPicture, ReadContext } from './dataset-reader.js';
import { forEachLine, numberIn, picturePath } from './text-lines.js';

export const onlineProductsReader: DatasetReader = {
  title: 'Stanford Online Products',
  markers: ['Ebay_train.txt'],
  licence: 'none stated for the pictures, which are from eBay.com; given for research',
  homepage: 'https://cvgl.stanford.edu/projects/lifted_struct/',
  protocol: { judged: 'leave one out over the test products', recallAt: [1, 10, 100, 1000] },
  validationShare: 0.1,
  async read(root, context) {
    return {
      pictures: [
        ...(await readPart(join(root, 'Ebay_train.txt'), 'train', context)),
        ...(await readPart(join(root, 'Ebay_test.txt'), 'test', context)),
      ],
      attributeNames: ['category'],
      levels: ['category'],
      pictureBases: ['', 'Stanford_Online_Products', 'images'],
      official: {
        train: { pictures: 59_551, items: 11_318 },
        test: { pictures: 60_502, items: 11_316 },
      },
      notes: [],
    };
  },
};

// --- internal ---

async function readPart(
  file: string,
  split: Split,
  { anomalies, signal, progress }: ReadContext,
): Promise<ListedPicture[]> {
  const pictures: ListedPicture[] = [];
  const categories = new Map<number, string>();
  let isFirst = true;
  await forEachLine(
    file,
    (text, line) => {
      const where = { file, line };
      const [, image, item, category, path] = /^\s*(\S+)\s+(\S+)\s+(\S+)\s+(.*?)\s*$/.exec(text) ?? [];
      if (isFirst) {
        isFirst = false;
        if (image === 'image_id') return;
        anomalies.add('listings have no header', file);
      }
      if (path === undefined || path === '') {
        throw new DataError(
          `a row must have image, class, super-class and path, got '${text.trim().slice(0, 80)}'. Correct the line, or ` +
            'unpack the dataset again',
          where,
        );
      }
      numberIn(image, 'image_id', where);
      const itemId = String(numberIn(item, 'class_id', where));
      const number = numberIn(category, 'super_class_id', where);
      const place = picturePath(path, where);
      const folder = place.includes('/') ? place.split('/').at(-2)! : '';
      const name = folder.replace(/_final$/, '') || String(number);
      const before = categories.get(number);
      if (before === undefined) categories.set(number, name);
      else if (before !== name) {
        anomalies.add('pictures stand in the folder of another category; the folder counts', place);
      }
      pictures.push({ path: place, itemId, split, attributes: { category: [name] } });
    },
    { signal, progress },
  );
  return pictures;
}
