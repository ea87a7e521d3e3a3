/** `semblance robustness`: what is left of a model's figures when the pictures that ask are attacked. */
import Table from 'cli-table3';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readBundle } from '../bundle/index.js';
import { readManifest } from '../data/index.js';
import type { ReportPlot } from '../evaluation/index.js';
import { silentProgress, streamProgress, writeFileAtomic } from '../util/index.js';
import { interruptible } from './interruption.js';
import { judgedSchema } from './judging.js';
import { nonNegativeInteger, positiveInteger } from './options.js';
import { ATTACKS, type Attack, measureRobustness, type Robustness } from './robustness-run.js';
import { JUDGED_SPLITS, rowsOfSplit, type SplitChoice, splitChoice } from './splits.js';

interface Options {
  model: string;
  data: string;
  split: SplitChoice;
  epsilon: readonly Epsilon[];
  attack: readonly Attack[];
  steps: number;
  queries?: number;
  seed: number;
  batchSize: number;
  plot?: string;
  threads?: number;
  json?: true;
  quiet?: true;
}

interface Epsilon {
  readonly text: string;
  readonly value: number;
}

export function robustnessCommand(): Command {
  return new Command('robustness')
    .description(
      'attack the pictures that ask, within ε a pixel, and judge the model against the clean gallery',
    )
    .requiredOption('--model <folder>', 'the model bundle')
    .requiredOption('--data <manifest>', 'the manifest (CSV or JSONL)')
    .option(
      '--split <name>',
      `which pictures: ${JUDGED_SPLITS.join(', ')} (test: with query and gallery)`,
      splitChoice(JUDGED_SPLITS),
      'test',
    )
    .addOption(
      new Option(
        '--epsilon <list>',
        'how far a pixel may move, in units of its range [0, 1]; numbers or fractions, by commas',
      )
        .argParser(parseEpsilons)
        .default(parseEpsilons(DEFAULT_EPSILONS), DEFAULT_EPSILONS),
    )
    .addOption(
      new Option('--attack <list>', `which attacks, by commas: ${ATTACKS.join(', ')}`)
        .argParser(parseAttacks)
        .default(ATTACKS, 'both'),
    )
    .option('--steps <count>', 'gradients that pgd takes', positiveInteger, 10)
    .option(
      '--queries <count>',
      'attack a sample of so many queries, and judge these (default: all)',
      positiveInteger,
    )
    .option('--seed <number>', 'of the random starts of pgd, and of the sample', nonNegativeInteger, 0)
    .option('--batch-size <pictures>', 'pictures that are attacked at a time', positiveInteger, 32)
    .option('--plot <file.svg>', 'draw the figures against ε', plotFile)
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the figures as JSON')
    .option('--quiet', 'no progress')
    .addHelpText('after', HELP)
    .action(run);
}

// --- internal ---

const DEFAULT_EPSILONS = '0.5/255,1/255,2/255,4/255,8/255';

const HELP = `
The attacker knows the model and the gallery. It lowers cos(x', p) - cos(x', n), p and n the query's nearest positive and
nearest negative: fgsm by one step of ε along the sign of the gradient, pgd by --steps steps of 2.5 ε / steps from a random
start within ε. Pictures are attacked as the model takes them (its size, without rounding to bytes); the gallery is clean.
margin is the mean of that difference, "to clean" the mean cosine of a query's attacked and clean embedding.

Train against it with --set adversarial.epsilon=0.00784.

Example:
  $ semblance robustness --model runs/demo/model --data runs/demo/data/manifest.csv --queries 200
`;

function parseEpsilons(text: string): readonly Epsilon[] {
  return text.split(',').map((part) => {
    const [top, bottom, ...rest] = part.split('/');
    const number = (digits: string | undefined) => (digits?.trim() ? Number(digits) : Number.NaN);
    const value = bottom === undefined ? number(top) : number(top) / number(bottom);
    if (rest.length === 0 && value >= 0 && value <= 1) return { text: part.trim(), value };
    throw new InvalidArgumentError(`It must be numbers from 0 to 1, such as 0.01 or 2/255, got '${part}'.`);
  });
}

function parseAttacks(text: string): readonly Attack[] {
  return text.split(',').map((part) => {
    const attack = ATTACKS.find((name) => name === part.trim());
    if (attack !== undefined) return attack;
    throw new InvalidArgumentError(`It must be among ${ATTACKS.join(', ')}, got '${part}'.`);
  });
}

async function run(options: Options): Promise<void> {
  const bundle = await readBundle(options.model);
  const manifest = await readManifest(options.data);
  const rows = rowsOfSplit(manifest.rows, options.split, options.data);
  const result = await interruptible(
    (signal) =>
      measureRobustness(options.model, {
        rows,
        schema: judgedSchema(bundle, manifest.rows),
        attacks: options.attack,
        epsilons: options.epsilon.map(({ value }) => value),
        steps: options.steps,
        seed: options.seed,
        batchSize: options.batchSize,
        ...(options.queries === undefined ? {} : { queries: options.queries }),
        ...(options.threads === undefined ? {} : { threads: options.threads }),
        progress: options.quiet === true ? silentProgress : streamProgress(),
        signal,
      }),
    { isResumable: false },
  );
  for (const problem of result.problems) process.stderr.write(`left out: ${problem}\n`);
  const { problems, ...figures } = result;
  if (options.plot !== undefined) {
    const { standalonePlot } = await import('../evaluation/report/index.js');
    await writeFileAtomic(options.plot, standalonePlot(plotOf(result, options)));
  }
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ split: options.split, steps: options.steps, seed: options.seed, ...figures, unreadable: problems.length }, null, 2)}\n`
      : `${robustnessTable(result, options.epsilon)}\n${result.queries} ${result.isSample ? 'sampled ' : ''}queries\n`,
  );
}

function plotFile(path: string): string {
  if (/\.svg$/i.test(path)) return path;
  throw new InvalidArgumentError(`It must end with .svg, got '${path}'.`);
}

/** A curve an attack and figure, from the clean pictures on. */
function plotOf({ clean, attacked, queries }: Robustness, { attack, split }: Options): ReportPlot {
  const figures = { 'Recall@1': 'recallAt1', 'MAP@R': 'mapAtR' } as const;
  return {
    title: 'What attacks on the queries leave',
    note: `against ε · 255; ${queries} queries of the split ${split}, clean gallery`,
    isPercent: true,
    hasPoints: true,
    curves: Object.entries(figures).flatMap(([label, figure]) =>
      attack.map((name) => ({
        label: `${label}, ${name}`,
        points: [
          [0, clean[figure]] as const,
          ...attacked
            .filter((entry) => entry.attack === name && entry.epsilon > 0)
            .map((entry) => [255 * entry.epsilon, entry[figure]] as const)
            .sort(([a], [b]) => a - b),
        ],
      })),
    ),
  };
}

function robustnessTable({ clean, attacked }: Robustness, epsilons: readonly Epsilon[]): string {
  const percent = (value: number) => (100 * value).toFixed(1);
  const table = new Table({
    head: ['attack', 'ε', 'Recall@1', 'MAP@R', 'margin', 'to clean'],
    style: { head: [], border: [] },
    colAligns: ['left', ...Array<'right'>(5).fill('right')],
  });
  table.push([
    'none',
    '0',
    percent(clean.recallAt1),
    percent(clean.mapAtR),
    clean.margin.toFixed(3),
    '1.000',
  ]);
  for (const { attack, epsilon, recallAt1, mapAtR, margin, cosineToClean } of attacked) {
    const text = epsilons.find(({ value }) => value === epsilon)?.text ?? String(epsilon);
    table.push([
      attack,
      text,
      percent(recallAt1),
      percent(mapAtR),
      margin.toFixed(3),
      cosineToClean.toFixed(3),
    ]);
  }
  return table.toString();
}
