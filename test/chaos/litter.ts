/** Files that no reader will ever want. */
import { readdir } from 'node:fs/promises';

/** How many unfinished files lie below a folder. */
export async function unfinishedFiles(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => /\.unfinished$|\.incoming$|\.previous$|\.tmp$|\.takeover$/.test(name)).length;
}
