/** Removing records from a catalogue without opening its model, by whoever is not serving it. */
import type { WaitOptions } from '../util/index.js';
import { openDescribed, readDescription, whileWriting } from './catalog.js';
import { applyRemoval } from './record-writes.js';

/**
 * Deletes records, and the pictures that the catalogue kept for them alone. Servers that have the catalogue open see it
 * with their next search.
 * @returns the ids of those that there were
 * @throws DataError when there is no catalogue or it cannot be written
 */
export async function removeRecords(
  directory: string,
  ids: readonly string[],
  options: WaitOptions = {},
): Promise<string[]> {
  return await whileWriting(
    directory,
    async () => {
      const catalog = await openDescribed(directory, (await readDescription(directory)).description);
      try {
        return await applyRemoval(catalog, ids);
      } finally {
        await catalog.close();
      }
    },
    options,
  );
}
