import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import type { Explanation } from '../catalog/index.js';
import { heatAt, heatMapPicture } from './heat-map-picture.js';

let root = '';
let model = '';
let catalog = '';
const file = (name: string) => join(root, 'pictures', name);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-explain-'));
  model = await writeTinyBundle(root, { fit: 'cover' });
  catalog = join(root, 'catalog');
  await mkdir(join(root, 'pictures'));
  await writeFile(file('red.png'), await plainPicture([250, 0, 0]));
  await writeFile(file('orange.png'), await plainPicture([250, 80, 0]));
  await writeFile(file('wide.png'), await plainPicture([0, 0, 250], { width: 40, height: 16 }));
  const rows = [
    'path,item_id,split,x_1,y_1,x_2,y_2,hue',
    'pictures/orange.png,a,test,,,,,red',
    'pictures/wide.png,b,test,8,0,24,16,blue',
  ];
  await writeFile(join(root, 'manifest.csv'), `${rows.join('\n')}\n`);
  expect(
    (
      await runMain(
        'index',
        '--model',
        model,
        '--data',
        join(root, 'manifest.csv'),
        '--catalog',
        catalog,
        '--quiet',
      )
    ).code,
  ).toBe(0);
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const explained = async (...argv: string[]) => {
  const { stdout, stderr } = await runMain('explain', ...argv, '--json');
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Explanation;
};
const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

describe('semblance explain', () => {
  it('two files: parts, contributions and maps add up; words and a picture', async () => {
    const out = join(root, 'why.png');
    const { score, parts, attributes, words, heatMaps } = await explained(
      file('red.png'),
      file('orange.png'),
      ...['--model', model, '--granularity', 'category', '--output', out],
    );
    expect(sum(Object.values(parts))).toBeCloseTo(score, 6);
    expect(parts.embedding! + sum(attributes.map(({ contribution }) => contribution))).toBeCloseTo(score, 6);
    expect(words.join('\n')).toMatch(/both: hue red \(0\.\d+\)/);
    expect(heatMaps).toMatchObject({ method: 'exact', query: { width: 2, height: 2 } });
    expect(sum(heatMaps!.query.values)).toBeCloseTo(heatMaps!.cosine, 6);
    expect((await sharp(out).metadata()).format).toBe('png');
    const { stdout } = await runMain('explain', file('red.png'), file('orange.png'), '--model', model);
    expect(stdout).toMatch(/^score 0\.\d{3}\n {2}embedding +0\.\d{3}\n/);
    expect(stdout).toMatch(/both show: hue red/);
    expect(stdout).toMatch(/heat maps: exact, 2 × 2 cells, cosine 0\.\d{3}, of which nothing is not in them/);
  });

  it('records of a catalogue, with their boxes; the same score as the search', async () => {
    const { stdout } = await runMain(
      'search',
      file('red.png'),
      '--catalog',
      catalog,
      '--granularity',
      'look',
      '--json',
    );
    const { hits } = JSON.parse(stdout) as { hits: { id: string; score: number; parts: unknown }[] };
    expect(hits.map(({ id }) => id)).toEqual(['pictures/orange.png', 'pictures/wide.png#8,0,24,16']);
    for (const { id, score } of hits)
      for (const text of [id, `id:${id}`]) {
        const answer = await explained(file('red.png'), text, '--catalog', catalog, '--granularity', 'look');
        expect(answer.score).toBeCloseTo(score, 5);
      }
    const boxed = await explained(file('red.png'), hits[1]!.id, '--catalog', catalog);
    expect(boxed.heatMaps!.hit.area).toEqual({ left: 8 / 40, top: 0, right: 24 / 40, bottom: 1 });
    const other = await explained('id:pictures/orange.png', 'pictures/orange.png', '--catalog', catalog);
    expect(other.score).toBeCloseTo(1, 5);
  });

  it('a box of either', async () => {
    const { heatMaps } = await explained(
      file('wide.png'),
      file('wide.png'),
      ...['--model', model, '--box', '0,0,16,16', '--hit-box', '50%,0%,100%,100%'],
    );
    expect(heatMaps!.query.area).toEqual({ left: 0, top: 0, right: 16 / 40, bottom: 1 });
    expect(heatMaps!.hit.area).toEqual({ left: 22 / 40, top: 0, right: 38 / 40, bottom: 1 });
  });

  it.each([
    [['a.png', 'b.png'], 2, /--model or --catalog is required, got neither/],
    [
      ['a.png', 'b.png', '--model', 'M', '--output', 'why.jpg'],
      2,
      /--output must end in \.png, got 'why\.jpg'/,
    ],
    [
      ['RED', 'id:x', '--model', 'M'],
      2,
      /an id needs the catalogue that it is of, got 'id:x'\. Give --catalog/,
    ],
    [['RED', 'id:x', '--catalog', 'C'], 1, /has no picture 'x'/],
    [['RED', 'nothing.png', '--catalog', 'C'], 1, /nothing\.png: cannot be read: no such file/],
    [['RED', 'RED', '--model', 'M', '--box', '1,2,3'], 2, /--box.*four numbers.*got '1,2,3'/],
    [['RED', 'RED', '--model', 'M', '--box', '20,0,30,9'], 1, /must lie in the picture of 16 × 16 pixels/],
    [
      ['RED', 'RED', '--model', 'M', '--granularity', '2'],
      2,
      /granularity: must be item, look, category or a number/,
    ],
  ])('refuses %j', async (argv, code, message) => {
    const stand: Record<string, string> = { RED: file('red.png'), M: model, C: catalog };
    const result = await runMain('explain', ...argv.map((word) => stand[word] ?? word));
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(message);
  });
});

describe('heatMapPicture', () => {
  const area = { left: 0, top: 0, right: 1, bottom: 1 };
  const picture = { width: 16, height: 16 };

  it('is red where it speaks for, blue where against, and darker where the model does not look', async () => {
    const white = await plainPicture([255, 255, 255]);
    const query = { width: 2, height: 2, values: [1, 0, 0, -1], area, picture };
    const hit = { ...query, values: [0, 0, 0, 0], area: { left: 0.25, top: 0, right: 0.75, bottom: 1 } };
    const png = await heatMapPicture(
      { method: 'exact', query, hit, cosine: 0, remainder: 0 },
      { query: white, hit: white },
      { side: 400 },
    );
    const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const at = (x: number, y: number) => [
      ...data.subarray(3 * (y * info.width + x), 3 * (y * info.width + x) + 3),
    ];
    const [red, blue, plain] = [at(16 + 100, 16 + 100), at(16 + 300, 16 + 300), at(16 + 300, 16 + 100)];
    expect(red[0]! - red[2]!).toBeGreaterThan(120);
    expect(blue[2]! - blue[0]!).toBeGreaterThan(90);
    expect(plain).toEqual([255, 255, 255]);
    const second = 32 + 400;
    expect(at(second + 200, 200)).toEqual([255, 255, 255]);
    expect(at(second + 20, 200)[0]).toBeLessThan(160);
  });

  it('takes the cells as they are in their middles, and nothing beyond the lowest and highest', () => {
    const map = { width: 3, height: 2, values: [1, 5, 2, -3, 0, 4], area, picture };
    map.values.forEach((value, i) => {
      expect(heatAt(map, ((i % 3) + 0.5) / 3, (Math.floor(i / 3) + 0.5) / 2)).toBeCloseTo(value, 9);
    });
    for (let u = 0; u <= 1; u += 0.05)
      for (let v = 0; v <= 1; v += 0.05) {
        expect(heatAt(map, u, v)).toBeGreaterThanOrEqual(-3);
        expect(heatAt(map, u, v)).toBeLessThanOrEqual(5);
      }
    expect(heatAt({ ...map, width: 1, height: 1, values: [7] }, 0.9, 0.1)).toBe(7);
  });
});
