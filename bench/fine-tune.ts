/**
 * What fine-tuning a backbone brings, and what it costs: for each way of training it, figures on validation and test,
 * time and peak memory of a `semblance train` process of its own.
 *
 * Run: `npm run build && npx tsx bench/fine-tune.ts --backbone net.onnx --preprocessing half --data manifest.csv
 * [--ways frozen,heads,last-stage,all,adapters] [--steps 300] [--seeds 1] [--set …] [--out folder]`
 *
 * `frozen` is the backbone's own features without any training; it needs no run.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { backboneSettings, readBackboneFile } from '../src/cli/backbone-file.js';
import { judge } from '../src/cli/judging.js';
import { schemaOf } from '../src/cli/training-run.js';
import { decodeAll, type ManifestRow, readManifest } from '../src/data/index.js';
import type { MethodMetrics } from '../src/evaluation/index.js';
import { buildGraph, unitLength } from '../src/graph/index.js';
import { openBackbone } from '../src/models/index.js';
import { writeModel } from '../src/onnx/index.js';
import { embedPictures } from '../src/training/index.js';
import { silentProgress } from '../src/util/index.js';

const WAYS: Readonly<Record<string, readonly string[]>> = {
  frozen: [],
  heads: ['--train', 'none'],
  'last-stage': ['--train', 'last-stage'],
  all: ['--train', 'all'],
  adapters: ['--train', 'all', '--adapters', '8'],
};

const { values: flags } = parseArgs({
  options: {
    backbone: { type: 'string' },
    preprocessing: { type: 'string' },
    data: { type: 'string' },
    ways: { type: 'string', default: Object.keys(WAYS).join(',') },
    steps: { type: 'string', default: '300' },
    seeds: { type: 'string', default: '1' },
    set: { type: 'string', multiple: true, default: [] },
    size: { type: 'string' },
    out: { type: 'string' },
  },
});
if (flags.backbone === undefined || flags.data === undefined) {
  console.error('fine-tune: --backbone and --data are required');
  process.exit(2);
}
const { backbone, data } = flags;
const folder = flags.out ?? (await mkdtemp(join(tmpdir(), 'semblance-fine-tune-')));

interface Row {
  readonly way: string;
  readonly seed: number | undefined;
  readonly seconds: number;
  readonly peakMegabytes: number;
  readonly validation: MethodMetrics;
  readonly test: MethodMetrics;
}

const rows: Row[] = [];
for (const way of flags.ways.split(',')) {
  const seeds = way === 'frozen' ? [undefined] : Array.from({ length: Number(flags.seeds) }, (_, i) => i);
  for (const seed of seeds) {
    rows.push(way === 'frozen' ? await frozen() : await trained(way, seed as number));
    print(rows.slice(-1));
  }
}
console.log('');
print(rows);

async function trained(way: string, seed: number): Promise<Row> {
  const out = join(folder, `${way}-${seed}`);
  const preprocessing = flags.preprocessing === undefined ? [] : ['--preprocessing', flags.preprocessing];
  const size = flags.size === undefined ? [] : ['--size', flags.size];
  const settings = flags.set.flatMap((pair) => ['--set', pair]);
  const started = performance.now();
  const { peakMegabytes } = await semblance([
    'train',
    ...['--data', data, '--backbone', backbone, '--out', out, '--steps', flags.steps, '--seed', String(seed)],
    ...(WAYS[way] ?? []),
    ...preprocessing,
    ...size,
    ...settings,
  ]);
  const seconds = (performance.now() - started) / 1000;
  const figures = async (split: string) => {
    const { output } = await semblance([
      'evaluate',
      ...['--model', join(out, 'model'), '--data', data, '--split', split, '--json'],
    ]);
    return JSON.parse(output) as MethodMetrics;
  };
  return { way, seed, seconds, peakMegabytes, validation: await figures('val'), test: await figures('test') };
}

/** The features as they come, scaled to unit length. */
async function frozen(): Promise<Row> {
  const started = performance.now();
  const manifest = await readManifest(data);
  const schema = schemaOf(manifest, () => {});
  const options = { progress: silentProgress };
  const settings = await backboneSettings(
    { source: backbone },
    {
      ...(flags.preprocessing === undefined ? {} : { preprocessing: flags.preprocessing }),
      ...(flags.size === undefined ? {} : { size: Number(flags.size) }),
    },
    options,
  );
  const { mean, std, channels } = settings.backbone as {
    mean: [number, number, number];
    std: [number, number, number];
    channels: 'rgb' | 'bgr';
  };
  const { model } = await readBackboneFile(backbone, options);
  const { pixels, features } = openBackbone(model, { size: settings.size, channels });
  const onnxModel = writeModel(buildGraph([pixels], { image_embeds: unitLength(features) }));
  const figures = async (splits: readonly string[]) => {
    const wanted = manifest.rows.filter(({ split }) => splits.includes(split));
    const { pictures, kept } = await decodeAll(wanted, { size: settings.size, fit: 'cover' });
    const embedded = await embedPictures(onnxModel, pictures, settings.size, {
      normalization: { mean, std },
    });
    return judge({ ...embedded, rows: Array.from(kept, (row) => wanted[row] as ManifestRow) }, schema);
  };
  const validation = await figures(['val']);
  const test = await figures(['test', 'query', 'gallery']);
  const seconds = (performance.now() - started) / 1000;
  return { way: 'frozen', seed: undefined, seconds, peakMegabytes: Number.NaN, validation, test };
}

/** Runs the built command line; its peak memory is read from the kernel while it runs (Linux). */
async function semblance(argv: readonly string[]): Promise<{ output: string; peakMegabytes: number }> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, '..', 'dist', 'cli', 'main.js'), ...argv],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let peakMegabytes = Number.NaN;
  const timer = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    const found = /VmHWM:\s+(\d+) kB/.exec(status);
    if (found !== null) peakMegabytes = Number(found[1]) / 1024;
  }, 200);
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  const [code] = await once(child, 'close');
  clearInterval(timer);
  if (code !== 0) throw new Error(`semblance ${argv[0]} ended with code ${code}`);
  return { output, peakMegabytes };
}

/** Recall@1 and MAP@R, × 100, at every level that has queries. */
function print(list: readonly Row[]): void {
  for (const { way, seed, seconds, peakMegabytes, validation, test } of list) {
    const levels = Object.entries(test.byLevel)
      .filter(([, { queries }]) => queries > 0)
      .map(([level, of]) => {
        const before = validation.byLevel[level];
        const percent = (x: number | undefined) => (100 * (x ?? Number.NaN)).toFixed(1);
        return (
          `${level}: validation ${percent(before?.recallAt1)} / ${percent(before?.mapAtR)}, ` +
          `test ${percent(of.recallAt1)} / ${percent(of.mapAtR)}`
        );
      });
    console.log(
      `| ${way}${seed === undefined ? '' : `, seed ${seed}`} | ${levels.join('; ')} | ${seconds.toFixed(0)} s | ${peakMegabytes.toFixed(0)} MB |`,
    );
  }
}
