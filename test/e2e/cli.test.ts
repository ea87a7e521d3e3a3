import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePictures, semblance, TINY } from '../support/command-line.js';

let root = '';
let data = '';
let run = '';

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-e2e-'));
  data = await makePictures(root);
  run = join(root, 'run');
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

describe('train, evaluate, index, search', () => {
  let validation: unknown;

  it('train reports unreadable pictures once, goes on without them, and prints its figures', async () => {
    const argv = ['train', '--data', data, '--out', run, ...TINY, '--steps', '6', '--json'];
    const { code, stdout, stderr } = await semblance(argv);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('configuration: {"seed":0,"steps":6,');
    // Once among the training pictures, once among those of validation.
    expect(stderr.match(/^left out: .*corrupt\.png.*$/gm)?.length, stderr).toBe(1);
    expect(stderr.match(/^left out: .*gone\.jpg.*$/gm)?.length, stderr).toBe(1);
    const summary = JSON.parse(stdout) as Record<string, unknown>;
    expect(summary).toMatchObject({ model: join(run, 'model'), steps: 6 });
    validation = summary.validation;
    expect(validation).toMatchObject({ byLevel: { item_id: { queries: 15, skipped: 0 } }, pairs: {} });
    for (const file of ['onnx/model.onnx', 'semblance.json', 'preprocessor_config.json']) {
      expect(existsSync(join(run, 'model', file)), file).toBe(true);
    }
    const log = (await readFile(join(run, 'training', 'metrics.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { step: number; validation?: { details: Record<string, number> } });
    expect(log.map(({ step }) => step)).toEqual([1, 3, 6, 6]);
    // What was judged while training is what the bundle gives.
    const best = log.find(({ step, validation: found }) => step === summary.bestStep && found !== undefined);
    expect(validation).toMatchObject(best?.validation?.details ?? {});
    expect(Object.keys(best?.validation?.details ?? {})).toEqual(['recallAt1', 'mapAtR']);
  });

  it('train again finds that it is done', async () => {
    const argv = ['train', '--data', data, '--out', run, ...TINY, '--steps', '6', '--quiet', '--json'];
    const { code, stdout, stderr } = await semblance(argv);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as Record<string, unknown>).validation).toEqual(validation);
  });

  it('evaluate gives the same figures as train', async () => {
    const argv = [
      'evaluate',
      '--model',
      join(run, 'model'),
      '--data',
      data,
      '--split',
      'val',
      '--json',
      '--quiet',
    ];
    const { code, stdout, stderr } = await semblance(argv);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^left out: .*corrupt\.png.*\n$/);
    expect(JSON.parse(stdout)).toEqual({
      ...(validation as object),
      calibration: expect.any(Object),
      split: 'val',
      unreadable: 1,
    });
    const table = await semblance(argv.filter((argument) => argument !== '--json'));
    expect(table.code).toBe(0);
    expect(table.stdout).toMatch(/Recall@1/);
  });

  it('index embeds what it can read, and nothing twice', async () => {
    const catalog = join(root, 'catalog');
    const argv = [
      'index',
      '--model',
      join(run, 'model'),
      '--data',
      data,
      '--catalog',
      catalog,
      '--json',
      '--quiet',
    ];
    const first = await semblance(argv);
    expect(first.code, first.stderr).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({ embedded: 60, unchanged: 0, total: 60 });
    const { failures } = JSON.parse(first.stdout) as { failures: { reason: string }[] };
    expect(failures.map(({ reason }) => /corrupt|gone/.exec(reason)?.[0]).sort()).toContain('gone');
    const second = await semblance(argv);
    expect(second.code, second.stderr).toBe(0);
    expect(JSON.parse(second.stdout)).toMatchObject({ embedded: 0, unchanged: 60, total: 60 });
  });

  it('search finds the picture itself first, and only what passes the filters', async () => {
    interface Hit {
      readonly id: string;
      readonly itemId: string;
      readonly score: number;
      readonly attributes: Readonly<Record<string, readonly string[]>>;
    }
    const search = async (...more: string[]) => {
      const argv = [
        'search',
        join(root, 'pictures/17-1.png'),
        '--catalog',
        join(root, 'catalog'),
        '--json',
        ...more,
      ];
      const { code, stdout, stderr } = await semblance(argv);
      expect(code, stderr).toBe(0);
      return (JSON.parse(stdout) as { hits: Hit[] }).hits;
    };
    const hits = await search('--granularity', 'item', '-k', '5');
    expect(hits).toHaveLength(5);
    expect(hits[0]).toMatchObject({ id: 'pictures/17-1.png', itemId: 'item 17' });
    expect(hits[0]?.score).toBeCloseTo(1, 4);
    const scores = hits.map(({ score }) => score);
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    const filtered = await search('--filter', 'colour=red,green', '--filter', 'shape!=disc', '-k', '60');
    expect(filtered.length).toBeGreaterThan(10);
    for (const { attributes } of filtered) {
      expect(['red', 'green']).toContain(attributes.colour?.[0]);
      expect(attributes.shape).toEqual(['square']);
    }
  });
});

describe('interruption', () => {
  it('Ctrl-C ends with 130 and a checkpoint, and the same command goes on from it', async () => {
    const out = join(root, 'interrupted');
    const log = join(out, 'training', 'metrics.jsonl');
    const argv = [
      'train',
      '--data',
      data,
      '--out',
      out,
      ...TINY,
      '--steps',
      '600',
      '--set',
      'checkpointEvery=10000',
      '--set',
      'validateEvery=10000',
    ];
    const first = await semblance(argv, (child) => {
      const timer = setInterval(() => {
        if (!existsSync(log)) return;
        clearInterval(timer);
        child.kill('SIGINT');
      }, 5);
      child.on('close', () => clearInterval(timer));
    });
    expect(first.stderr).toContain('stopping; what is done is being saved');
    expect(first.stderr).toContain('semblance: interrupted; the same command goes on from here\n');
    expect(first.code).toBe(130);
    expect(existsSync(join(out, 'training', 'checkpoint.safetensors'))).toBe(true);
    const second = await semblance(argv);
    expect(second.code, second.stderr).toBe(0);
    expect(second.stderr).toMatch(/going on at step \d+ of 600/);
  });
});

describe('kill -9', () => {
  it('a killed run, resumed, ends with the model of one that was left alone', async () => {
    const settings = ['--set', 'checkpointEvery=4', '--set', 'validateEvery=25', '--threads', '1', '--quiet'];
    const argv = (out: string) => [
      'train',
      '--data',
      data,
      '--out',
      out,
      ...TINY,
      '--steps',
      '60',
      ...settings,
    ];
    const alone = join(root, 'alone');
    expect((await semblance(argv(alone))).code).toBe(0);
    const out = join(root, 'killed');
    const delays = [0, Math.floor(Math.random() * 200), Math.floor(Math.random() * 200)];
    const kill = (delayMs: number) =>
      semblance(argv(out), (child) => {
        const timer = setInterval(() => {
          if (!existsSync(join(out, 'training', 'checkpoint.safetensors'))) return;
          clearInterval(timer);
          setTimeout(() => child.kill('SIGKILL'), delayMs);
        }, 2);
        child.on('close', () => clearInterval(timer));
      });
    const codes = [];
    for (const delayMs of delays) codes.push((await kill(delayMs)).code);
    expect(codes[0], 'the first run is killed').toBeNull();
    expect((await semblance(argv(out))).code).toBe(0);
    for (const file of [
      'model/onnx/model.onnx',
      'training/checkpoint.safetensors',
      'training/metrics.jsonl',
    ]) {
      const [wanted, got] = await Promise.all([readFile(join(alone, file)), readFile(join(out, file))]);
      expect(Buffer.compare(wanted, got), `${file}, killed ${delays.join(', ')} ms after`).toBe(0);
    }
  });
});

describe('other data', () => {
  const rows = async (name: string, header: string, row: (item: number) => string) => {
    const file = join(root, name);
    const lines = Array.from({ length: 12 }, (_, item) => row(item));
    await writeFile(file, `${[header, ...lines].join('\n')}\n`);
    return file;
  };

  it.each([
    [
      'that nothing is known of',
      () => '',
      "no picture of split 'val' has another one to find: the last parameters are kept\n",
    ],
    [
      'with an attribute: judged by it',
      (item: number) => ['red', 'blue'][item % 2] as string,
      ': validation colour recallAt1 ',
    ],
  ])('items of one picture %s', async (name, colourOf, said) => {
    const file = await rows('one.csv', 'path,item_id,split,colour,licence', (item) =>
      [
        `pictures/${item}-0.png`,
        item,
        item < 8 ? 'train' : 'val',
        item < 8 ? ['red', 'blue'][item % 2] : colourOf(item),
        'MIT',
      ].join(),
    );
    const out = join(root, name.split(' ')[0] as string);
    const { code, stdout, stderr } = await semblance([
      ...['train', '--data', file, '--out', out, ...TINY, '--steps', '6', '--json'],
    ]);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("attribute 'licence' is left out: its only value is 'MIT'\n");
    expect(stderr).toContain(said);
    const { bestStep } = JSON.parse(stdout) as { bestStep: number };
    if (colourOf(0) === '') expect(bestStep).toBe(6);
    else expect([3, 6]).toContain(bestStep);
  });

  it('no attributes: refused with what to do, which then works from training to search', async () => {
    const file = await rows('none.csv', 'path,item_id,split', (item) =>
      [`pictures/${item}-0.png`, item >> 1, item < 8 ? 'train' : 'val'].join(),
    );
    const out = join(root, 'none');
    const argv = ['train', '--data', file, '--out', out, ...TINY, '--steps', '6', '--quiet'];
    const refused = await semblance(argv);
    expect(refused.stderr).toMatch(
      /^semblance: train: .*the data have none\. .*set loss\.kind to binomial-deviance\n$/,
    );
    expect(refused.code).toBe(1);
    const trained = await semblance([...argv, '--set', 'loss.kind=binomial-deviance']);
    expect(trained.code, trained.stderr).toBe(0);
    const catalog = join(root, 'catalog-none');
    const model = join(out, 'model');
    expect(
      (await semblance(['index', '--model', model, '--data', file, '--catalog', catalog, '--quiet'])).code,
    ).toBe(0);
    const found = await semblance([
      'search',
      join(root, 'pictures/3-0.png'),
      '--catalog',
      catalog,
      '--granularity',
      'look',
      '--json',
    ]);
    expect(found.code, found.stderr).toBe(0);
    expect((JSON.parse(found.stdout) as { hits: { id: string }[] }).hits[0]?.id).toBe('pictures/3-0.png');
  });
});

describe('the executable', () => {
  it('is quick to help, says what is wrong, and minds a reader that stops', async () => {
    expect(await semblance(['--help'])).toMatchObject({ code: 0, stderr: '' });
    expect(await semblance(['nosuch'])).toMatchObject({ code: 2, stdout: '' });
    const missing = await semblance(['train', '--data', join(root, 'nowhere.csv'), '--out', run, '--quiet']);
    expect(missing).toMatchObject({ code: 1, stdout: '' });
    expect(missing.stderr).toMatch(/^semblance: .*nowhere\.csv: manifest cannot be read: [^\n]*\n$/);
    const { code, stderr } = await semblance(['train', '--help'], (child) => child.stdout?.destroy());
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });
});
