/** Figures of `evaluate --embeddings` against `test/golden/make-metrics.py`, which shares no code with ours. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { encodeNpy } from '../util/index.js';
import { type EmbeddingFigures, embeddingSources } from './evaluate-embeddings.js';

interface Golden {
  name: string;
  levels: string[];
  cross: boolean;
  embeddings: number[][];
  rows: Record<string, string>[];
  attributes: Record<string, string[]>[];
  expected: Record<string, unknown>;
}

const { cases } = JSON.parse(
  await readFile(new URL('../../test/golden/metrics.json', import.meta.url), 'utf8'),
) as { cases: Golden[] };

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-figures-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Writes the files of some rows. @returns their paths */
async function write(
  name: string,
  embeddings: readonly (readonly number[])[],
  rows: readonly Readonly<Record<string, string>>[],
): Promise<{ array: string; labels: string }> {
  const array = join(root, `${name}.npy`);
  const labels = join(root, `${name}.csv`);
  const data = Float32Array.from(embeddings.flat());
  const shape = [embeddings.length, embeddings[0]?.length ?? 0];
  await writeFile(array, encodeNpy({ dataType: 'float32', shape, data }));
  await writeFile(labels, stringify([...rows], { header: true }));
  return { array, labels };
}

async function figures(...argv: readonly string[]): Promise<EmbeddingFigures> {
  const { code, stdout, stderr } = await runMain('evaluate', ...argv, '--json', '--quiet');
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as EmbeddingFigures;
}

const cellsOf = ({ rows, attributes }: Golden) =>
  rows.map((row, i) => ({
    ...row,
    colour: attributes[i]!.colour!.join('|'),
    tags: attributes[i]!.tags!.join('|'),
  }));

/** Every number of `expected` is in `actual`, to 1e-9; all else is equal. What `actual` has beside is not compared. */
function expectClose(actual: unknown, expected: unknown, path: string): void {
  if (typeof expected === 'number') {
    expect(typeof actual, path).toBe('number');
    expect(Math.abs((actual as number) - expected), `${path}: ${actual} and ${expected}`).toBeLessThan(1e-9);
  } else if (typeof expected === 'object' && expected !== null) {
    for (const [key, value] of Object.entries(expected))
      expectClose((actual as Record<string, unknown>)?.[key], value, `${path}.${key}`);
  } else expect(actual, path).toEqual(expected);
}

describe('against an independent computation', () => {
  it.each(cases.map((golden) => [golden.name, golden] as const))('%s', async (_name, golden) => {
    const { array, labels } = await write('golden', golden.embeddings, cellsOf(golden));
    const actual = await figures(
      ...['--embeddings', array, '--labels', labels, '--levels', golden.levels.join(',')],
      ...['--attributes', 'colour,tags', ...(golden.cross ? ['--cross', 'source'] : [])],
    );
    expectClose(actual, golden.expected, golden.name);
  });
});

describe('what may not matter', () => {
  const golden = cases.find(({ name }) => name === 'roles')!;
  const options = ['--levels', golden.levels.join(','), '--cross', 'source'];

  it('the order of the rows, and the lengths of the embeddings', async () => {
    const rows = cellsOf(golden);
    const order = rows.map((_, i) => i).sort((a, b) => ((a * 31) % 48) - ((b * 31) % 48));
    const straight = await write('straight', golden.embeddings, rows);
    const other = await write(
      'other',
      order.map((i) => golden.embeddings[i]!.map((value) => value * 2 ** ((i % 9) - 4))),
      order.map((i) => rows[i]!),
    );
    const expected = await figures('--embeddings', straight.array, '--labels', straight.labels, ...options);
    const actual = await figures('--embeddings', other.array, '--labels', other.labels, ...options);
    expectClose(actual, expected, 'shuffled');
    const tripled = await write(
      'tripled',
      golden.embeddings.map((row) => row.map((value) => 3 * value)),
      rows,
    );
    const scaled = await figures('--embeddings', tripled.array, '--labels', tripled.labels, ...options);
    expect(scaled.levels).toEqual(expected.levels);
  });

  it('whether queries and gallery are one array with roles or an array each', async () => {
    const rows = cellsOf(golden).map((row, i) => ({ ...row, role: i % 3 === 0 ? 'query' : 'gallery' }));
    const of = (role: string) =>
      write(
        role,
        golden.embeddings.filter((_, i) => rows[i]!.role === role),
        rows.filter((row) => row.role === role).map(({ role: _, ...row }) => row),
      );
    const all = await write('all', golden.embeddings, rows);
    const [query, gallery] = [await of('query'), await of('gallery')];
    const expected = await figures('--embeddings', all.array, '--labels', all.labels, ...options);
    const sides = ['--query', query.array, '--query-labels', query.labels, '--gallery', gallery.array];
    expectClose(
      await figures(...sides, '--gallery-labels', gallery.labels, ...options),
      expected,
      'an array each',
    );
    expectClose(await figures(...sides, ...options), expected, 'labels beside the arrays');
  });

  it('more columns than were asked for, when the attributes are named', async () => {
    const rows = cellsOf(golden);
    const plain = await write('plain', golden.embeddings, rows);
    const more = await write(
      'more',
      golden.embeddings,
      rows.map((row, i) => ({ ...row, note: `row ${i}` })),
    );
    const named = [...options, '--attributes', 'colour,tags'];
    expect(await figures('--embeddings', more.array, ...named)).toEqual(
      await figures('--embeddings', plain.array, ...named),
    );
  });
});

describe('what is wrong is named', () => {
  const rows = [
    { item_id: 'a', source: 's', role: 'query' },
    { item_id: 'a', source: '', role: 'both' },
  ];
  const good = [
    [1, 0],
    [0, 1],
  ];

  it.each([
    [
      'NaN',
      [
        [1, 0],
        [0, Number.NaN],
      ],
      rows,
      [],
      /got NaN in .*wrong\.npy, row 1 counted from 0 \(.*wrong\.csv:3\), column 1/,
    ],
    [
      'infinity',
      [
        [-Infinity, 0],
        [0, 1],
      ],
      rows,
      [],
      /got -Infinity in .*wrong\.npy, row 0 .*wrong\.csv:2\), column 0/,
    ],
    [
      'a row too few',
      good,
      rows.slice(0, 1),
      [],
      /wrong\.csv: labels: .*each of the 2 rows of .*wrong\.npy, got 1/,
    ],
    [
      'a level that is no column',
      good,
      rows,
      ['--levels', 'item_id,look'],
      /wrong\.csv:1: .*needs a column 'look'/,
    ],
    [
      'an unknown role',
      good,
      rows.map((row) => ({ ...row, role: 'asks' })),
      [],
      /wrong\.csv:2: role: .*got 'asks'/,
    ],
    [
      'a row without a source',
      good,
      rows,
      ['--cross', 'source'],
      /wrong\.csv:3: source: .*got an empty cell/,
    ],
    ['an attribute that is no column', good, rows, ['--attributes', 'colour'], /needs a column 'colour'/],
  ])('%s', async (_name, embeddings, cells, options, message) => {
    const { array } = await write('wrong', embeddings, cells);
    const { code, stderr } = await runMain('evaluate', '--embeddings', array, ...options, '--quiet');
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(1);
  });

  it('arrays that are none of numbers in two dimensions', async () => {
    const { array } = await write('wrong', good, rows);
    const data = new Float32Array(4);
    await writeFile(array, encodeNpy({ dataType: 'float32', shape: [4], data }));
    expect((await runMain('evaluate', '--embeddings', array)).stderr).toMatch(/shape \(N, D\).*got \(4\)/);
    await writeFile(array, encodeNpy({ dataType: 'int32', shape: [2, 2], data: new Int32Array(4) }));
    expect((await runMain('evaluate', '--embeddings', array)).stderr).toMatch(
      /float32 is required, got int32/,
    );
  });
});

describe('embeddingSources', () => {
  it('takes --embeddings as the other side of --query or of --gallery', () => {
    expect(embeddingSources({ embeddings: 'E.npy' })).toEqual([{ embeddings: 'E.npy', labels: 'E.csv' }]);
    const query = { embeddings: 'Q.npy', labels: 'Q.csv', role: 'query' };
    const gallery = { embeddings: 'E.npy', labels: 'L.csv', role: 'gallery' };
    expect(embeddingSources({ embeddings: 'E.npy', labels: 'L.csv', query: 'Q.npy' })).toEqual([
      query,
      gallery,
    ]);
    expect(embeddingSources({ embeddings: 'Q.npy', gallery: 'E.npy', galleryLabels: 'L.csv' })).toEqual([
      query,
      gallery,
    ]);
    expect(() => embeddingSources({ embeddings: 'E', query: 'Q', gallery: 'G' })).toThrow(/got all three/);
  });
});
