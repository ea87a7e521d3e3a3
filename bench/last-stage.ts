/**
 * Fine-tuning the last stage for some epochs with a cached prefix, against PyTorch, which runs the frozen part in every
 * step: per picture, our time is that of the prefix once plus that of a step an epoch. Both train the same parameters of
 * a torchvision network by SGD with momentum, the steps in turn on the same cores; of batch normalisation, which goes by its
 * statistics, ours trains the shift only (it is folded), and so does PyTorch here.
 * Decoding and augmentation, which both sides need, and reading the cache (see `bench/feature-extraction.ts`) are left out.
 *
 * Run: `npx tsx bench/last-stage.ts [--only resnet18,mobilenet_v2] [--batch 16] [--epochs 10] [--views 1] [--steps 5]`
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from 'simple-statistics';
import {
  buildGraph,
  constant,
  gradients,
  input,
  reduceMean,
  square,
  type Value,
} from '../src/graph/index.js';
import {
  backboneNetwork,
  type CutPoint,
  DeclaredParameters,
  frozenPrefix,
  openBackbone,
  planBackbone,
} from '../src/models/index.js';
import {
  floatTensor,
  readModelFile,
  Session,
  StatefulSession,
  type Tensor,
  writeModel,
} from '../src/onnx/index.js';
import { sgd } from '../src/optimizers/index.js';
import { Random } from '../src/util/index.js';
import { openRival } from './support/pytorch.js';

const PYTHON = '/usr/bin/python3';
const { values: flags } = parseArgs({
  options: {
    only: {
      type: 'string',
      default: 'resnet18,resnet50,mobilenet_v2,efficientnet_b0,convnext_tiny,vit_b_16',
    },
    size: { type: 'string', default: '224' },
    batch: { type: 'string', default: '8' },
    epochs: { type: 'string', default: '10' },
    views: { type: 'string', default: '1' },
    steps: { type: 'string', default: '5' },
  },
});
const [size, batch, epochs, views] = [flags.size, flags.batch, flags.epochs, flags.views].map(Number) as [
  number,
  number,
  number,
  number,
];
const WARM_UP = 3;
const threads = String(availableParallelism());

console.log(
  `Last stage, batch ${batch}, ${size} px, ${threads} threads; ms a batch, medians of ${flags.steps}; whole: the prefix of ` +
    `${views} views and ${epochs} epochs of steps, against ${epochs} epochs of PyTorch's.\n`,
);
console.log('| network | trained | prefix, once | step | PyTorch step | step ratio | whole ratio |');
console.log('| --- | --- | --- | --- | --- | --- | --- |');
for (const name of flags.only.split(',')) {
  const folder = mkdtempSync(join(tmpdir(), 'last-stage-'));
  try {
    const model = [name, flags.size, flags.batch, 'kept', folder];
    execFileSync(PYTHON, [script(), 'export', ...model], { stdio: 'ignore' });
    const ours = await openOurs(join(folder, 'model.onnx'));
    const list = join(folder, 'trained.json');
    writeFileSync(list, JSON.stringify(ours.trained));
    const rival = await openRival('architectures.py', ['step', ...model, threads, list]);
    if (rival === undefined) process.exit(1);
    const times: { prefix: number[]; step: number[]; rival: number[] } = { prefix: [], step: [], rival: [] };
    for (let i = 0; i < Number(flags.steps) + WARM_UP; i++) {
      const measured = [await ours.prefix(), await ours.step(), await rival.ask('step')] as const;
      if (i < WARM_UP) continue;
      times.prefix.push(measured[0]);
      times.step.push(measured[1]);
      times.rival.push(measured[2]);
    }
    rival.close();
    await ours.close();
    const [prefix, step, torch] = [times.prefix, times.step, times.rival].map(median) as [
      number,
      number,
      number,
    ];
    const whole = (views * prefix + epochs * step) / (epochs * torch);
    const numbers = [prefix, step, torch].map((time) => time.toFixed(0));
    console.log(
      `| ${[name, ours.trained.length, ...numbers, (step / torch).toFixed(2), whole.toFixed(2)].join(' | ')} |`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function script(): string {
  return new URL('./architectures.py', import.meta.url).pathname;
}

async function openOurs(path: string) {
  const backbone = openBackbone(await readModelFile(path), { size });
  const plan = planBackbone(backbone, {
    trained: 'last-stage',
    normalization: 'frozen',
    learningRateScale: 1,
  });
  const { cut } = plan;
  if (cut === undefined) throw new Error('the last stage must have a cut before it');
  const pixels = input('pixels', 'float32', [batch, 3, size, size]);
  const prefix = await Session.create(
    writeModel(buildGraph([pixels], { y: frozenPrefix(plan, cut, pixels) })),
  );
  const stepper = await openStep(plan, cut);
  const random = Random.from(1);
  const draw = (shape: readonly number[]) =>
    floatTensor(
      Float32Array.from({ length: shape.reduce((product, d) => product * d, 1) }, () => random.normal()),
      shape,
    );
  const pictures = draw([batch, 3, size, size]);
  const features = draw([batch, ...cut.shape.slice(1)]);
  const timed = async (run: () => Promise<unknown>) => {
    const started = performance.now();
    await run();
    return performance.now() - started;
  };
  return {
    trained: backbone.parameters.filter(({ value }) => plan.trained.has(value)).map(({ name }) => name),
    prefix: () => timed(() => prefix.run({ pixels: pictures })),
    step: () => timed(() => stepper.step({ features })),
    async close() {
      await prefix.close();
      await stepper.close();
    },
  };
}

/** From the cut to the mean square of the features, and SGD with momentum. */
async function openStep(plan: ReturnType<typeof planBackbone>, cut: CutPoint): Promise<StatefulSession> {
  const parameters = new DeclaredParameters();
  const features = input('features', 'float32', [batch, ...cut.shape.slice(1)]);
  const context = { parameters, mode: 'training' as const, statistics: {} };
  const outputs = backboneNetwork(context, plan, cut, features, { withFeatureMap: false });
  const loss = reduceMean(square(outputs.features), 'all');
  const entries = parameters.entries();
  const found = gradients(
    loss,
    entries.map(({ value }) => value),
  );
  const inputs: Value[] = [features];
  const wanted: Record<string, Value> = { loss };
  const states: Record<string, Tensor> = {};
  entries.forEach(({ parameter, value }, i) => {
    const velocity = input(`velocity.${parameter.name}`, 'float32', parameter.shape);
    const next = sgd({ momentum: 0.9 }).update({
      parameter: value,
      gradient: found[i] as Value,
      states: [velocity],
      learningRate: constant(1e-3, []),
      step: constant(1, []),
      isDecayed: false,
    });
    inputs.push(value, velocity);
    wanted[`next.${parameter.name}`] = next.parameter;
    wanted[`next.velocity.${parameter.name}`] = next.states[0] as Value;
    const { initializer } = parameter;
    if (initializer.kind !== 'given') throw new Error('a backbone has its numbers');
    states[parameter.name] = floatTensor(initializer.data, parameter.shape);
    states[`velocity.${parameter.name}`] = floatTensor(
      new Float32Array(initializer.data.length),
      parameter.shape,
    );
  });
  return new StatefulSession(await Session.create(writeModel(buildGraph(inputs, wanted))), states);
}
