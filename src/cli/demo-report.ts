/** Fills the report of the demo: curves from the log, neighbours at three granularities, failures, provenance. */
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '../bundle/index.js';
import type { Manifest, ManifestRow } from '../data/index.js';
import {
  evaluateRetrieval,
  type MethodMetrics,
  nearestNeighbours,
  type ReportCurve,
  type ReportData,
  type ReportFailure,
  type ReportPicture,
  type ReportQuery,
  worstQueries,
} from '../evaluation/index.js';
import {
  defaultLevelWeights,
  GRANULARITY_NAMES,
  type Schema,
  storedVectors,
  vectorLayout,
  weightsAt,
} from '../granularity/index.js';
import { LOG_FILE, type LogEntry, type TrainingConfiguration } from '../training/index.js';
import { formatDuration, Random } from '../util/index.js';
import { type DemoMetrics, levelLabels, METHOD_LABELS, type MethodName } from './demo-figures.js';
import { type EmbeddedRows, retrievalLabels } from './judging.js';
import { versions } from './training-run.js';

export interface DemoReportInputs {
  readonly directory: string;
  readonly metrics: DemoMetrics;
  readonly embedded: EmbeddedRows;
  readonly manifest: Manifest;
  readonly schema: Schema;
  readonly configuration: TrainingConfiguration;
  readonly modelDirectory: string;
}

/** The report as one HTML file. */
export async function demoReport(inputs: DemoReportInputs): Promise<string> {
  const { renderReport } = await import('../evaluation/report/index.js');
  return renderReport(await reportData(inputs));
}

// --- internal ---

const QUERIES = 10;
const HITS = 8;
const FAILURES = 12;
/** What fits beside a failure in one line. */
const FAILURE_HITS = 4;
/** Curves are averaged to about so many points. */
const CURVE_POINTS = 200;

async function reportData(inputs: DemoReportInputs): Promise<ReportData> {
  const { metrics, embedded, manifest, schema, configuration } = inputs;
  const sgml = metrics.methods.sgml as MethodMetrics;
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const items = new Set(embedded.rows.map(({ itemId }) => itemId)).size;
  const pair = sgml.pairs['twemoji->noto'];
  return {
    title: 'semblance demo: emoji by six artists',
    lead: [
      `A network of ${configuration.network.widths.join('-')} channels was trained from scratch for ${configuration.steps} steps on emoji as drawn by six artists, and judged on ${items} items that it never saw. A hit counts only when another artist drew it: the model must know the thing, not the drawing style.`,
      'The pictures are artwork, not photographs.',
    ],
    figures: [
      {
        label: 'Recall@1',
        value: percent(sgml.recallAt1),
        note: 'same item, mean over ordered pairs of artists',
      },
      ...(pair === undefined
        ? []
        : [{ label: 'twemoji → noto', value: percent(pair.recallAt1), note: 'Recall@1' }]),
      { label: 'MAP@R', value: percent(sgml.mapAtR), note: 'same item, all other artists' },
      {
        label: 'time',
        value: formatDuration(metrics.seconds),
        note: `peak memory ${metrics.peakMemoryMb} MB`,
      },
    ],
    levelLabels: levelLabels(schema),
    methods: METHOD_ORDER.flatMap((key) => {
      const figures = metrics.methods[key];
      return figures === undefined ? [] : [{ key, label: METHOD_LABELS[key], metrics: figures }];
    }),
    training: await trainingCurves(inputs.directory),
    queries: await queryGrid(inputs),
    failures: await failures(inputs),
    configuration,
    provenance: {
      ...versions(),
      seed: String(configuration.seed),
      data: `${manifest.rows.length} pictures, sha256 ${String(metrics.data.manifestHash).slice(0, 16)}…`,
      machine: `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}`,
      time: formatDuration(metrics.seconds),
    },
    licences: LICENCES,
    command: 'npm run demo',
  };
}

const METHOD_ORDER: readonly MethodName[] = ['sgml', 'multitask', 'binomialDeviance', 'pixels', 'untrained'];

const LICENCES: ReportData['licences'] = [
  { name: 'Noto Emoji (noto, noto-v1)', licence: 'Apache-2.0', author: 'Google' },
  { name: 'Twemoji', licence: 'CC-BY-4.0', author: 'Twitter and contributors' },
  { name: 'Fluent Emoji (flat, 3D)', licence: 'MIT', author: 'Microsoft' },
  { name: 'EmojiOne v2', licence: 'CC-BY-4.0', author: 'Ranks.com' },
  { name: 'emojibase-data (names, groups, tags)', licence: 'MIT', author: 'Miles Johnson' },
];

async function trainingCurves(directory: string): Promise<NonNullable<ReportData['training']>> {
  const text = await readFile(join(directory, 'training', LOG_FILE), 'utf8');
  const entries = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogEntry);
  const curve = (label: string, value: (entry: LogEntry) => number | undefined): ReportCurve => ({
    label,
    points: averaged(
      entries.flatMap((entry) => {
        const y = value(entry);
        return y === undefined ? [] : [[entry.step, y] as const];
      }),
    ),
  });
  return {
    losses: [
      curve('total', ({ loss }) => loss),
      curve('metric', ({ metricLoss }) => metricLoss),
      curve('attributes', ({ attributeLoss }) => attributeLoss),
    ],
    validation: [
      curve('Recall@1', ({ validation }) => validation?.details?.recallAt1),
      curve('MAP@R', ({ validation }) => validation?.details?.mapAtR),
    ],
  };
}

function averaged(points: readonly (readonly [number, number])[]): [number, number][] {
  const width = Math.max(1, Math.ceil(points.length / CURVE_POINTS));
  const result: [number, number][] = [];
  for (let start = 0; start < points.length; start += width) {
    const group = points.slice(start, start + width);
    const mean = (index: 0 | 1) => group.reduce((sum, point) => sum + point[index], 0) / group.length;
    result.push([mean(0), mean(1)]);
  }
  return result;
}

/** Some queries with their neighbours by other artists, as the blended search ranks them. */
async function queryGrid({
  embedded,
  schema,
  modelDirectory,
  configuration,
}: DemoReportInputs): Promise<ReportQuery[]> {
  const { rows, embeddings, attributes, dimension } = embedded;
  const { card } = await readBundle(modelDirectory);
  const layout = vectorLayout(card.schema, dimension);
  const stored = storedVectors(card.schema, dimension, { embeddings, attributes });
  const levelWeights = card.levelWeights ?? defaultLevelWeights(card.schema, layout);
  const { sourceGroup, levels } = retrievalLabels(rows, schema);
  const queryRows = Int32Array.from(
    Random.from(configuration.seed, GRID_STREAM)
      .shuffled(rows.map((_, row) => row))
      .slice(0, QUERIES),
  );
  const labels = levelLabels(schema);
  const grids = Object.entries(GRANULARITY_NAMES).map(([, granularity], index) => {
    const weights = weightsAt(levelWeights, granularity);
    // The dot product of vectors weighted by the roots is the weighted sum of the parts' dot products.
    const weighted = stored.slice();
    layout.parts.forEach(({ offset, size }, part) => {
      const root = Math.sqrt(weights[part] ?? 0);
      for (let row = 0; row < rows.length; row++) {
        const start = row * layout.size + offset;
        for (let i = start; i < start + size; i++) weighted[i] = (weighted[i] as number) * root;
      }
    });
    const level = schema.levels[Math.min(index, schema.levels.length - 1)] as string;
    const neighbours = nearestNeighbours({
      embeddings: weighted,
      dimension: layout.size,
      queryRows,
      ...(sourceGroup === undefined ? {} : { excludeGroups: sourceGroup.map((group) => group ?? '') }),
      k: HITS,
    });
    return { granularity: labels[level] ?? level, level, neighbours };
  });
  return Promise.all(
    Array.from(queryRows, async (query, i) => ({
      picture: await picture(rows[query] as ManifestRow),
      rows: await Promise.all(
        grids.map(async ({ granularity, level, neighbours }) => ({
          granularity,
          hits: await Promise.all(
            (neighbours[i] ?? []).map(async ({ row }) => ({
              picture: await picture(rows[row] as ManifestRow),
              isRight: levels[level]?.[row] === levels[level]?.[query],
            })),
          ),
        })),
      ),
    })),
  );
}

const GRID_STREAM = 31;

/** The queries whose first right picture came last. */
async function failures({ embedded, schema }: DemoReportInputs): Promise<ReportFailure[]> {
  const { rows, embeddings, dimension } = embedded;
  const { levels, sourceGroup, source } = retrievalLabels(rows, schema);
  const itemLevel = schema.levels[0] as string;
  const items = levels[itemLevel] as readonly string[];
  const { perQuery } = await evaluateRetrieval({
    embeddings,
    dimension,
    levels: { [itemLevel]: items },
    source,
    sourceGroup,
    crossSource: true,
    perQuery: true,
  });
  if (perQuery === undefined) return [];
  const { firstRank } = perQuery.levels[itemLevel] as { firstRank: Float64Array };
  const worst = worstQueries(firstRank, FAILURES).map((entry) => ({
    ...entry,
    row: perQuery.rows[entry.query] as number,
  }));
  const neighbours = nearestNeighbours({
    embeddings,
    dimension,
    queryRows: Int32Array.from(worst, ({ row }) => row),
    ...(sourceGroup === undefined ? {} : { excludeGroups: sourceGroup.map((group) => group ?? '') }),
    k: Math.max(...worst.map((entry) => entry.firstRank), FAILURE_HITS),
  });
  return Promise.all(
    worst.map(async (entry, i) => {
      const ranked = neighbours[i] ?? [];
      const expected = ranked.find(({ row }) => items[row] === items[entry.row]);
      return {
        picture: await picture(rows[entry.row] as ManifestRow),
        firstRank: entry.firstRank,
        ...(expected === undefined ? {} : { expected: await picture(rows[expected.row] as ManifestRow) }),
        hits: await Promise.all(
          ranked.slice(0, FAILURE_HITS).map(({ row }) => picture(rows[row] as ManifestRow)),
        ),
      };
    }),
  );
}

async function picture({ path, itemId, source }: ManifestRow): Promise<ReportPicture> {
  const data = await readFile(path);
  const name = itemId.replace(/^[0-9a-f]+(-[0-9a-f]{4,})*-/, '').replaceAll('-', ' ');
  return {
    dataUri: `data:image/png;base64,${data.toString('base64')}`,
    caption: source === undefined ? name : `${name} · ${source}`,
  };
}
