/**
 * `semblance robustness` on made-up pictures and a small network of random weights.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blots } from '../../test/support/pictures.js';
import { runMain } from '../../test/support/run-main.js';
import { writeSmallNetworkBundle } from '../../test/support/small-network-bundle.js';
import { readManifest } from '../data/index.js';
import { embedRows, judge, judgePerQuery } from './judging.js';
import type { Robustness } from './robustness-run.js';

const SCHEMA = { attributes: [], levels: ['item_id'] };
let root = '';
let model = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-robustness-'));
  model = await writeSmallNetworkBundle(root);
  // Three pictures of each of 8 items: the same blots at other sizes.
  for (let i = 0; i < 24; i++) await writeFile(join(root, `${i}.png`), await blots(i % 8, 30 + 7 * (i >> 3)));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

/** A manifest whose rows have a split and perhaps a source. */
async function manifestOf(name: string, split: (i: number) => string, source?: (i: number) => string) {
  const rows = Array.from(
    { length: 24 },
    (_, i) => `${i}.png,item ${i % 8},${split(i)}${source === undefined ? '' : `,${source(i)}`}`,
  );
  const path = join(root, `${name}.csv`);
  await writeFile(path, `path,item_id,split${source === undefined ? '' : ',source'}\n${rows.join('\n')}\n`);
  return path;
}

async function measured(data: string, ...more: string[]): Promise<Robustness> {
  const { code, stdout, stderr } = await runMain(
    ...['robustness', '--model', model, '--data', data, '--threads', '1', '--batch-size', '5', '--quiet'],
    ...['--json', ...more],
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Robustness;
}

describe('robustness', () => {
  it.each<[string, (i: number) => string, ((i: number) => string) | undefined, number]>([
    ['leave-one-out', () => 'test', undefined, 24],
    ['queries and gallery', (i) => (i < 8 ? 'query' : 'gallery'), undefined, 8],
    ['sources', () => 'test', (i) => `source ${i >> 3}`, 24],
  ])(
    '%s: without an attack the figures are those of evaluate, and attacks lower them',
    async (name, split, source, queries) => {
      const data = await manifestOf(name.replace(' ', '-'), split, source);
      const { rows } = await readManifest(data);
      const { recallAt1, mapAtR } = await judge(await embedRows(model, rows, { threads: 1 }), SCHEMA);
      const result = await measured(data, '--epsilon', '0,2/255,16/255', '--steps', '4');
      expect(result).toMatchObject({ queries, isSample: false, clean: { recallAt1, mapAtR } });
      expect(recallAt1).toBeGreaterThan(0.9);
      const by = (attack: string) => result.attacked.filter((entry) => entry.attack === attack);
      for (const attack of ['fgsm', 'pgd']) {
        const [none, little, much] = by(attack);
        expect(none).toMatchObject({ epsilon: 0, recallAt1, mapAtR });
        expect(none!.margin).toBeCloseTo(result.clean.margin, 5);
        expect(none!.cosineToClean).toBeCloseTo(1, 5);
        expect(little!.margin).toBeLessThan(none!.margin);
        expect(much!.margin).toBeLessThan(little!.margin);
        expect(much!.recallAt1).toBeLessThan(0.5 * recallAt1);
        expect(much!.mapAtR).toBeLessThan(mapAtR);
        expect(much!.cosineToClean).toBeLessThan(little!.cosineToClean);
      }
      expect(by('pgd')[2]!.margin).toBeLessThan(by('fgsm')[2]!.margin);
    },
  );

  it('is the same twice, another seed draws other starts, and a sample is a part of the queries', async () => {
    const data = await manifestOf('again', () => 'test');
    const options = ['--attack', 'pgd', '--epsilon', '0.02', '--steps', '2'];
    const first = await measured(data, ...options);
    expect(await measured(data, ...options)).toEqual(first);
    const other = await measured(data, ...options, '--seed', '1');
    expect(other.attacked[0]!.margin).not.toBe(first.attacked[0]!.margin);
    const sample = await measured(data, ...options, '--queries', '6');
    expect(sample).toMatchObject({ queries: 6, isSample: true });
    expect(sample.attacked[0]!.recallAt1).toBeLessThanOrEqual(sample.clean.recallAt1);
    // Means over six queries.
    expect(6 * sample.clean.recallAt1).toBeCloseTo(Math.round(6 * sample.clean.recallAt1), 9);
  });

  it.each<[string, (i: number) => string, ((i: number) => string) | undefined]>([
    ['queries and gallery', (i) => (i < 8 ? 'query' : 'gallery'), undefined],
    ['sources', () => 'test', (i) => `source ${i >> 3}`],
    ['both', () => 'test', undefined],
  ])('%s: a sample of one query has the figures of a query', async (name, split, source) => {
    const data = await manifestOf(`one-${name.replace(/ /g, '-')}`, split, source);
    const { rows } = await readManifest(data);
    const { mapAtR } = await judgePerQuery(await embedRows(model, rows, { threads: 1 }), SCHEMA);
    const found = new Set<string>();
    for (let seed = 0; seed < 4; seed++) {
      const options = ['--attack', 'fgsm', '--epsilon', '0', '--queries', '1', '--seed', String(seed)];
      const { clean } = await measured(data, ...options);
      found.add(clean.mapAtR.toFixed(5));
    }
    const known = new Set(Array.from(mapAtR, (value) => value.toFixed(5)));
    for (const value of found) expect(known).toContain(value);
  });

  it('prints a table, and draws a curve an attack and figure', async () => {
    const plot = join(root, 'plot.svg');
    const data = await manifestOf('table', () => 'test');
    const { stdout } = await runMain(
      ...['robustness', '--model', model, '--data', data, '--threads', '1', '--quiet'],
      ...['--attack', 'fgsm', '--epsilon', '1/255,16/255', '--plot', plot],
    );
    expect(stdout).toMatch(/attack │ +ε │ Recall@1 │ MAP@R │ margin │ to clean/);
    expect(stdout).toMatch(/none +│ +0 │/);
    expect(stdout).toMatch(/fgsm +│ +1\/255 │/);
    expect(stdout).toMatch(/\n24 queries\n$/);
    const svg = await readFile(plot, 'utf8');
    expect(svg).toMatch(/^<svg xmlns/);
    for (const text of ['Recall@1, fgsm', 'MAP@R, fgsm', '24 queries of the split test'])
      expect(svg).toContain(text);
    expect(svg).not.toContain('var(');
    // Readers of SVG without CSS variables draw it in colour on white.
    const { data: drawn, info } = await sharp(plot).raw().toBuffer({ resolveWithObject: true });
    expect(info.width).toBe(560);
    const pixels = new Set<number>();
    for (let i = 0; i < drawn.length; i += info.channels) pixels.add(drawn.readUIntBE(i, 3));
    for (const colour of [0xffffff, 0x0b6e75, 0xd9822b]) expect(pixels).toContain(colour);
  });

  it.each([
    [['--epsilon', '1/255,2'], /numbers from 0 to 1, such as 0\.01 or 2\/255, got '2'/],
    [['--epsilon', '1/'], /got '1\/'/],
    [['--epsilon', ''], /got ''/],
    [['--epsilon', '-1/255'], /got '-1\/255'/],
    [['--attack', 'fgsm,cw'], /must be among fgsm, pgd, got 'cw'/],
    [['--plot', 'a.png'], /must end with \.svg, got 'a\.png'/],
    [['--steps', '0'], /whole number from 1/],
  ])('refuses %j', async (flags, message) => {
    const { code, stderr } = await runMain('robustness', '--model', model, '--data', 'x.csv', ...flags);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('says when there is nothing to attack', async () => {
    const lines = Array.from({ length: 4 }, (_, i) => `${i}.png,item ${i},test`);
    const data = join(root, 'single.csv');
    await writeFile(data, `path,item_id,split\n${lines.join('\n')}\n`);
    const { code, stderr } = await runMain('robustness', '--model', model, '--data', data, '--quiet');
    expect(code).toBe(1);
    expect(stderr).toMatch(/a query with a positive and a negative to be found is required, got none/);
  });
});
