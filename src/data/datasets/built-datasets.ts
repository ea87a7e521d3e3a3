/** The datasets that anybody can build, by name, and what is known of them beside their manifest. */
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import envPaths from 'env-paths';
import { z } from 'zod';
import { DataError, readJson } from '../../util/index.js';
import { buildEmojiDataset, type DatasetSummary, type EmojiDatasetOptions, FAMILIES_FILE } from './emoji.js';

/** How each is built, by the name used on the command line. */
export const builtDatasets: Readonly<
  Record<string, (directory: string, options: EmojiDatasetOptions) => Promise<DatasetSummary>>
> = { emoji: buildEmojiDataset };

/** Where a dataset goes that is asked for by its name alone: the user's cache folder. */
export function defaultDatasetFolder(name: string): string {
  return join(envPaths('semblance', { suffix: '' }).cache, 'datasets', name);
}

/**
 * The family of each item, from `families.json` beside the manifest: members look almost alike, so a family is never on
 * two sides of a split. Undefined where there is no such file.
 * @throws DataError for a folder of the emoji that lacks it, or a file that is something else.
 */
export async function familiesOfDataset(manifest: string): Promise<ReadonlyMap<string, string> | undefined> {
  const file = join(dirname(manifest), FAMILIES_FILE);
  if (!(await exists(file))) {
    const record = join(dirname(manifest), 'dataset.json');
    if ((await exists(record)) && ((await readJson(record)) as { dataset?: unknown }).dataset === 'emoji') {
      throw new DataError(
        `families are required to divide the emoji into folds, got none. Run \`semblance dataset emoji ${dirname(manifest)}\` again`,
        { file },
      );
    }
    return undefined;
  }
  const families = z.record(z.string(), z.string()).safeParse(await readJson(file));
  if (families.success) return new Map(Object.entries(families.data));
  throw new DataError('must hold the family of each item, as { "<item_id>": "<family>" }', { file });
}

// --- internal ---

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
