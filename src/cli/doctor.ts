/**
 * `semblance doctor`: whether what semblance stands on works here. Each part is tried, not only looked for. A warning is no
 * failure.
 */
import { existsSync } from 'node:fs';
import { access, constants, mkdtemp, rm, statfs } from 'node:fs/promises';
import { availableParallelism, freemem, hostname, tmpdir, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';
import { Command } from 'commander';
import sharp from 'sharp';
import { openEmbedder } from '../bundle/index.js';
import { catalogWriters, isRemote, openCatalog, openLanceStore, verifyCatalog } from '../catalog/index.js';
import { decodePicture } from '../data/index.js';
import { buildGraph, input, relu } from '../graph/index.js';
import { floatTensor, Session, supportedDevices, writeModel } from '../onnx/index.js';
import { DataError, errorMessage, stopwatch } from '../util/index.js';
import { versions } from './versions.js';

interface Options {
  catalog?: string;
  model?: string;
  json?: true;
}

/** What was found of one part. */
export interface Finding {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'failed';
  /** One line: what was seen, or what is wrong and what to do. */
  readonly detail: string;
  readonly milliseconds: number;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'try what semblance stands on: install, Node, onnxruntime, decoders, LanceDB, memory, disk, catalogue, model',
    )
    .option(
      '--catalog <folder>',
      'try this catalogue too: that it opens, and whether anything of it is broken',
    )
    .option('--model <folder>', "try this model bundle too (default: the catalogue's)")
    .option('--json', 'print the findings as JSON')
    .addHelpText(
      'after',
      '\nExit code 1 when a part fails; warnings are no failure. Pictures are looked for, not read: `semblance catalog\n' +
        'verify` reads them. Nothing is changed.\n\nExample:\n  $ semblance doctor --catalog runs/demo/catalog\n',
    )
    .action(run);
}

/** Tries each part in turn. What throws has failed; what comes after is tried all the same. */
export async function examine(options: Pick<Options, 'catalog' | 'model'>): Promise<Finding[]> {
  const { catalog } = options;
  let { model } = options;
  const findings: Finding[] = [];
  const attempt = async (name: string, work: () => Promise<string | Warning>) => {
    const seconds = stopwatch();
    const finding = await work().then(
      (found) =>
        typeof found === 'string'
          ? ({ status: 'ok', detail: found } as const)
          : ({ status: 'warning', detail: found.warning } as const),
      (error) => ({ status: 'failed', detail: errorMessage(error) }) as const,
    );
    findings.push({ name, ...finding, milliseconds: Math.round(1000 * seconds()) });
  };
  await attempt('install', async () => installFinding());
  await attempt('Node', async () => nodeFinding());
  await attempt('onnxruntime', runtimeFinding);
  await attempt('decoders', decoderFinding);
  await attempt('LanceDB', storeFinding);
  await attempt('memory', async () => memoryFinding());
  await attempt('disk', () => diskFinding(catalog ?? process.cwd()));
  if (catalog !== undefined) {
    await attempt('catalogue', async () => {
      const opened = await openCatalog(catalog);
      try {
        model ??= opened.description.model.directory;
        return `${(await opened.store.count()).toLocaleString('en')} pictures, opened`;
      } finally {
        await opened.close();
      }
    });
    if (!isRemote(catalog)) {
      await attempt('catalogue is whole', () => wholeFinding(catalog, model));
      await attempt('other processes', () => writersFinding(catalog));
    }
  }
  const directory = model;
  if (directory !== undefined) await attempt('model', () => modelFinding(directory));
  return findings;
}

// --- internal ---

interface Warning {
  readonly warning: string;
}

/** As `engines` in package.json. */
const LEAST_NODE = [20, 19] as const;
const LEAST_FREE_BYTES = 1e9;
const LEAST_MEMORY = 2e9;

async function run(options: Options): Promise<void> {
  const findings = await examine(options);
  if (options.json) process.stdout.write(`${JSON.stringify({ versions: versions(), findings }, null, 2)}\n`);
  else {
    const table = new Table({ head: ['part', '', 'what was found', 'ms'], style: { head: [], border: [] } });
    for (const { name, status, detail, milliseconds } of findings)
      table.push([name, status, detail, milliseconds]);
    process.stdout.write(`${table.toString()}\n`);
  }
  const failed = findings.filter(({ status }) => status === 'failed').map(({ name }) => name);
  if (failed.length > 0)
    throw new DataError(
      `doctor: every part must work, got ${failed.length} that does not: ${failed.join(', ')}. See above`,
    );
}

/** Whether the page that `serve` shows is there. */
function installFinding(): string | Warning {
  const text = `semblance ${versions().semblance}`;
  const page = fileURLToPath(new URL('../../dist/web/index.html', import.meta.url));
  return existsSync(page)
    ? text
    : { warning: `${text}: the page of \`semblance serve\` is not built. \`npm run build\` makes it` };
}

function nodeFinding(): string {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  const found = `${process.versions.node} on ${process.platform} ${process.arch}`;
  if (major < LEAST_NODE[0] || (major === LEAST_NODE[0] && minor < LEAST_NODE[1]))
    throw new DataError(`Node must be ${LEAST_NODE.join('.')} or later, got ${found}. Update it`);
  return found;
}

/** A graph is written, read by the runtime, and run. */
async function runtimeFinding(): Promise<string> {
  const x = input('x', 'float32', [3]);
  const session = await Session.create(writeModel(buildGraph([x], { y: relu(x) })), { threads: 1 });
  try {
    const { y } = await session.run({ x: floatTensor(Float32Array.of(-1, 0, 2), [3]) });
    const numbers = [...((y?.data ?? []) as Iterable<number>)];
    if (numbers.join() !== '0,0,2')
      throw new DataError(`relu(−1, 0, 2) must be 0, 0, 2, got ${numbers.join(', ')}`);
  } finally {
    await session.close();
  }
  return `${versions()['onnxruntime-node']}, a graph ran; devices of this build: ${supportedDevices().join(', ')}`;
}

/** A red square through every format. */
async function decoderFinding(): Promise<string> {
  const red = { create: { width: 16, height: 16, channels: 3, background: '#ff0000' } } as const;
  for (const format of FORMATS) {
    const { data } = await decodePicture(await sharp(red).toFormat(format).toBuffer(), { name: format });
    const [r, g, b] = data as unknown as [number, number, number];
    if (r < 200 || g > 60 || b > 60)
      throw new DataError(`a red ${format} must be decoded red, got ${r}, ${g}, ${b}`);
  }
  return `sharp ${sharp.versions.sharp}: ${FORMATS.join(', ')}`;
}

const FORMATS = ['jpeg', 'png', 'webp', 'gif', 'avif', 'tiff'] as const;

/** A record is written to a new table, and found. */
async function storeFinding(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'semblance-doctor-'));
  try {
    const store = await openLanceStore(directory, { dimension: 4, columns: [], numericColumns: [] });
    try {
      await store.upsert([{ id: 'a', vector: Float32Array.of(1, 0, 0, 0), fields: {} }]);
      const [hit] = await store.search(Float32Array.of(1, 0, 0, 0), { k: 1 });
      if (hit?.record.id !== 'a')
        throw new DataError(`a record that was written must be found, got ${hit?.record.id}`);
    } finally {
      await store.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return 'a record was written and found';
}

function memoryFinding(): string | Warning {
  const text = `${gigabytes(totalmem())} GB, ${gigabytes(freemem())} free; ${availableParallelism()} cores`;
  return totalmem() < LEAST_MEMORY ? { warning: `${text}: less than 2 GB is little for training` } : text;
}

async function diskFinding(folder: string): Promise<string | Warning> {
  if (isRemote(folder)) return 'the catalogue is in no folder of this machine';
  const place = nearestFolder(folder);
  const { bavail, blocks, bsize } = await statfs(place);
  const free = bavail * bsize;
  const text = `${gigabytes(free)} GB free of ${gigabytes(blocks * bsize)}`;
  if (free < LEAST_FREE_BYTES)
    return { warning: `${text}: a write that does not fit is refused, and changes nothing. Make room` };
  const isWritable = await access(place, constants.W_OK).then(
    () => true,
    () => false,
  );
  return isWritable
    ? text
    : { warning: `${text}, but ${place} may only be read: searches go, writes do not` };
}

/** A folder, or what there is of the way to it. */
function nearestFolder(folder: string): string {
  let at = resolve(folder);
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  return at;
}

/** Who has the catalogue's locks. */
async function writersFinding(catalog: string): Promise<string> {
  const { filling, writing } = await catalogWriters(catalog);
  const name = ({ process: number, host }: { process: number; host: string }) =>
    `process ${number}${host === hostname() ? '' : ` on ${host}`}`;
  const found = [
    ...(filling === undefined ? [] : [`${name(filling)} indexes into it`]),
    ...(writing === undefined ? [] : [`${name(writing)} writes to it`]),
  ];
  return found.length === 0
    ? 'none is writing'
    : `${found.join('; ')}: other writes wait for it, searches do not`;
}

async function wholeFinding(catalog: string, model: string | undefined): Promise<string | Warning> {
  const { problems, isMapStale } = await verifyCatalog(catalog, { hashes: false, model });
  const [first] = problems;
  if (first !== undefined)
    throw new DataError(
      `nothing must be broken, got ${problems.length} problems, first ${first.subject}: ${first.detail}. ` +
        '`semblance catalog verify --repair` mends what can be mended',
    );
  if (isMapStale) return { warning: 'the map is of an earlier state. `semblance catalog map` makes it anew' };
  return 'nothing is broken; the pictures are there';
}

/** The model is loaded and embeds a grey picture. */
async function modelFinding(directory: string): Promise<string> {
  const embedder = await openEmbedder(directory, { threads: 1 });
  try {
    const grey = sharp({ create: { width: 32, height: 32, channels: 3, background: '#808080' } });
    const { embedding } = await embedder.embedOne(await grey.png().toBuffer());
    const norm = Math.hypot(...embedding);
    if (!(Math.abs(norm - 1) < 1e-3)) throw new DataError(`an embedding must have length 1, got ${norm}`);
    return `${embedder.dimension} dimensions, a picture was embedded`;
  } finally {
    await embedder.close();
  }
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}
