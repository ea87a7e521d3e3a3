/**
 * The CSV of Open Metric Learning (`label,path,split,is_query,is_gallery`, optionally `category`, `x_1 x_2 y_1 y_2`,
 * `sequence`). `readManifest` reads it as it is; this reader checks it, warns, takes validation items out of its
 * training part, and writes our columns. Its conversions of CUB and Cars hold the split of *classification*, in which
 * every class is on both sides: that is not the protocol of metric learning.
 */
import { basename, join } from 'node:path';
import { readManifest } from '../manifest.js';
import type { DatasetReader, ListedPicture } from './dataset-reader.js';

export const openMetricLearningReader: DatasetReader = {
  title: 'Open Metric Learning CSV',
  markers: ['df.csv', 'df_with_bboxes.csv', 'df_with_category.csv'],
  acceptsAnyFile: true,
  licence: 'that of the pictures',
  homepage: 'https://open-metric-learning.readthedocs.io',
  protocol: { judged: 'queries against the gallery', recallAt: [1, 5, 10] },
  validationShare: 0.1,
  keepsBoxes: true,
  async read(root, { marker, anomalies }) {
    const { rows, attributeNames } = await readManifest(join(root, marker));
    const trained = new Set(rows.filter(({ split }) => split === 'train').map(({ itemId }) => itemId));
    const judged = new Set(rows.filter(({ split }) => split !== 'train').map(({ itemId }) => itemId));
    const shared = [...trained].filter((itemId) => judged.has(itemId)).length;
    const notes: string[] = [];
    if (shared > 0) {
      notes.push(
        `${shared} of ${judged.size} judged labels are trained on: this is a split of classification, not of metric ` +
          'learning. Figures are not comparable with published ones; for CUB and Cars196 read the original dataset',
      );
    }
    for (const { relativePath } of rows) {
      if (/^(\/|[A-Za-z]:[\\/])/.test(relativePath)) {
        anomalies.add('paths are absolute and hold on one machine only', basename(relativePath));
      }
    }
    const categories = new Map<string, string>();
    for (const { itemId, attributes } of rows) {
      const category = attributes.category?.[0];
      if (category === undefined) continue;
      const before = categories.get(itemId) ?? category;
      if (before !== category) anomalies.add('pictures have another category than their item', itemId);
      categories.set(itemId, before);
    }
    return {
      pictures: rows.map(
        ({ relativePath, itemId, split, source, attributes, box }): ListedPicture => ({
          path: relativePath.replace(/\\/g, '/').replace(/^(\.\/)+/, ''),
          itemId,
          split,
          attributes,
          ...(source === undefined ? {} : { source }),
          ...(box === undefined ? {} : { box }),
        }),
      ),
      attributeNames,
      levels: attributeNames.includes('category') ? ['category'] : [],
      pictureBases: ['', 'images'],
      notes,
    };
  },
};
