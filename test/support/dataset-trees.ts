/** Made-up datasets in temporary folders, and what a reader makes of them. */
import { rm } from 'node:fs/promises';
import { afterEach } from 'vitest';
import {
  type DatasetReader,
  type ImportOptions,
  type ImportSummary,
  importDataset,
  type ManifestRow,
  readManifest,
} from '../../src/data/index.js';
import { type FileTree, makeTree } from './file-tree.js';

/** For the tests of one reader: `tree` makes a folder that is gone after the test, `read` reads it, no validation. */
export function datasetTrees(
  reader: DatasetReader,
  files: FileTree,
): {
  tree(changed?: FileTree): Promise<string>;
  read(
    folder: string,
    options?: ImportOptions,
  ): Promise<{ summary: ImportSummary; rows: readonly ManifestRow[] }>;
} {
  const folders: string[] = [];
  afterEach(async () => {
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
  });
  return {
    async tree(changed = files) {
      const folder = await makeTree(changed);
      folders.push(folder);
      return folder;
    },
    async read(folder, options = {}) {
      const summary = await importDataset(reader, folder, { validationShare: 0, ...options });
      return { summary, rows: (await readManifest(summary.manifest)).rows };
    },
  };
}

/** How often each kind of oddity was met. */
export function countsOf({ anomalies }: ImportSummary): Record<string, number> {
  return Object.fromEntries(anomalies.map(({ kind, count }) => [kind, count]));
}
