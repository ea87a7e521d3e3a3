import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ManifestRow, readManifest, type Split, writeManifest } from '../../data/index.js';
import { derivedManifest, deriveRows, foldsOf } from './derived-data.js';

/** 40 items of 5 pictures: 24 of train, 6 of val, 10 of test. Items 2k and 2k + 1 are a family. */
const rows: ManifestRow[] = Array.from({ length: 200 }, (_, i) => {
  const item = Math.floor(i / 5);
  const split: Split = item < 24 ? 'train' : item < 30 ? 'val' : item < 35 ? 'query' : 'gallery';
  return {
    path: `/data/pictures/${i}.png`,
    relativePath: `pictures/${i}.png`,
    itemId: `item ${item}`,
    split,
    source: `artist ${i % 5}`,
    sourceGroup: `artist ${i % 5}`,
    attributes: { colour: [item % 2 === 0 ? 'red' : 'blue'], size: [] },
    line: i + 2,
  };
});
const itemOf = ({ itemId }: ManifestRow) => itemId;
const family = ({ itemId }: ManifestRow) => `family ${Math.floor(Number(itemId.slice(5)) / 2)}`;
const itemsOf = (some: readonly ManifestRow[], split: Split) =>
  new Set(some.filter((row) => row.split === split).map(itemOf));

describe('a share of the items', () => {
  it('keeps that share of training items with all their pictures, nothing else is touched', () => {
    const derived = deriveRows(rows, { items: 0.25, seed: 3 }, itemOf);
    expect(itemsOf(derived, 'train').size).toBe(6);
    expect(derived.filter(({ split }) => split === 'train')).toHaveLength(30);
    expect(derived.filter(({ split }) => split !== 'train')).toEqual(
      rows.filter(({ split }) => split !== 'train'),
    );
  });
  it('of a smaller share is a part of that of a larger one; another seed keeps others', () => {
    const kept = (items: number, seed = 3) => itemsOf(deriveRows(rows, { items, seed }, itemOf), 'train');
    expect([...kept(0.25)].every((item) => kept(0.5).has(item))).toBe(true);
    expect(kept(0.5, 4)).not.toEqual(kept(0.5));
    expect(kept(1)).toEqual(itemsOf(rows, 'train'));
    expect(kept(0.001).size).toBe(1);
  });
});

describe('few pictures an item', () => {
  it('keeps at most so many training pictures of each, fewer being a part of more', () => {
    const kept = (picturesPerItem: number) => deriveRows(rows, { picturesPerItem, seed: 1 }, itemOf);
    const training = (some: readonly ManifestRow[]) => some.filter(({ split }) => split === 'train');
    expect(training(kept(2))).toHaveLength(48);
    expect(itemsOf(kept(2), 'train').size).toBe(24);
    const more = new Set(training(kept(3)).map(({ path }) => path));
    expect(training(kept(2)).every(({ path }) => more.has(path))).toBe(true);
    // Not always the same artists.
    expect(new Set(training(kept(1)).map(({ source }) => source)).size).toBeGreaterThan(2);
  });
});

describe('folds', () => {
  const fold = (index: number, as: 'test' | 'val') =>
    deriveRows(rows, { fold: { index, count: 3, as } }, family);
  it('hold out each identity of train and val exactly once, families together; test is not there', () => {
    const seen: string[] = [];
    for (const index of [0, 1, 2]) {
      const derived = fold(index, 'test');
      expect(new Set(derived.map(({ split }) => split))).toEqual(new Set(['train', 'test']));
      expect(derived).toHaveLength(150);
      const [held, training] = [itemsOf(derived, 'test'), itemsOf(derived, 'train')];
      seen.push(...held);
      const heldFamilies = new Set(derived.filter(({ split }) => split === 'test').map(family));
      for (const row of derived) if (row.split === 'train') expect(heldFamilies.has(family(row))).toBe(false);
      expect(held.size + training.size).toBe(30);
      expect(held.size).toBe(10);
    }
    expect(seen.sort()).toEqual([...itemsOf(rows, 'train'), ...itemsOf(rows, 'val')].sort());
  });
  it('of judge: test validate on the fold, and test stays', () => {
    const derived = fold(1, 'val');
    expect(itemsOf(derived, 'val')).toEqual(itemsOf(fold(1, 'test'), 'test'));
    expect(derived.filter(({ split }) => split === 'query' || split === 'gallery')).toHaveLength(50);
  });
  it('do not depend on the order of the rows; fewer groups than folds are an error', () => {
    expect(foldsOf([...rows].reverse(), 4, family)).toEqual(foldsOf(rows, 4, family));
    expect(() => foldsOf(rows.slice(0, 10), 3, itemOf)).toThrow(
      /at least 3 groups of items to divide, got 2/,
    );
  });
});

describe('the manifest of a derivation', () => {
  it('names the same pictures, wherever it is; nothing derived is the manifest itself', async () => {
    const root = await mkdtemp(join(tmpdir(), 'semblance-derived-'));
    try {
      const file = join(root, 'data', 'manifest.csv');
      await writeManifest(file, rows, { attributeNames: ['colour', 'size'] });
      const manifest = await readManifest(file);
      const derive = (derivation: Parameters<typeof derivedManifest>[2]) =>
        derivedManifest(manifest, 'hash', derivation, itemOf, join(root, 'runs', 'x', 'data'));
      expect(await derive({})).toBe(file);
      const derived = await readManifest(await derive({ items: 0.5, seed: 0 }));
      expect(derived.attributeNames).toEqual(['colour', 'size']);
      const paths = new Set(manifest.rows.map(({ path }) => path));
      expect(derived.rows.every(({ path }) => paths.has(path))).toBe(true);
      expect(itemsOf(derived.rows, 'train').size).toBe(12);
      expect(await derive({ items: 0.5, seed: 0 })).toBe(derived.file);
      expect(await derive({ items: 0.5, seed: 1 })).not.toBe(derived.file);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
