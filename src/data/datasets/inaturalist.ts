/**
 * iNaturalist 2018, split by species: 325,846 training pictures of 5,690 species, 136,093 test pictures of 2,452, leave
 * one out. The lists hold a path a line; the species is the picture's folder, its supercategory the one above. The
 * taxonomy is in `categories` of `train2018.json` (or of `categories.json`). Source: Van Horn et al., CVPR 2018; the
 * lists are of Brown, Xie, Kalogeiton, Zisserman, "Smooth-AP", ECCV 2020.
 */
import { join } from 'node:path';
import { DataError, readJson } from '../../util/index.js';
import type { Split } from '../manifest.js';
import type { DatasetReader, ListedPicture, ReadContext } from './dataset-reader.js';
import { readJsonMember } from './json-member.js';
import { firstExisting } from './source-folder.js';
import { forEachLine, picturePath } from './text-lines.js';

const FOLDER = 'Inat_dataset_splits';
const trainingList = `${FOLDER}/Inaturalist_train_set1.txt`;

export const inaturalistReader: DatasetReader = {
  title: 'iNaturalist 2018',
  markers: [trainingList, 'Inaturalist_train_set1.txt'],
  licence:
    'for non-commercial research and education only; each picture has its own Creative Commons licence',
  homepage: 'https://github.com/visipedia/inat_comp/tree/master/2018',
  protocol: { judged: 'leave one out over the test species', recallAt: [1, 4, 16, 32] },
  validationShare: 0.1,
  async read(root, context) {
    const taxonomy = await readTaxonomy(root, context);
    const folder = context.marker === trainingList ? `${FOLDER}/` : '';
    const list = (part: string) => join(root, `${folder}Inaturalist_${part}_set1.txt`);
    const missing = new Set<string>();
    const pictures = [
      ...(await readList(list('train'), 'train', taxonomy, missing, context)),
      ...(await readList(list('test'), 'test', taxonomy, missing, context)),
    ];
    for (const species of missing) context.anomalies.add('species are not in the taxonomy', species);
    return {
      pictures,
      attributeNames: [...RANKS, 'supercategory'],
      levels: taxonomy.size === 0 ? ['supercategory'] : RANKS,
      pictureBases: ['', 'train_val2018'],
      official: {
        train: { pictures: 325_846, items: 5_690 },
        test: { pictures: 136_093, items: 2_452 },
      },
      notes:
        taxonomy.size === 0
          ? ['no taxonomy in train2018.json or categories.json: genus to kingdom are unknown']
          : [],
    };
  },
};

// --- internal ---

/** Fine to coarse. */
const RANKS = ['genus', 'family', 'order', 'class', 'phylum', 'kingdom'] as const;

type Ranks = Readonly<Record<string, readonly string[]>>;

/** The ranks of a species, by its number. */
async function readTaxonomy(
  root: string,
  { anomalies, signal, progress }: ReadContext,
): Promise<ReadonlyMap<string, Ranks>> {
  const taxonomy = new Map<string, Ranks>();
  const take = (categories: unknown, file: string) => {
    if (!Array.isArray(categories)) return;
    for (const [index, category] of categories.entries()) {
      const fields =
        typeof category === 'object' && category !== null ? (category as Record<string, unknown>) : {};
      const ranks = RANKS.map((rank) => fields[rank]);
      if (typeof fields.id !== 'number' || !ranks.every((rank) => typeof rank === 'string' && rank !== '')) {
        if (ranks.some((rank) => rank !== undefined)) {
          anomalies.add('categories have no whole taxonomy', `${file}, number ${index + 1}`);
        }
        continue;
      }
      taxonomy.set(
        String(fields.id),
        Object.fromEntries(RANKS.map((rank, at) => [rank, [String(ranks[at]).replace(/\|/g, '/')]])),
      );
    }
  };
  const training = await firstExisting(root, ['train2018.json']);
  if (training !== undefined)
    take(await readJsonMember(training, 'categories', { signal, progress }), 'train2018.json');
  if (taxonomy.size > 0) return taxonomy;
  const alone = await firstExisting(root, ['categories.json']);
  if (alone !== undefined) take(await readJson(alone), 'categories.json');
  return taxonomy;
}

async function readList(
  file: string,
  split: Split,
  taxonomy: ReadonlyMap<string, Ranks>,
  missing: Set<string>,
  { signal, progress }: ReadContext,
): Promise<ListedPicture[]> {
  const pictures: ListedPicture[] = [];
  const known = new Map<string, Ranks>();
  await forEachLine(
    file,
    (text, line) => {
      const path = picturePath(text, { file, line });
      const parts = path.split('/');
      const [supercategory, species] = parts.slice(-3);
      if (parts.length < 3 || species === undefined || supercategory === undefined || !/\.\w+$/.test(path)) {
        throw new DataError(
          `a path such as train_val2018/Aves/2761/photo.jpg is required, got '${text.trim().slice(0, 80)}'. Correct ` +
            'the line, or unpack the lists again',
          { file, line },
        );
      }
      let attributes = known.get(species);
      if (attributes === undefined) {
        const ranks = taxonomy.get(species);
        if (ranks === undefined && taxonomy.size > 0) missing.add(species);
        attributes = { ...ranks, supercategory: [supercategory] };
        known.set(species, attributes); // shared by all pictures of the species
      }
      pictures.push({ path, itemId: species, split, attributes });
    },
    { signal, progress },
  );
  return pictures;
}
