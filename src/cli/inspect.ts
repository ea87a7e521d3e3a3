/**
 * `semblance inspect`: what an ONNX file holds, what of it can be trained, what blocks a gradient, which features,
 * stages and cut points are proposed, and what a training step costs.
 */
import { readFile, stat, writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import type { Value } from '../graph/index.js';
import {
  gradientRule,
  type Inspection,
  inspectGraph,
  measureStep,
  type OperatorUse,
  type StepCost,
} from '../models/index.js';
import { type FileSummary, type ReadModel, readModelFile, summarizeFile, toFloat32 } from '../onnx/index.js';
import { readPreprocessing } from '../pretrained/index.js';
import { CliError, DataError, errorMessage } from '../util/index.js';
import { inspectionText } from './inspect-text.js';
import { positiveInteger } from './options.js';
import { stagePicture } from './stage-picture.js';

interface Options {
  output?: string;
  batch?: number;
  size?: number;
  threads?: number;
  cuts?: true;
  picture?: string;
  json?: true;
}

/** Everything that is printed; what could not be found out is absent. */
export interface Report {
  readonly file: string;
  readonly bytes: number;
  readonly summary: FileSummary;
  readonly operators: readonly OperatorUse[];
  readonly inspection?: Inspection;
  readonly nameOf: (value: Value) => string;
  readonly preprocessing?: string;
  readonly steps?: { readonly batch: number; readonly lastStage: StepCost; readonly full: StepCost };
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('say what an ONNX file holds, what can be trained, and what a training step costs')
    .argument('<model>', 'an .onnx file')
    .option('--output <name>', 'the output to take features from (default: an embedding, else the first)')
    .option('--batch <count>', 'measure a training step of that many pictures', positiveInteger)
    .option(
      '--size <pixels>',
      'height and width of the pictures where the file leaves them open (default: 224)',
      positiveInteger,
    )
    .option('--threads <count>', 'threads of the measured step (default: all cores)', positiveInteger)
    .option('--cuts', 'list every cut point, not only those that end a stage')
    .option('--picture <file>', 'draw the stages: .svg or .html')
    .option('--json', 'print everything as JSON')
    .addHelpText('after', HELP)
    .action(run);
}

// --- internal ---

const HELP = `
A cut point is a value through which everything passes on the way from the picture to the features: what lies before it
can be frozen, run once a picture and kept. Stages end at cut points.

Example:
  $ semblance inspect mobilenet_v2.onnx --batch 8 --picture stages.svg
`;

async function run(file: string, options: Options): Promise<void> {
  const { picture } = options;
  if (picture !== undefined && !/\.(svg|html)$/i.test(picture)) {
    throw new CliError(`inspect --picture: must be a .svg or .html file, got '${picture}'`);
  }
  const { summary, bytes } = await summaryOf(file);
  const operators = summary.operators.map(({ name, count }) => ({
    name,
    count,
    gradient: gradientRule(name),
  }));
  let report: Report = { file, bytes, summary, operators, nameOf: () => '' };
  let failure: unknown;
  try {
    const model = await readModelFile(file);
    report = { ...report, operators: withRules(report.operators, model), nameOf: namesOf(model) };
    report = { ...report, ...(await preprocessingOf(file)) };
    const chosen = {
      ...(options.output === undefined ? {} : { output: options.output }),
      ...(options.size === undefined ? {} : { size: checkedSize(options.size, model) }),
    };
    report = { ...report, inspection: inspectGraph(model.graph, chosen) };
    if (options.batch !== undefined) {
      const trained = toFloat32(model); // as training does
      const inspection = inspectGraph(trained.graph, chosen);
      report = { ...report, steps: await measure(trained, inspection, options.batch, options) };
    }
  } catch (error) {
    failure = error;
  }
  process.stdout.write(
    options.json
      ? `${JSON.stringify(machineReadable(report, failure), null, 2)}\n`
      : inspectionText(report, { allCuts: options.cuts === true }),
  );
  if (failure !== undefined) throw failure;
  if (picture !== undefined && report.inspection !== undefined) {
    const svg = stagePicture(report, report.inspection);
    const page = `<!doctype html><meta charset="utf-8"><title>${escapeText(file)}</title><body style="margin:24px">${svg}</body>`;
    await writeFile(picture, picture.toLowerCase().endsWith('.html') ? page : svg).catch((error: unknown) => {
      throw new DataError(`cannot be written: ${errorMessage(error)}`, { file: picture, cause: error });
    });
  }
}

async function summaryOf(file: string): Promise<{ summary: FileSummary; bytes: number }> {
  let content: Uint8Array;
  try {
    if (!(await stat(file)).isFile()) throw new Error('not a file');
    content = await readFile(file);
  } catch (error) {
    throw new DataError(`the model cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  try {
    return { summary: summarizeFile(content), bytes: content.length };
  } catch (error) {
    throw new DataError(errorMessage(error), { file, cause: error });
  }
}

/** A dimension of the picture that the file fixes cannot be another. */
function checkedSize(size: number, { graph }: ReadModel): number {
  const fixed = graph.inputs[0]?.value.shape
    .slice(2)
    .find((side) => typeof side === 'number' && side !== size);
  if (fixed !== undefined) {
    throw new DataError(
      `inspect --size: must be ${fixed}, which the file fixes, got ${size}. Export it with dynamic height and width`,
    );
  }
  return size;
}

/** The rules of operators as they were read; those of the file that reading replaced keep what the table says. */
function withRules(uses: readonly OperatorUse[], { graph }: ReadModel): OperatorUse[] {
  const opaque = new Set(
    graph.nodes.flatMap(({ operator }) => ('opaque' in operator ? [operator.name] : [])),
  );
  const read = new Set(graph.nodes.map(({ operator }) => operator.name));
  return uses.map((use) => {
    const name = use.name.split('.').at(-1) as string;
    if (opaque.has(name)) return { ...use, gradient: 'unknown' };
    // It was read, but is not in the graph: folded into constants or written as others, which have rules of their own.
    return use.gradient === 'unknown' && !read.has(name) ? { ...use, gradient: 'folded' } : use;
  });
}

function namesOf({ values, graph }: ReadModel): (value: Value) => string {
  const names = new Map<Value, string>();
  for (const { name, value } of graph.outputs) names.set(value, name);
  for (const [name, value] of values) if (!names.has(value)) names.set(value, name);
  return (value) => names.get(value) ?? '';
}

async function preprocessingOf(file: string): Promise<{ preprocessing?: string }> {
  try {
    const { preprocessing, source } = await readPreprocessing({ modelPath: file });
    const { size, mean, std } = preprocessing;
    const list = (numbers: readonly number[]) => numbers.map((x) => Number(x.toFixed(4))).join(', ');
    return { preprocessing: `${size} px, mean ${list(mean)}, std ${list(std)} (${source})` };
  } catch {
    return {}; // none beside the file, or one that is not understood: training asks for it then
  }
}

async function measure(
  { graph }: ReadModel,
  { features, stages }: Inspection,
  batch: number,
  { size, threads }: Options,
) {
  const options = {
    batch,
    ...(size === undefined ? {} : { size }),
    ...(threads === undefined ? {} : { threads }),
  };
  const picture = graph.inputs[0]?.value as Value;
  // The smaller step first: the process's highest memory can only grow.
  const last = stages.findLastIndex(({ parameters }) => parameters > 0);
  const lastStage = await measureStep(graph, stages[last - 1]?.end ?? picture, features.features, options);
  const full = await measureStep(graph, picture, features.features, options);
  return { batch, lastStage, full };
}

function machineReadable(
  { inspection, nameOf, summary, preprocessing, ...rest }: Report,
  failure: unknown,
): unknown {
  const named = ({ value, ...others }: { value: Value }) => ({ name: nameOf(value), ...others });
  return {
    ...rest,
    ...summary,
    operators: rest.operators,
    preprocessing: preprocessing ?? null,
    ...(inspection === undefined
      ? {}
      : {
          features: {
            name: nameOf(inspection.features.features),
            shape: inspection.features.features.shape,
            pooling: inspection.features.pooling,
            featureMap: inspection.features.featureMap ? nameOf(inspection.features.featureMap) : null,
            note: inspection.features.note,
          },
          parameters: {
            trainable: inspection.trainableCount,
            dropped: inspection.droppedCount,
            blocked: inspection.blockedCount,
            byRole: inspection.elementsByRole,
          },
          multiplyAdds: inspection.multiplyAdds,
          activationBytes: inspection.activationBytes,
          blocking: inspection.blocking.map(({ node, why }) => ({
            node: node.name ?? null,
            operator: node.operator.name,
            why,
          })),
          stages: inspection.stages.map(({ end, ...stage }) => ({ ...stage, end: nameOf(end) })),
          cutPoints: inspection.cutPoints.map(named),
        }),
    ...(failure === undefined ? {} : { error: errorMessage(failure) }),
  };
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
