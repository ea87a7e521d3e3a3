import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTree } from '../../test/support/file-tree.js';
import { blots } from '../../test/support/pictures.js';
import { runMain } from '../../test/support/run-main.js';

let root: string;
beforeEach(async () => {
  const picture = async (seed: number) => await blots(seed, 40);
  root = await makeTree({
    'a.png': await picture(1),
    'b.png': await picture(2),
    'c.png': await picture(3),
    'd.png': await picture(4),
    'copy.png': await picture(1),
    'v1.png': await picture(5),
    'v2.png': await picture(6),
    'm.csv':
      'path,item_id,split,kind\na.png,1,train,x\nb.png,1,train,x\nc.png,2,test,y\nd.png,2,test,y\nv1.png,3,val,x\nv2.png,3,val,x\n',
    'bad.csv':
      'path,item_id,split\na.png,1,train\nb.png,1,train\nc.png,2,test\ncopy.png,2,test\ngone.png,2,test\nv1.png,3,val\nv2.png,3,val\n',
  });
});
afterEach(() => rm(root, { recursive: true, force: true }));

const run = (name: string, ...options: string[]) =>
  runMain('dataset', 'check', join(root, name), '--quiet', ...options);

describe('semblance dataset check', () => {
  it('says in plain words what to do; exit code 0 with warnings', async () => {
    const { code, stdout } = await run('m.csv');
    expect(code).toBe(0);
    expect(stdout).toContain(
      '6 pictures of 3 items\n  pictures of items by split: train 2 of 1, val 2 of 1, test 2 of 1',
    );
    expect(stdout).toMatch(/kind +│ level │ +2 │ 100 % │ x/);
    expect(stdout).toMatch(/Nothing was found\.\n$/);
    const tiny = await run('m.csv', '--min-side', '41');
    expect(tiny.code).toBe(0);
    expect(tiny.stdout).toContain(
      'warning: 6 of 6 pictures are smaller than 41 pixels.\n    Little can be seen',
    );
    expect(tiny.stdout).toContain('    - line 2: a.png, 40 pixels\n');
    expect(tiny.stdout).toMatch(/ {4}- and 1 more\n0 errors, 1 warning\.\n$/);
  });

  it('fails with errors, and its repaired copy does not', async () => {
    const { code, stdout, stderr } = await run('bad.csv', '--fix');
    expect(code).toBe(1);
    expect(stdout).toContain('error: 1 of 7 pictures are not on disk.\n');
    expect(stdout).toContain('    - same file: a.png (1, train) = copy.png (2, test)\n');
    expect(stdout).toContain('left out: 1 unusable, 1 that are judged or validated as well, 0 second copies');
    expect(stderr).toBe(`semblance: ${join(root, 'bad.csv')}: 2 errors found; see above\n`);
    expect((await run('bad-fixed.csv')).code).toBe(0);
  });

  it('prints JSON, and draws a contact sheet', async () => {
    const sheet = join(root, 'sheets', 'sheet.png');
    const { code, stdout } = await run('bad.csv', '--json', '--contact-sheet', sheet, '--min-side', '41');
    expect(code).toBe(1);
    const report = JSON.parse(stdout);
    expect(report.findings.map(({ kind }: { kind: string }) => kind)).toContain('picture-trained-and-judged');
    expect(report.duplicates).toEqual([
      {
        exact: true,
        pictures: [
          { line: 2, path: 'a.png', item: '1', split: 'train' },
          { line: 5, path: 'copy.png', item: '2', split: 'test' },
        ],
      },
    ]);
    expect(report.problems).toHaveLength(1);
    expect(report.tiny).toHaveLength(6);
    const { width, height } = await sharp(sheet).metadata();
    expect(height).toBe(8 + 104 * 5); // train, val, test, the leak, tiny pictures
    expect(width).toBeGreaterThan(6 * 104);
  });

  it('refuses what is no manifest, with one line', async () => {
    const { code, stderr } = await run('gone.csv');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^semblance: .*gone\.csv: manifest cannot be read: .*\n$/);
    expect((await run('m.csv', '--min-side', '0')).code).toBe(2);
  });
});
