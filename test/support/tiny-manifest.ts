/** The manifest of a tiny catalogue's pictures, for commands that read one. */
import { join } from 'node:path';
import { writeManifest } from '../../src/data/index.js';
import type { TinyCatalog } from './tiny-catalog.js';

/** Writes it beside the pictures. @returns its path */
export async function writeTinyManifest(root: string, { rows }: TinyCatalog): Promise<string> {
  const manifest = join(root, 'manifest.csv');
  await writeManifest(
    manifest,
    rows.map(({ relativePath, itemId, attributes }) => ({
      relativePath,
      itemId,
      split: 'test' as const,
      attributes,
    })),
  );
  return manifest;
}
