/**
 * How well a model finds at each level when it searches at γ = 0, 0.1, … 1: a table in Markdown, and a plot of mAP. With
 * several models (seeds of one run) the mean of their figures.
 *
 *   npx tsx scripts/granularity-curves.ts --data runs/demo/data/manifest.csv --plot docs/granularity.svg runs/demo/model
 */
import { parseArgs } from 'node:util';
import { readBundle } from '../src/bundle/index.js';
import { blendedRows, embedRows, judge, judgedSchema } from '../src/cli/judging.js';
import { rowsOfSplit, type SplitChoice } from '../src/cli/splits.js';
import { readManifest } from '../src/data/index.js';
import { standalonePlot } from '../src/evaluation/report/index.js';
import { streamProgress, writeFileAtomic } from '../src/util/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: 'string' },
    split: { type: 'string', default: 'test' },
    plot: { type: 'string' },
    /** The weights that are used before any are fitted, in place of the model's. */
    unfitted: { type: 'boolean', default: false },
  },
});
if (values.data === undefined || positionals.length === 0)
  throw new Error('granularity-curves: needs --data and one model bundle at least, got less.');

const STEPS = 10;
const FIGURES = ['map', 'mapAtR', 'recallAt1'] as const;
const manifest = await readManifest(values.data);
const rows = rowsOfSplit(manifest.rows, values.split as SplitChoice, values.data);
const gammas = Array.from({ length: STEPS + 1 }, (_, i) => i / STEPS);
/** [figure][level][γ], summed over models. */
const sums: Record<(typeof FIGURES)[number], Record<string, number[]>> = {
  map: {},
  mapAtR: {},
  recallAt1: {},
};
for (const model of positionals) {
  const bundle = await readBundle(model);
  const { levelWeights: _, ...unfitted } = bundle.card;
  const used = values.unfitted ? { ...bundle, card: unfitted } : bundle;
  const schema = judgedSchema(bundle, manifest.rows);
  const embedded = await embedRows(model, rows, { progress: streamProgress() });
  for (const [i, gamma] of gammas.entries()) {
    const { byLevel } = await judge(blendedRows(embedded, used, gamma), schema);
    for (const [level, figures] of Object.entries(byLevel))
      for (const name of FIGURES) {
        sums[name][level] ??= gammas.map(() => 0);
        sums[name][level][i]! += figures[name] / positionals.length;
      }
  }
}

const levels = Object.keys(sums.map);
const percent = (value: number) => (100 * value).toFixed(1);
const best = (name: (typeof FIGURES)[number], level: string) => Math.max(...sums[name][level]!);
console.log(`| γ | ${FIGURES.flatMap((name) => levels.map((level) => `${level} ${name}`)).join(' | ')} |`);
console.log(`| --- |${' --- |'.repeat(FIGURES.length * levels.length)}`);
for (const [i, gamma] of gammas.entries()) {
  const cells = FIGURES.flatMap((name) =>
    levels.map((level) => {
      const value = sums[name][level]![i]!;
      return value === best(name, level) ? `**${percent(value)}**` : percent(value);
    }),
  );
  console.log(`| ${gamma} | ${cells.join(' | ')} |`);
}
if (values.plot !== undefined)
  await writeFileAtomic(
    values.plot,
    standalonePlot({
      title: 'mAP at each level, by the granularity of the search',
      note: `Split ${values.split}, ${positionals.length === 1 ? 'one model' : `mean of ${positionals.length} models`}; across: γ from same item to same kind.`,
      curves: levels.map((label) => ({
        label,
        points: gammas.map((gamma, i) => [gamma, sums.map[label]![i]!] as const),
      })),
      isPercent: true,
      hasPoints: true,
    }),
  );
