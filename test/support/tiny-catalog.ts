/**
 * A real catalogue on disk, for tests of what searches: the tiny bundle and fifteen pictures, three hues in five shades. An
 * item is a hue and a shade; the last of each hue is a second picture of the first item.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openEmbedder } from '../../src/bundle/index.js';
import { indexPictures, openCatalogForIndexing } from '../../src/catalog/index.js';
import type { ManifestRow } from '../../src/data/index.js';
import { plainPicture, writeTinyBundle } from './tiny-bundle.js';

export interface TinyCatalog {
  readonly model: string;
  readonly catalog: string;
  readonly rows: readonly ManifestRow[];
}

/** The colour of a picture. */
export function shadeOf(hue: number, shade: number): [number, number, number] {
  return [0, 1, 2].map((channel) => (channel === hue ? 250 - 25 * shade : 18 * shade)) as [
    number,
    number,
    number,
  ];
}

export const HUES = ['red', 'green', 'blue'] as const;

/** Writes bundle, pictures and catalogue below a folder; with `isPriceNumeric` the price can be filtered by ranges. */
export async function writeTinyCatalog(
  root: string,
  { isPriceNumeric = false }: { readonly isPriceNumeric?: boolean } = {},
): Promise<TinyCatalog> {
  const model = await writeTinyBundle(root);
  await mkdir(join(root, 'pictures'), { recursive: true });
  const rows: ManifestRow[] = [];
  for (const [h, hue] of HUES.entries())
    for (let shade = 0; shade < 5; shade++) {
      const relativePath = `pictures/${hue} ${shade}.png`;
      const path = join(root, relativePath);
      await writeFile(
        path,
        await plainPicture(shadeOf(h, shade === 4 ? 0.2 : shade), { width: 24, height: 16 }),
      );
      rows.push({
        path,
        relativePath,
        itemId: `${hue}-${shade % 4}`,
        split: 'test',
        source: shade % 2 === 0 ? 'even' : undefined,
        sourceGroup: shade % 2 === 0 ? 'even' : undefined,
        attributes: { hue: [hue], tags: shade < 2 ? ['bright'] : [], price: [String(10 * h + shade)] },
        line: rows.length + 2,
      });
    }
  const catalog = join(root, 'catalog');
  const embedder = await openEmbedder(model, { threads: 1 });
  const opened = await openCatalogForIndexing(catalog, embedder.bundle, {
    attributes: ['hue', 'tags', 'price'],
    numericAttributes: isPriceNumeric ? ['price'] : [],
  });
  await indexPictures({ embedder, rows, store: opened.catalog.store });
  await opened.publish();
  await opened.catalog.close();
  await embedder.close();
  return { model, catalog, rows };
}
