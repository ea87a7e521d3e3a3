import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, CommanderError } from 'commander';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { CliError, DataError } from '../util/index.js';
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
    [['-k', '0'], CommanderError, /whole number from 1 on/],
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
