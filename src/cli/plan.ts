/** `semblance plan`: what a catalogue of a given size will need, before there is one. */
import CliTable from 'cli-table3';
import { Command, InvalidArgumentError } from 'commander';
import {
  type Estimate,
  estimateEngines,
  searchTimes,
  simplestEngine,
  simulateQueue,
} from '../catalog/sizing/index.js';
import { Random } from '../util/index.js';
import { positiveInteger } from './options.js';

interface Options {
  items: number;
  picturesPerItem: number;
  dimension: number;
  fieldBytes: number;
  qps: number;
  cores: number;
  memory: number;
  embedRate: number;
  json?: true;
}

export function planCommand(): Command {
  return new Command('plan')
    .description('estimate what a catalogue needs: engine, machines, memory, disk, time')
    .requiredOption('--items <count>', 'items of the catalogue, e.g. 50000, 300k, 50M, 1B', count)
    .option('--pictures-per-item <count>', 'pictures of each', positiveInteger, 1)
    .option(
      '--dimension <numbers>',
      'numbers of a stored vector (`catalog stats` says it)',
      positiveInteger,
      512,
    )
    .option('--field-bytes <bytes>', "bytes of a picture's columns", positiveInteger, 200)
    .option('--qps <queries>', 'searches a second', count, 10)
    .option('--cores <count>', 'cores of a machine', positiveInteger, 16)
    .option('--memory <gigabytes>', 'memory of a machine', positiveInteger, 64)
    .option('--embed-rate <pictures>', 'pictures that one core embeds a second (see below)', count, 20)
    .option('--json', 'print the estimates as JSON')
    .addHelpText(
      'after',
      `
Estimates, from measurements at 100,000 pictures carried on by how each algorithm grows: good to a factor of two near that
size, less sure further away. Latencies are simulated. How many pictures a core embeds depends on the network: about 20
a second for a MobileNetV2 at 224 px; \`semblance inspect\` measures yours.

Example:
  $ semblance plan --items 50M --qps 200
`,
    )
    .action(run);
}

// --- internal ---

function run(options: Options): void {
  const { items, picturesPerItem, dimension, fieldBytes, qps, cores, memory, embedRate } = options;
  const pictures = items * picturesPerItem;
  const demand = { pictures, dimension, fieldBytes, queriesPerSecond: qps };
  const estimates = estimateEngines(demand, { cores, memoryBytes: memory * 1e9 });
  const chosen = simplestEngine(estimates);
  const rows = estimates.map((estimate) => ({ ...estimate, ...latency(estimate, qps, cores) }));
  const embedCoreHours = pictures / embedRate / 3600;
  if (options.json) {
    process.stdout.write(
      `${JSON.stringify({ demand, machine: { cores, memoryGB: memory }, embedCoreHours, choice: chosen?.engine, engines: rows }, null, 2)}\n`,
    );
    return;
  }
  const table = new CliTable({
    head: ['engine', 'machines', 'memory', 'disk', 'p50', 'p99', 'building the index'],
    colAligns: ['left', 'left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) {
    table.push(
      row.refusal === undefined
        ? [
            row.engine === chosen?.engine ? `${row.engine} ←` : row.engine,
            row.shards === 1 ? `${row.replicas}` : `${row.shards} shards × ${row.replicas}`,
            `${gigabytes(row.memoryBytes * row.replicas)}`,
            `${gigabytes(row.diskBytes * row.replicas)}`,
            milliseconds(row.p50),
            milliseconds(row.p99),
            row.buildCoreHours === 0 ? 'none' : coreHours(row.buildCoreHours),
          ]
        : [row.engine, { colSpan: 6, content: `no: ${row.refusal}` }],
    );
  }
  const lines = [
    `${pictures.toLocaleString('en')} pictures × ${dimension} numbers, ${qps.toLocaleString('en')} searches a second, machines of ${cores} cores and ${memory} GB`,
    table.toString(),
    ...(chosen === undefined ? [] : [`${chosen.engine}: ${chosen.note}`]),
    `embedding every picture once: ${coreHours(embedCoreHours)} at ${embedRate} pictures a core and second`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function latency(
  { busySeconds, searchSeconds, replicas, engine }: Estimate,
  queriesPerSecond: number,
  cores: number,
): { p50: number; p99: number } {
  const { p50, p99 } = simulateQueue({
    arrivalsPerSecond: queriesPerSecond / replicas,
    cores,
    serviceSeconds: searchTimes(busySeconds),
    random: Random.from(0),
  });
  // Exact search uses all cores for one query; the others one.
  const alone = engine === 'memory' ? searchSeconds / cores : searchSeconds;
  const beside = Math.max(0, alone - busySeconds);
  return { p50: p50 + beside, p99: p99 + beside };
}

/** 50000, 300k, 50M, 1B. */
function count(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kMB]?)$/.exec(text.trim());
  const number = Number(match?.[1]) * (UNITS[match?.[2] ?? ''] ?? Number.NaN);
  if (!(number >= 1 && Number.isFinite(number)))
    throw new InvalidArgumentError('It must be a number from 1 on, such as 50000, 300k, 50M or 1B.');
  return Math.round(number);
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, B: 1e9 };

function gigabytes(bytes: number): string {
  return bytes >= 1e12
    ? `${(bytes / 1e12).toFixed(1)} TB`
    : `${(bytes / 1e9).toFixed(bytes < 1e10 ? 1 : 0)} GB`;
}

function milliseconds(seconds: number): string {
  return `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
}

function coreHours(hours: number): string {
  return hours < 1
    ? `${Math.max(1, Math.round(60 * hours))} core-minutes`
    : `${Math.round(hours).toLocaleString('en')} core-hours`;
}
