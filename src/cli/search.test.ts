import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, CommanderError } from 'commander';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { EDIT_STRENGTH } from '../catalog/index.js';
import { CliError, DataError } from '../util/index.js';
import { calibrateCommand } from './calibrate.js';
import { indexCommand } from './index-command.js';
import { searchCommand } from './search.js';

let root = '';
let model = '';
let data = '';
let catalog = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-cli-'));
  model = await writeTinyBundle(root);
  data = join(root, 'manifest.csv');
  catalog = join(root, 'catalog');
  await mkdir(join(root, 'pictures'));
  const lines = ['path,item_id,split,source,hue,tags'];
  for (const [name, colour, split] of [
    ['red', [250, 0, 0], 'gallery'],
    ['dark red', [120, 0, 0], 'query'],
    ['green', [0, 250, 0], 'test'],
    ['blue', [0, 0, 250], 'train'],
  ] as const) {
    await writeFile(join(root, 'pictures', `${name}.png`), await plainPicture(colour));
    lines.push(`pictures/${name}.png,item ${name},${split},noto,${name.split(' ').at(-1)},a|b`);
  }
  lines.push('pictures/gone.png,gone,test,,,');
  await writeFile(data, `${lines.join('\n')}\n`);
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

async function run(command: Command, argv: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      written[stream] += String(text);
      return true;
    });
  try {
    await command.exitOverride().parseAsync(argv, { from: 'user' });
  } finally {
    vi.restoreAllMocks();
  }
  return written;
}

const index = (...more: string[]) =>
  run(indexCommand(), ['--model', model, '--data', data, '--catalog', catalog, '--quiet', ...more]);
const picture = () => join(root, 'pictures', 'red.png');
const search = (...more: string[]) => run(searchCommand(), [picture(), '--catalog', catalog, ...more]);

describe('semblance index, then search', () => {
  it('index says what it did, lists what it could not read, and does nothing twice', async () => {
    const first = await index('--split', 'test');
    expect(first.stdout).toBe(`${catalog}: 3 pictures (3 embedded, 1 unreadable)\n`);
    expect(first.stderr).toMatch(/unreadable: .*gone\.png: cannot be read: /);
    expect((await index()).stdout).toBe(`${catalog}: 4 pictures (1 embedded, 3 unchanged, 1 unreadable)\n`);
    const summary = JSON.parse((await index('--json')).stdout) as Record<string, unknown>;
    expect(summary).toMatchObject({ rows: 5, embedded: 0, relabelled: 0, unchanged: 4, total: 4 });
    expect(summary.failures).toHaveLength(1);
  });

  it('search prints a table', async () => {
    const { stdout } = await search('-k', '2');
    const lines = stdout.trim().split('\n');
    expect(lines.find((line) => line.includes(' 1 '))).toMatch(
      /1\.000.*item red.*pictures\/red\.png.*red · a b/,
    );
    expect(stdout).toMatch(/item dark red/);
    expect(stdout).not.toMatch(/green/);
  });

  it('search prints JSON with parts and attributes, filtered, at a granularity by name', async () => {
    const { stdout } = await search(
      '--json',
      '--granularity',
      'look',
      '--filter',
      'hue!=red',
      '--filter',
      'tags=a,x',
    );
    const result = JSON.parse(stdout) as { granularity: number; hits: Record<string, unknown>[] };
    expect(result.granularity).toBe(0.5);
    expect(result.hits.map(({ itemId }) => itemId).sort()).toEqual(['item blue', 'item green']);
    expect(result.hits[0]).toMatchObject({ rank: 1, source: 'noto', attributes: { tags: ['a', 'b'] } });
    expect(Object.keys(result.hits[0]?.parts as object)).toEqual(['embedding', 'attributes', 'level:hue']);
    expect((await search('--filter', 'hue=pink')).stdout).toBe('no picture passes the filter\n');
  });

  it.each([
    [['--granularity', 'kind'], CliError, /search --granularity: must be item, look, category or a number/],
    [['--granularity', '1.1'], CliError, /got '1.1'/],
    [['-k', '0'], CommanderError, /whole number from 1 to 10000/],
    [['--filter', 'hue'], CliError, /must read column=value/],
    [['--filter', 'colour=red'], DataError, /no column 'colour'. Choose from: path, item_id/],
    [['--catalog', 'nowhere'], DataError, /nowhere: there is no catalogue/],
    [['--model', 'nowhere'], DataError, /nowhere: there is no model bundle/],
  ])('search %j is refused', async (more, kind, message) => {
    const promise = search(...more);
    await expect(promise).rejects.toThrow(message);
    await expect(promise).rejects.toBeInstanceOf(kind);
  });

  it.each([
    [['--split', 'some'], CliError, /--split: must be one of all, test/],
    [['--split', 'val'], DataError, /no picture is in the split 'val'/],
    [['--batch-size', 'x'], CommanderError, /whole number/],
    [['--data', 'nowhere.csv'], DataError, /nowhere\.csv/],
  ])('index %j is refused', async (more, kind, message) => {
    const promise = index(...more);
    await expect(promise).rejects.toThrow(message);
    await expect(promise).rejects.toBeInstanceOf(kind);
  });

  it('a query that is no picture is refused by name', async () => {
    await expect(run(searchCommand(), [data, '--catalog', catalog])).rejects.toThrow(
      /manifest\.csv: is .*not a picture/,
    );
  });

  it('names that hold control characters cannot write to the terminal', async () => {
    const nasty = join(root, 'nasty.jsonl');
    const row = { path: 'pictures/red.png', item_id: 'a\u001b[2Jb\nc', split: 'test', hue: 'x'.repeat(80) };
    await writeFile(nasty, JSON.stringify(row));
    const folder = join(root, 'nasty');
    await run(indexCommand(), ['--model', model, '--data', nasty, '--catalog', folder, '--quiet']);
    const { stdout } = await run(searchCommand(), [picture(), '--catalog', folder]);
    expect(stdout).toContain('a\\u001b[2Jb\\nc');
    expect(stdout).not.toContain('\u001b');
    expect(stdout).toContain(`${'x'.repeat(47)}…`);
  });

  it('both have help with an example', async () => {
    for (const command of [indexCommand(), searchCommand()]) {
      let text = '';
      command.configureOutput({
        writeOut: (part) => {
          text += part;
        },
      });
      await expect(command.exitOverride().parseAsync(['--help'], { from: 'user' })).rejects.toThrow();
      expect(text).toMatch(/Example:\n {2}\$ semblance (index|search) /);
    }
  });
});

describe('semblance search: more than one picture', () => {
  it('searches by a part of the picture, of a file and of a record', async () => {
    await index();
    const two = await sharp(await plainPicture([250, 0, 0]))
      .composite([{ input: Buffer.from(await plainPicture([0, 0, 250], { width: 8 })), left: 8, top: 0 }])
      .png()
      .toBuffer();
    const file = join(root, 'pictures', 'red.png');
    const before = await readFile(file);
    await writeFile(join(root, 'two.png'), two);
    const best = async (picture: string, ...more: string[]) => {
      const { stdout } = await run(searchCommand(), [picture, '--catalog', catalog, '--json', ...more]);
      const { hits } = JSON.parse(stdout) as { hits: { id: string; score: number }[] };
      return [hits[0]?.id, hits[0]?.score.toFixed(3)];
    };
    expect(await best(join(root, 'two.png'), '--box', '0,0,8,16')).toEqual(['pictures/red.png', '1.000']);
    expect(await best(join(root, 'two.png'), '--box', '50%,0%,100%,100%')).toEqual([
      'pictures/blue.png',
      '1.000',
    ]);
    await writeFile(file, two);
    try {
      expect(await best('id:pictures/red.png', '--box', '0.5,0,1,1')).toEqual(['pictures/blue.png', '1.000']);
    } finally {
      await writeFile(file, before);
    }
    await expect(search('--box', '0,0,nine,9')).rejects.toThrow(/--box.*four numbers.*got '0,0,nine,9'/);
    await expect(search('--box', '90,0,95,9')).rejects.toThrow(
      /box: must lie in the picture of 16 × 16 pixels/,
    );
  });

  it('takes ids, examples against, edits, groups, facets and the next page', async () => {
    await index();
    const ids = (text: string) => (JSON.parse(text) as { hits: { id: string }[] }).hits.map(({ id }) => id);
    const byId = await run(searchCommand(), [
      'id:pictures/red.png',
      '--catalog',
      catalog,
      '--json',
      '-k',
      '9',
    ]);
    expect(ids(byId.stdout)).toHaveLength(3);
    const wanted = await search('--want', 'hue=blue', '--json');
    const scoreOf = (name: string, text: string) =>
      (JSON.parse(text) as { hits: { id: string; score: number }[] }).hits.find(({ id }) => id.includes(name))
        ?.score as number;
    const plain = (await search('--json')).stdout;
    expect(scoreOf('blue', wanted.stdout) - scoreOf('blue', plain)).toBeGreaterThan(EDIT_STRENGTH - 0.01);
    const away = await search('--unlike', join(root, 'pictures', 'dark red.png'), '--json');
    expect(scoreOf('dark red', away.stdout)).toBeLessThan(scoreOf('dark red', plain) - 0.05);
    const { stdout } = await search('-k', '2', '--facet', 'hue');
    expect(stdout).toContain('hue: red 2, blue 1, green 1');
    const cursor = /--cursor (\S+)/.exec(stdout)?.[1] as string;
    const second = await search('-k', '2', '--cursor', cursor, '--json');
    expect(JSON.parse(second.stdout)).toMatchObject({ hits: [{ rank: 3 }, { rank: 4 }] });
    const sorted = await search('--sort', 'hue:descending', '--json');
    expect(ids(sorted.stdout)[0]).toMatch(/red/);
  });

  it.each([
    [['--want', 'blue'], /search --want: must read attribute=value, got 'blue'/],
    [['--diversity', '2'], /search --diversity: must be a number from 0 to 1, got '2'/],
    [['--sort', 'size'], /there is no column 'size'/],
    [['--any', 'size'], /has not learnt 'size'/],
    [['--like', 'id:no'], /has no picture 'no'/],
  ])('refuses %j', async (argv, message) => {
    await index();
    await expect(search(...argv)).rejects.toThrow(message);
  });
});

describe('semblance search in a calibrated catalogue', () => {
  const calibrate = () =>
    run(calibrateCommand(), ['--model', model, '--data', calibrationData, '--catalog', catalog, '--quiet']);
  let calibrationData = '';

  it('refuses a cut-off before it is calibrated', async () => {
    await index();
    await expect(search('--minimum-probability', '0.5')).rejects.toThrow(/Run `semblance calibrate`/);
    await expect(search('--level', 'look')).rejects.toThrow(/must come with --minimum-probability/);
    await expect(search('--minimum-probability', '2')).rejects.toThrow(
      /search --minimum-probability: must be a number from 0 to 1, got '2'/,
    );
  });

  it('shows how sure hits are, leaves out what is not, and says so when nothing is similar', async () => {
    // Each item twice; the other colours are far away.
    calibrationData = join(root, 'calibration.csv');
    const lines = ['path,item_id,split,hue'];
    for (const name of ['red', 'dark red', 'green', 'blue'])
      for (let copy = 0; copy < 2; copy++)
        lines.push(`pictures/${name}.png,${name},val,${name.split(' ').at(-1)}`);
    await writeFile(calibrationData, `${lines.join('\n')}\n`);
    await calibrate();
    const { stdout } = await search('--granularity', 'look');
    expect(stdout).toMatch(/item\/look\/category/);
    expect(stdout).toMatch(/1\.000 +│ item +│ +\S+ \/ \S+ \/ \S+ %/);
    const all = JSON.parse((await search('--json')).stdout) as {
      nothingSimilar: boolean;
      hits: { probabilities: Record<string, number> }[];
    };
    expect(all.nothingSimilar).toBe(false);
    const likely = all.hits.filter(({ probabilities }) => (probabilities.item ?? 0) >= 0.6).length;
    expect(likely).toBeGreaterThan(0);
    expect(likely).toBeLessThan(all.hits.length);
    const cut = JSON.parse(
      (await search('--json', '--minimum-probability', '0.6', '--level', 'item')).stdout,
    ) as typeof all;
    expect(cut.hits).toHaveLength(likely);
    expect((await search('--minimum-probability', '1')).stdout).toMatch(/no picture is likely enough/);
    expect((await search('--filter', 'hue=blue')).stdout).toMatch(/^nothing similar: /);
  });
});
