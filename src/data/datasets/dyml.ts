/**
 * DyML (Dynamic Metric Learning): Animal, Vehicle and Product, each with coarse, middle and fine labels. Trained on
 * `train/label.csv`; judged at one level at a time, each with its own queries and gallery (`bmk_fine`, `bmk_middle`,
 * `bmk_coarse`), or, Product, leave one out over `mini-bmk_all_in_one`. An item is what the benchmark labels: a fine
 * class where one trains, a class of the benchmark's level where one judges.
 *
 * The header of every file is glued to its first row (`fname, coarse_id, middle_id, fine_id0.jpg, 4, 2, 7`), which
 * ordinary readers of CSV lose. Source: Sun et al., CVPR 2021.
 */
import { join } from 'node:path';
import { DataError } from '../../util/index.js';
import type { DatasetReader, ListedPicture, ReadContext } from './dataset-reader.js';
import { exists, firstExisting } from './source-folder.js';
import { numberIn, picturePath, readLines } from './text-lines.js';

export const dymlReader: DatasetReader = {
  title: 'DyML',
  markers: ['train/label.csv'],
  benchmarks: ['fine', 'middle', 'coarse', 'all'],
  licence: 'for research; the pictures are from other datasets, with terms of their own',
  homepage: 'https://github.com/SupetZYK/DynamicMetricLearning',
  protocol: { judged: 'queries against the gallery of one level', recallAt: [1, 10, 20] },
  validationShare: 0.1,
  async read(root, context) {
    const { benchmark = 'fine' } = context;
    const training = (await readTable(join(root, 'train', 'label.csv'), LEVEL_COLUMNS, context)).map(
      ({ name, labels: [coarse, middle, fine] }): ListedPicture => ({
        path: `train/imgs/${name}`,
        itemId: `train-${fine}`,
        split: 'train',
        attributes: { middle: [`train-${middle}`], coarse: [`train-${coarse}`] },
      }),
    );
    const hasAll = await exists(join(root, ALL_IN_ONE, 'label.csv'));
    const isProduct = hasAll && !(await exists(join(root, 'bmk_fine')));
    const judged =
      benchmark === 'all' || (isProduct && benchmark === 'fine')
        ? await readAllInOne(root, context)
        : await readBenchmark(root, benchmark, context);
    return {
      pictures: [...training, ...judged],
      attributeNames: ['middle', 'coarse'],
      levels: ['middle', 'coarse'],
      pictureBases: [''],
      notes: [
        `judged on ${judged[0]?.path.split('/')[0] ?? 'nothing'}; the other benchmarks need manifests of their own ` +
          '(--benchmark)',
      ],
      ...(judged[0]?.split === 'test'
        ? { protocol: { judged: 'leave one out at every level', recallAt: [1, 10, 20] } }
        : {}),
    };
  },
};

// --- internal ---

const LEVEL_COLUMNS = ['fname', 'coarse_id', 'middle_id', 'fine_id'];
const ALL_IN_ONE = 'mini-bmk_all_in_one';

async function readAllInOne(root: string, context: ReadContext): Promise<ListedPicture[]> {
  const file = await firstExisting(root, [`${ALL_IN_ONE}/label.csv`]);
  if (file === undefined) throw missingBenchmark(root, `${ALL_IN_ONE}/label.csv`);
  return (await readTable(file, LEVEL_COLUMNS, context)).map(
    ({ name, labels: [coarse, middle, fine] }): ListedPicture => ({
      path: `${ALL_IN_ONE}/imgs/${name}`,
      itemId: `test-${fine}`,
      split: 'test',
      attributes: { middle: [`test-${middle}`], coarse: [`test-${coarse}`] },
    }),
  );
}

async function readBenchmark(root: string, level: string, context: ReadContext): Promise<ListedPicture[]> {
  const pictures: ListedPicture[] = [];
  for (const split of ['query', 'gallery'] as const) {
    const path = `bmk_${level}/${split}.csv`;
    const file = await firstExisting(root, [path]);
    if (file === undefined) throw missingBenchmark(root, path);
    for (const { name, labels } of await readTable(file, ['fname', 'labels'], context)) {
      pictures.push({
        path: `bmk_${level}/${split}/${name}`,
        itemId: `${level}-${labels[0]}`,
        split,
        attributes: {},
      });
    }
  }
  return pictures;
}

function missingBenchmark(root: string, path: string): DataError {
  return new DataError(
    `DyML: the benchmark's ${path} is required, got none. Unpack it, or choose another --benchmark`,
    { file: root },
  );
}

/** Rows of a file name and whole numbers; the header may be glued to the first of them. */
async function readTable(
  file: string,
  columns: readonly string[],
  { anomalies }: ReadContext,
): Promise<readonly { name: string; labels: readonly number[] }[]> {
  const header = new RegExp(`^\\s*${columns.join('\\s*,\\s*')}[ \\t]*`);
  const lines = await readLines(file);
  return lines.flatMap(({ text, line }, index) => {
    const where = { file, line };
    const row = index === 0 ? text.replace(header, '') : text;
    if (index === 0 && row === text) {
      if (/[a-z]_id|labels|fname/.test(text)) {
        throw new DataError(
          `the header must be '${columns.join(', ')}', got '${text.trim().slice(0, 60)}'. Unpack the dataset again`,
          where,
        );
      }
      anomalies.add('listings have no header', file);
    }
    if (row.trim() === '') return [];
    const cells = row.split(',').map((cell) => cell.trim());
    if (cells.length !== columns.length) {
      throw new DataError(
        `a row must have ${columns.length} cells, got ${cells.length}: '${row.trim().slice(0, 60)}'. Correct the line, ` +
          'or unpack the dataset again',
        where,
      );
    }
    const labels = cells.slice(1).map((cell, at) => numberIn(cell, columns[at + 1]!, where));
    return [{ name: picturePath(cells[0]!, where), labels }];
  });
}
