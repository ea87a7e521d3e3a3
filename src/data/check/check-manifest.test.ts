import { access, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTree } from '../../../test/support/file-tree.js';
import { blots } from '../../../test/support/pictures.js';
import { DataError } from '../../util/index.js';
import { readManifest } from '../manifest.js';
import { type CheckOptions, checkManifest } from './check-manifest.js';
import { repairManifest } from './repair-manifest.js';

let root: string;
beforeEach(async () => {
  root = await makeTree({});
});
afterEach(() => rm(root, { recursive: true, force: true }));

const pictureOf = async (seed: number) => await blots(seed, 48);

/** A manifest of the given lines; `p<seed>.png` is made where it is named and not given. */
async function check(
  lines: readonly string[],
  files: Record<string, string | Uint8Array> = {},
  options: CheckOptions = {},
) {
  const made: Record<string, string | Uint8Array> = { ...files };
  for (const [, name, seed] of lines.join('\n').matchAll(/(p(\d+)\.png)/g))
    made[name!] ??= await pictureOf(Number(seed));
  await makeTree({ ...made, 'm.csv': `${lines.join('\n')}\n` }, root);
  return await checkManifest(join(root, 'm.csv'), options);
}
const found = ({ findings }: Awaited<ReturnType<typeof checkManifest>>) =>
  Object.fromEntries(findings.map(({ kind, count }) => [kind, count]));
/** Two pictures each of an item to train on, one to validate and one to judge. */
const SOUND = [
  'path,item_id,split',
  ...['a', 'b'].flatMap((item, index) => [
    `p${10 * index + 1}.png,${item},train`,
    `p${10 * index + 2}.png,${item},train`,
  ]),
  'p30.png,c,val',
  'p31.png,c,val',
  'p40.png,d,test',
  'p41.png,d,test',
];

describe('checkManifest', () => {
  it('finds nothing about a sound one', async () => {
    const report = await check(SOUND);
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({
      items: 4,
      splits: {
        train: { pictures: 4, items: 2 },
        val: { pictures: 2, items: 1 },
        test: { pictures: 2, items: 1 },
      },
      picturesPerItem: { fewest: 2, median: 2, most: 2 },
    });
  });

  it('finds pictures that are missing, broken or tiny, with line and reason', async () => {
    const whole = await sharp(await pictureOf(50))
      .jpeg()
      .toBuffer();
    const report = await check(
      [...SOUND, 'gone.png,a,train', 'broken.jpg,a,train', 'text.jpg,b,train', 'small.png,d,test'],
      {
        'broken.jpg': whole.subarray(0, whole.length / 2),
        'text.jpg': 'hello',
        'small.png': await sharp(await pictureOf(51))
          .resize(20)
          .png()
          .toBuffer(),
      },
    );
    expect(found(report)).toEqual({ 'missing-picture': 1, 'unreadable-picture': 2, 'tiny-picture': 1 });
    expect(report.findings[0]!.examples).toEqual(['line 10: gone.png']);
    expect(report.findings[1]!.examples[0]).toMatch(/^line 11: .*broken\.jpg: is a truncated JPEG/);
    expect(report.findings[1]!.examples[1]).toMatch(/^line 12: .*text\.jpg: is text, not a picture/);
    expect(report.findings[2]!.examples).toEqual(['line 13: small.png, 20 pixels']);
    expect(report.findings.map(({ severity }) => severity)).toEqual(['error', 'error', 'warning']);
  });

  it('finds leaks of items and of pictures, encoded anew too', async () => {
    const again = await sharp(await pictureOf(1))
      .jpeg({ quality: 60 })
      .toBuffer();
    const report = await check(
      [
        ...SOUND,
        'p60.png,a,query',
        'p61.png,b,val',
        'same.png,d,test',
        'again.jpg,c,val',
        'twin.png,a,train',
        'other.png,b,train',
      ],
      {
        'same.png': await pictureOf(2), // of item a, trained on
        'again.jpg': again,
        'twin.png': await pictureOf(70),
        'other.png': await pictureOf(70),
      },
    );
    expect(found(report)).toEqual({
      'item-trained-and-judged': 1,
      'item-trained-and-validated': 1,
      'picture-trained-and-judged': 1,
      'picture-trained-and-validated': 1,
      'picture-of-several-items': 1,
      'query-without-match': 1,
    });
    const leak = report.findings.find(({ kind }) => kind === 'picture-trained-and-judged')!;
    expect(leak.examples).toEqual(['same file: p2.png (a, train) = same.png (d, test)']);
    expect(report.duplicates.map(({ isExact, rows }) => [isExact, rows])).toEqual([
      [false, [0, 11]],
      [true, [1, 10]],
      [true, [12, 13]],
    ]);
  });

  it('takes two boxes of one file for two pictures, one box twice for a repeat', async () => {
    const box = ',x_1,y_1,x_2,y_2';
    const rows = SOUND.map((line, index) => (index === 0 ? line + box : `${line},,,,`));
    const two = await check(
      [...rows, 'p80.png,a,train,0,0,24,48', 'p80.png,b,train,24,0,48,48'],
      {},
      { minimumSide: 8 },
    );
    expect(found(two)).toEqual({});
    const repeated = await check(
      [...rows, 'p80.png,a,train,0,0,24,48', 'p80.png,a,train,0,0,24,48'],
      {},
      { minimumSide: 8 },
    );
    expect(found(repeated)).toEqual({ 'repeated-picture': 1 });
    const outside = await check([...rows, 'p80.png,a,train,60,0,70,48'], {}, { minimumSide: 8 });
    expect(outside.findings[0]).toMatchObject({ kind: 'unreadable-picture', count: 1 });
  });

  it('describes attributes: empty, constant, dominated, rare, unlearnt, unsteady, levels', async () => {
    const lines = ['path,item_id,split,kind,empty,same,tags,shape,stray'];
    for (let item = 0; item < 30; item++) {
      const split = item < 20 ? 'train' : item < 25 ? 'val' : 'test';
      for (const picture of [0, 1]) {
        const stray = item === 3 && picture === 1 ? 'y' : 'x';
        lines.push(
          [
            `p${2 * item + picture}.png`,
            `i${item}`,
            split,
            `k${item % 3}`,
            '',
            'one',
            item === 29 ? 'red|late' : item % 2 === 0 ? 'red|big' : 'blue',
            item === 7 ? 'disc' : 'square',
            stray,
          ].join(','),
        );
      }
    }
    const report = await check(lines, {}, { manifestOnly: true });
    expect(report.findings.map(({ kind, message }) => [kind, message])).toEqual([
      ['empty-attribute', "attribute 'empty' has no value anywhere"],
      ['constant-attribute', "attribute 'same' has one value only, 'one'"],
      ['rare-values', "attribute 'tags': 1 of 4 values are on fewer than 5 items"],
      ['unlearnt-values', "attribute 'tags': 1 of 4 values occur outside training only"],
      ['dominated-attribute', "attribute 'shape' is 'square' for 97 % of the items that have it"],
      ['rare-values', "attribute 'shape': 1 of 2 values are on fewer than 5 items"],
      ['dominated-attribute', "attribute 'stray' is 'x' for 100 % of the items that have it"],
      ['rare-values', "attribute 'stray': 1 of 2 values are on fewer than 5 items"],
      [
        'unsteady-attribute',
        "attribute 'stray': 1 items have several values on their pictures, the others one",
      ],
    ]);
    expect(report.attributes.map(({ name, kind, values, isLevel }) => [name, kind, values, isLevel])).toEqual(
      [
        ['kind', 'single', 3, true],
        ['empty', 'single', 0, false],
        ['same', 'single', 1, false],
        ['tags', 'multi', 4, false],
        ['shape', 'single', 2, true],
        ['stray', 'single', 2, false],
      ],
    );
  });

  it('looks at singletons, sources and the splits there are', async () => {
    const report = await check(
      ['path,item_id,split,source', 'p1.png,a,train,x', 'p2.png,b,train,x', 'p3.png,b,train,'],
      {},
      { manifestOnly: true },
    );
    expect(found(report)).toEqual({
      'no-judged-pictures': 1,
      'no-validation': 1,
      'training-singleton': 1,
      'missing-source': 1,
      'one-source': 1,
    });
  });

  it('refuses a manifest of which nothing can be read', async () => {
    await expect(check(['path,item_id,split', 'gone.png,a,train'])).rejects.toThrow(
      /m\.csv: none of 1 pictures can be read; the first: .*gone\.png: cannot be read: no such file/,
    );
    await expect(checkManifest(join(root, 'none.csv'))).rejects.toBeInstanceOf(DataError);
  });

  it('stops when it is told to', async () => {
    await expect(check(SOUND, {}, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
  });
});

describe('repairManifest', () => {
  it('leaves out what is unusable, leaks and copies, and moves nothing', async () => {
    const report = await check(
      [
        ...SOUND,
        'gone.png,a,train',
        'same.png,d,test',
        'copy.png,b,train',
        'p90.png,x,test',
        'p90.png,y,test',
      ],
      { 'same.png': await pictureOf(2), 'copy.png': await pictureOf(11) },
    );
    const file = join(root, 'elsewhere', 'fixed.csv');
    const repair = await repairManifest(report, file);
    expect(repair).toEqual({ file, removed: { unusable: 1, leaked: 1, repeated: 1 }, kept: 10 });
    const fixed = await readManifest(file);
    expect(fixed.rows.map(({ relativePath }) => relativePath)).toContain('../same.png');
    expect(fixed.rows.map(({ relativePath }) => relativePath)).not.toContain('../p2.png');
    for (const { path } of fixed.rows) await access(path);
    const again = await checkManifest(file);
    expect(found(again)).toMatchObject({ 'picture-of-several-items': 1 });
    expect(again.findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(await readFile(file, 'utf8')).toMatch(/^path,item_id,split\n/);
  });
});
