/**
 * `train --feedback` on real pictures: eight items of noisy colours, a catalogue's folder with what people said, and what
 * becomes of it in the embeddings.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { openEmbedder } from '../bundle/index.js';
import { readManifest } from '../data/index.js';
import { type FeedbackEntry, FeedbackLog } from '../server/index.js';
import { Random } from '../util/index.js';
import { describeFeedback, feedbackPairs } from './feedback-pairs.js';

const ITEMS = 8;
const SIZE = 16;

let root = '';
const at = (...parts: string[]) => join(root, ...parts);
const pictureOf = (item: number, view: number) => at('pictures', `${item}-${view}.png`);
/** Pictures that are in no manifest. */
const STRANGER = 'feedback/stranger.png';
const LOOK_ALIKE = 'feedback/look-alike.png';

/** Halves of two of eight colours, by default the item's, and noise. */
async function picture(item: number, view: number, halves = [item, item * 5 + 3]): Promise<Buffer> {
  const random = Random.from(item, view);
  const bytes = new Uint8Array(SIZE * SIZE * 3);
  for (let pixel = 0; pixel < SIZE * SIZE; pixel++)
    for (let channel = 0; channel < 3; channel++) {
      const bits = halves[pixel % SIZE >= SIZE / 2 ? 1 : 0]!;
      bytes[pixel * 3 + channel] = ((bits >> channel) & 1 ? 180 : 75) + random.integer(41) - 20;
    }
  return sharp(bytes, { raw: { width: SIZE, height: SIZE, channels: 3 } })
    .png()
    .toBuffer();
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-feedback-'));
  await mkdir(at('pictures'));
  const lines = ['path,item_id,split,kind'];
  for (let item = 0; item <= ITEMS; item++)
    for (let view = 0; view < 3; view++) {
      await writeFile(pictureOf(item, view), await picture(item, view));
      const split = item === ITEMS ? 'val' : 'train';
      lines.push(`pictures/${item}-${view}.png,item${item},${split},${item % 2 === 0 ? 'even' : 'odd'}`);
    }
  await writeFile(at('manifest.csv'), `${lines.join('\n')}\n`);
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

let said = 0;
function entry(
  query: string,
  hit: string,
  verdict: 'up' | 'down',
  level: FeedbackEntry['level'] = 'item',
): FeedbackEntry {
  const moment = String(said++).padStart(3, '0');
  return {
    key: FeedbackLog.key(query, hit, level),
    query: { path: query },
    hit: { id: hit, path: hit },
    verdict,
    level,
    at: `2026-01-01T00:00:00.${moment}Z`,
  };
}

/** A catalogue's folder, as far as feedback goes, with what was said. */
async function catalog(name: string, entries: readonly FeedbackEntry[]): Promise<string> {
  const folder = at(name);
  await mkdir(join(folder, 'feedback'), { recursive: true });
  await writeFile(join(folder, 'catalog.json'), '{}\n');
  await writeFile(join(folder, STRANGER), await picture(20, 0, [3, 3]));
  await writeFile(join(folder, LOOK_ALIKE), await picture(21, 0, [4, 6]));
  const log = await FeedbackLog.open(folder);
  for (const one of entries) await log.add(one);
  return folder;
}

const SETTINGS = [
  'network={"inputSize":16,"widths":[8,16],"blocks":[1],"embeddingSize":8}',
  'batch={"items":4,"picturesPerItem":2}',
  'warmUpSteps=5',
  'learningRate=0.01',
  'averageDecay=0.8',
];

async function train(out: string, ...more: string[]) {
  const result = await runMain(
    ...['train', '--data', at('manifest.csv'), '--out', at(out), '--steps', '60', '--threads', '1'],
    ...['--no-report', ...SETTINGS.flatMap((setting) => ['--set', setting]), ...more],
  );
  return { ...result, model: at(out, 'model') };
}

const onnxOf = (model: string) => readFile(join(model, 'onnx', 'model.onnx'));

/** Mean cosine between the pictures of two lists. */
async function similarity(model: string, a: readonly string[], b: readonly string[]): Promise<number> {
  const embedder = await openEmbedder(model, { threads: 1 });
  const embed = async (path: string) => (await embedder.embedOne(path)).embedding;
  const [left, right] = [await Promise.all(a.map(embed)), await Promise.all(b.map(embed))];
  await embedder.close();
  const cosines = left.flatMap((x) => right.map((y) => x.reduce((sum, value, d) => sum + value * y[d]!, 0)));
  return cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
}

const views = (item: number) => [0, 1, 2].map((view) => pictureOf(item, view));

describe('train --feedback', () => {
  it('what people said of two items, and of an unknown picture, is in the embeddings', async () => {
    const folder = await catalog('said', [
      entry(pictureOf(0, 0), pictureOf(7, 0), 'up'),
      entry(pictureOf(0, 1), pictureOf(7, 2), 'up'),
      entry(STRANGER, pictureOf(2, 0), 'up'),
      entry(LOOK_ALIKE, pictureOf(4, 0), 'down'),
      entry(LOOK_ALIKE, pictureOf(4, 1), 'down'),
    ]);
    const without = await train('without');
    expect(without.code, without.stderr).toBe(0);
    const withIt = await train('with', '--feedback', folder);
    expect(withIt.code, withIt.stderr).toBe(0);
    expect(withIt.stderr).toContain(
      'feedback: 5 verdicts: 3 pairs alike, 2 not, with 2 pictures that are not in the data\n',
    );
    const change = async (a: readonly string[], b: readonly string[]) =>
      (await similarity(withIt.model, a, b)) - (await similarity(without.model, a, b));
    expect(await change(views(0), views(7))).toBeGreaterThan(0.3);
    expect(await change([join(folder, STRANGER)], views(2))).toBeGreaterThan(0.3);
    expect(await change([join(folder, LOOK_ALIKE)], views(4))).toBeLessThan(-0.3);
    // Others stay apart.
    expect(await similarity(withIt.model, views(1), views(6))).toBeLessThan(0.5);
    const { feedback } = JSON.parse(await readFile(at('with', 'training', 'configuration.json'), 'utf8'));
    expect(feedback).toEqual({ source: folder, pairs: 8, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });

    // What is said later is not in a run that has begun.
    const log = await FeedbackLog.open(folder);
    await log.add(entry(pictureOf(1, 0), pictureOf(2, 0), 'down'));
    const again = await train('with', '--feedback', folder);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain('since this run began is not in it');
    expect(await onnxOf(again.model)).toEqual(await onnxOf(withIt.model));
    const other = await train('other', '--feedback', folder, '--set', `feedback.sha256=${feedback.sha256}`);
    expect(other.code).toBe(1);
    expect(other.stderr).toContain(`the feedback must have the hash ${feedback.sha256}, got `);
    const elsewhere = await train('with', '--feedback', await catalog('another', []));
    expect(elsewhere.code).toBe(1);
    expect(elsewhere.stderr).toContain('Choose another --out');
  }, 120_000);

  it('a catalogue without feedback trains as none, to the byte; no catalogue and proxies are refused', async () => {
    const empty = await train('empty', '--feedback', await catalog('silent', []));
    expect(empty.code, empty.stderr).toBe(0);
    expect(empty.stderr).toContain('feedback: nothing was said yet');
    const none = await train('none');
    expect(await onnxOf(empty.model)).toEqual(await onnxOf(none.model));
    const missing = await train('missing', '--feedback', at('nowhere'));
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain(`${at('nowhere')}: there is no catalogue.`);
    const proxies = await train('proxies', '--feedback', at('silent'), '--set', 'loss.kind=proxy-anchor');
    expect(proxies.code).toBe(2);
    expect(proxies.stderr).toContain('feedback: must be absent for a loss on proxies');
  }, 120_000);
});

describe('feedbackPairs', () => {
  const SCHEMA = {
    attributes: [{ name: 'kind', kind: 'single' as const, values: ['even', 'odd'] }],
    levels: ['item_id', 'kind'],
  };
  const pairsOf = async (entries: readonly FeedbackEntry[], folder: string, positives?: string) =>
    feedbackPairs(entries, folder, await readManifest(at('manifest.csv')), SCHEMA, positives);

  it('nothing of what is judged is trained on, not even a copy of it', async () => {
    const folder = await catalog('held', []);
    await copyFile(pictureOf(ITEMS, 0), join(folder, 'feedback', 'copy.png'));
    await copyFile(pictureOf(4, 0), join(folder, 'feedback', 'known.png'));
    const entries = [
      entry(pictureOf(0, 0), pictureOf(ITEMS, 1), 'up'),
      entry('feedback/copy.png', pictureOf(0, 0), 'down'),
      entry('feedback/known.png', pictureOf(5, 0), 'up'),
      entry('feedback/deleted.png', pictureOf(5, 0), 'up'),
      entry(pictureOf(5, 0), pictureOf(5, 0), 'up'),
      // A region of a validation picture, as the server keeps it.
      {
        ...entry(STRANGER, pictureOf(6, 0), 'up'),
        query: { path: STRANGER, of: { id: 'some', path: pictureOf(ITEMS, 2) } },
      },
    ];
    const { pairs, counts } = await pairsOf(entries, folder);
    expect(pairs.map(({ rows }) => rows.map(({ path }) => path))).toEqual([
      [pictureOf(4, 0), pictureOf(5, 0)],
    ]);
    expect(counts).toMatchObject({ verdicts: 6, positive: 1, heldOut: 3, gone: 1, idle: 1, added: 0 });
    expect(describeFeedback(counts)).toBe(
      '6 verdicts: 1 pairs alike, 0 not; left out: 3 about pictures of other splits than train, 1 about pictures that are gone, 1 that add nothing at the level that is trained',
    );
  });

  it('the last word on two pictures counts, whichever of them was the query', async () => {
    const [a, b, c] = [pictureOf(0, 0), pictureOf(1, 0), pictureOf(2, 0)];
    const { pairs, counts } = await pairsOf(
      [entry(a, b, 'up'), entry(b, a, 'down'), entry(a, b, 'up', 'look'), entry(c, a, 'down')],
      root,
    );
    expect(pairs.map(({ verdict }) => verdict)).toEqual(['negative', 'negative']);
    expect(counts).toMatchObject({ negative: 2, contradicted: 1, idle: 1 });
  });

  it('what a verdict says depends on the level that is trained', async () => {
    const table = [
      ['item', 'up', 'positive', 'positive'],
      ['item', 'down', 'negative', undefined],
      ['look', 'up', 'spared', 'positive'],
      ['category', 'up', 'spared', 'positive'],
      ['category', 'down', 'negative', 'negative'],
    ] as const;
    for (const [level, verdict, ofItems, ofKinds] of table) {
      const entries = [entry(pictureOf(0, 0), pictureOf(1, 0), verdict, level)];
      const says = async (positives?: string) => (await pairsOf(entries, root, positives)).pairs[0]?.verdict;
      expect([level, verdict, await says(), await says('kind')]).toEqual([level, verdict, ofItems, ofKinds]);
    }
    await expect(pairsOf([], root, 'colour')).rejects.toThrow(
      "positives must be one of the levels, item_id, kind, got 'colour'",
    );
  });

  it('boxes of one picture are told apart', async () => {
    const file = at('boxes.csv');
    const box = (left: number) => `${left},0,${left + 8},16`;
    await writeFile(
      file,
      `path,item_id,split,x_1,y_1,x_2,y_2\n${['pictures/0-0.png', 'pictures/0-1.png']
        .flatMap((path) => [`${path},a,train,${box(0)}`, `${path},b,train,${box(8)}`])
        .join('\n')}\n`,
    );
    const manifest = await readManifest(file);
    const boxed = (name: string, left: number) => ({
      id: `pictures/${name}#${box(left)}`,
      path: at('pictures', name),
    });
    const one = { ...entry('', '', 'up'), query: boxed('0-0.png', 8), hit: boxed('0-1.png', 0) };
    const { pairs } = await feedbackPairs([one], root, manifest, { attributes: [], levels: ['item_id'] });
    expect(pairs[0]?.rows).toEqual([manifest.rows[1], manifest.rows[2]]);
  });
});
