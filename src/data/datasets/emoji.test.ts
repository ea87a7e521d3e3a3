import { mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePicture } from '../decode.js';
import { readManifest } from '../manifest.js';
import { buildEmojiDataset } from './emoji.js';
import { ART_SETS, collectAliases, PACKAGE_VERSIONS, readDrawings } from './emoji-art.js';
import { emojiItems } from './emoji-items.js';

/**
 * Art packages of the right versions with four emoji. In every set: 1F600 drawn by all, 2764 with and without
 * variation selector, 1F64D and its female form drawn alike in noto-v1, 1F449 as a mirror image.
 */
let folder: string;
let art: string;
const square = (colour: string) => ({ body: `<rect width="64" height="128" fill="${colour}"/>` });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semblance-emoji-'));
  art = join(folder, 'art');
  const put = async (name: string, file: string, content: unknown) => {
    const path = join(art, 'node_modules', name, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, Buffer.isBuffer(content) ? content : JSON.stringify(content));
  };
  for (const [name, version] of Object.entries(PACKAGE_VERSIONS))
    await put(name, 'package.json', { name, version });
  await put('emojibase-data', 'en/data.json', [
    { label: 'grinning face', hexcode: '1F600', order: 1, group: 0, subgroup: 0, tags: ['face', 'grin'] },
    { label: 'red heart', hexcode: '2764-FE0F', order: 2, group: 0, subgroup: 1 },
    { label: 'person frowning', hexcode: '1F64D', order: 3, group: 1, subgroup: 2, tags: ['sad'] },
    {
      label: 'woman frowning',
      hexcode: '1F64D-200D-2640-FE0F',
      order: 4,
      group: 1,
      subgroup: 2,
      tags: ['sad'],
    },
    {
      label: 'backhand index pointing right',
      hexcode: '1F449',
      order: 5,
      group: 1,
      subgroup: 3,
      tags: ['hand'],
    },
    { label: 'flag: France', hexcode: '1F1EB-1F1F7', order: 6, group: 9, subgroup: 9, tags: [] },
    { label: 'regional indicator A', hexcode: '1F1E6', order: 7 },
  ]);
  await put('emojibase-data', 'meta/groups.json', {
    groups: { 0: 'smileys-emotion', 1: 'people-body', 9: 'flags' },
    subgroups: { 0: 'face-smiling', 1: 'heart', 2: 'person-gesture', 3: 'hand', 9: 'country-flag' },
  });
  for (const set of ART_SETS) {
    if (set.source === 'fluent-3d') {
      const bytes = await sharp({ create: { width: 64, height: 64, channels: 4, background: '#00ff0080' } })
        .webp()
        .toBuffer();
      await put(set.package, 'assets/1f600.webp', bytes);
      continue;
    }
    const hasCodes = set.source !== 'noto-v1' && set.source !== 'emojione';
    await put(set.package, 'icons.json', {
      icons: {
        'grinning-face': square('#ff0000'),
        'red-heart': square('#0000ff'),
        'person-frowning': square('#00ff00'),
        'woman-frowning': square(set.source === 'noto-v1' ? '#00ff00' : '#00ffff'),
        'finger-left': square('#123456'),
      },
      aliases: { 'backhand-index-pointing-right': { parent: 'finger-left', hFlip: true } },
      width: 128,
      height: 128,
    });
    const chars = {
      '1f600': 'grinning-face',
      '2764': 'red-heart',
      '1f64d': 'person-frowning',
      '1f64d-200d-2640': 'woman-frowning',
      '1f449': 'backhand-index-pointing-right',
    };
    await put(set.package, 'chars.json', hasCodes ? chars : {});
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const build = (name: string, size = 32) =>
  buildEmojiDataset(join(folder, name), {
    artDirectories: [art],
    size,
    cacheDirectory: join(folder, 'cache'),
  });

describe('buildEmojiDataset', () => {
  it('writes pictures, manifest, licences and contact sheet', async () => {
    const summary = await build('a');
    expect(summary).toMatchObject({ items: 5, pictures: 25, reused: false });
    expect(summary.sources).toEqual({
      noto: 5,
      'noto-v1': 4,
      twemoji: 5,
      'fluent-flat': 5,
      'fluent-3d': 1,
      emojione: 5,
    });
    const { rows, attributeNames } = await readManifest(summary.manifest);
    expect(attributeNames).toEqual(['subgroup', 'group', 'tags']);
    expect(rows.length).toBe(25);
    expect(rows.find((row) => row.source === 'fluent-3d')).toMatchObject({
      relativePath: 'pictures/fluent-3d/1f600.png',
      itemId: '1f600-grinning-face',
      sourceGroup: 'fluent',
      attributes: { subgroup: ['face-smiling'], group: ['smileys-emotion'], tags: ['face', 'grin'] },
    });
    expect(rows.filter((row) => row.itemId.includes('frowning')).map((row) => row.split)).toEqual(
      Array(9).fill(rows.find((row) => row.itemId === '1f64d-person-frowning')?.split),
    );
    const licences = await readFile(join(folder, 'a', 'LICENSES.md'), 'utf8');
    for (const set of ART_SETS)
      expect(licences).toContain(`\`${set.package}@${PACKAGE_VERSIONS[set.package]}\``);
    const sheet = await sharp(join(folder, 'a', 'contact-sheet.png')).metadata();
    expect([sheet.width! > 100, sheet.height! > 6 * 32]).toEqual([true, true]);
  });

  it('draws at the size, transparent, and mirrors where the set says so', async () => {
    const at = async (source: string, code: string) => {
      const picture = await decodePicture(join(folder, 'a', 'pictures', source, `${code}.png`), {
        keepAlpha: true,
      });
      expect([picture.width, picture.height]).toEqual([32, 32]);
      return [4, 27].map((x) => [...picture.data.subarray((16 * 32 + x) * 4, (16 * 32 + x) * 4 + 4)]);
    };
    expect(await at('twemoji', '1f600')).toEqual([
      [255, 0, 0, 255],
      [0, 0, 0, 0],
    ]);
    expect(await at('twemoji', '1f449')).toEqual([
      [0, 0, 0, 0],
      [0x12, 0x34, 0x56, 255],
    ]);
    expect((await at('fluent-3d', '1f600'))[0]?.[3]).toBe(128);
  });

  it('is the same to the byte of the manifest wherever it is built', async () => {
    await build('b');
    expect(await readFile(join(folder, 'b', 'manifest.csv'))).toEqual(
      await readFile(join(folder, 'a', 'manifest.csv')),
    );
  });

  it('recognises a finished dataset, and draws only what is missing', async () => {
    const kept = join(folder, 'a', 'pictures', 'noto', '2764.png');
    const lost = join(folder, 'a', 'pictures', 'noto', '1f600.png');
    const before = (await stat(kept)).mtimeMs;
    expect(await build('a')).toMatchObject({ reused: true, pictures: 25 });
    await unlink(lost);
    await writeFile(join(folder, 'a', 'pictures', 'noto', 'stray.png.part'), 'x');
    expect(await build('a')).toMatchObject({ reused: false, pictures: 25 });
    expect((await stat(lost)).size).toBeGreaterThan(0);
    expect((await stat(kept)).mtimeMs).toBe(before);
    expect(await readdir(join(folder, 'a', 'pictures', 'noto'))).not.toContain('stray.png.part');
  });

  it('draws everything again at another size', async () => {
    expect(await build('b', 48)).toMatchObject({ reused: false });
    const { width } = await sharp(join(folder, 'b', 'pictures', 'noto', '2764.png')).metadata();
    expect(width).toBe(48);
  });

  it('goes on where it was interrupted', async () => {
    const controller = new AbortController();
    const directory = join(folder, 'c');
    const options = { artDirectories: [art], size: 32 };
    const progress = () => ({
      update: (done: number) => done === 6 && controller.abort(new Error('enough')),
      stop() {},
    });
    await expect(
      buildEmojiDataset(directory, { ...options, progress: progress as never, signal: controller.signal }),
    ).rejects.toThrow('enough');
    const first = (await readdir(join(directory, 'pictures', 'noto'))).filter((name) =>
      name.endsWith('.png'),
    );
    expect(first.length).toBeGreaterThan(0);
    expect(await build('c')).toMatchObject({ reused: false, pictures: 25 });
    expect(await readFile(join(directory, 'manifest.csv'))).toEqual(
      await readFile(join(folder, 'a', 'manifest.csv')),
    );
  });

  it('refuses a folder with another manifest, and a size out of range', async () => {
    const other = join(folder, 'other');
    await mkdir(other);
    await writeFile(join(other, 'manifest.csv'), 'path,item_id,split\n');
    await expect(build('other')).rejects.toThrow(/other: emoji dataset: an empty folder is required/);
    expect(await readFile(join(other, 'manifest.csv'), 'utf8')).toBe('path,item_id,split\n');
    await expect(build('d', 7)).rejects.toThrow('size must be a whole number from 16 to 512, got 7');
  });
});

describe('the real art', () => {
  const require = createRequire(import.meta.url);
  const items = emojiItems(
    require('emojibase-data/en/data.json'),
    require('emojibase-data/meta/groups.json'),
  );
  const folders = new Map(
    ART_SETS.map((set) => [set.package, dirname(require.resolve(`${set.package}/package.json`))]),
  );

  it('is mapped as measured', async () => {
    const aliases = await collectAliases(folders, items);
    const counts: Record<string, number> = {};
    for (const set of ART_SETS) {
      const drawings = await readDrawings(set, folders.get(set.package)!, items, 96, aliases);
      counts[set.source] = drawings.size;
      expect(drawings.has('1f3cf')).toBe(true); // the game of cricket, not the insect of that name
      if (set.source === 'noto-v1' || set.source === 'emojione') expect(drawings.has('1f997')).toBe(false);
    }
    expect(counts).toEqual({
      noto: 1644,
      'noto-v1': 1216,
      twemoji: 1644,
      'fluent-flat': 1586,
      'fluent-3d': 1599,
      emojione: 1105,
    });
  });

  it('has the versions of the project’s development dependencies', () => {
    const { devDependencies } = require('../../../package.json') as {
      devDependencies: Record<string, string>;
    };
    for (const [name, version] of Object.entries(PACKAGE_VERSIONS))
      expect(devDependencies[name]).toBe(version);
  });
});
