/**
 * Times every form of the gradients of convolutions and of max pooling at the sizes that networks have, interleaved.
 * The choices in `src/graph/convolution-gradients.ts`, `grouped-weight-gradients.ts` and `pooling.ts` follow these
 * figures.
 *
 * Run: `npx tsx bench/convolution-forms.ts [--batch 16] [--rounds 9] [--only depthwise,stem] [--cpu]`
 * Prints milliseconds (least / median) and, for the least, GF/s of useful arithmetic. `--cpu` runs with one thread and
 * counts its CPU time: on a busy machine the only figure that means anything, though it hides that onnxruntime runs
 * `Slice`, `Concat`, `Pad` and `ScatterElements` with one thread and the rest with all.
 */
import { parseArgs } from 'node:util';
import {
  apply,
  applyAll,
  axisWindows,
  buildGraph,
  convolutionInputGradient,
  convolutionWeightGradient,
  type GroupedWeightGradientForm,
  groupedWeightGradient,
  type InputGradientForm,
  input,
  isMaxPoolGradientFor,
  isUnitStride,
  type MaxPoolGradientForm,
  maxPoolGradient,
  operators,
  reduceSum,
  type Value,
  type WeightGradientForm,
} from '../src/graph/index.js';
import { floatTensor, Session, writeModel } from '../src/onnx/index.js';

const { values: flags } = parseArgs({
  options: {
    batch: { type: 'string', default: '16' },
    rounds: { type: 'string', default: '9' },
    only: { type: 'string' },
    cpu: { type: 'boolean', default: false },
  },
});
const batch = Number(flags.batch);
const rounds = Number(flags.rounds);

/** Input channels, output channels, groups, pixels a side, kernel, stride. */
type Case = readonly [number, number, number, number, number, number];

const CONVOLUTIONS: Readonly<Record<string, readonly Case[]>> = {
  plain: [
    [64, 64, 1, 56, 3, 1],
    [64, 128, 1, 56, 3, 2],
    [128, 128, 1, 28, 3, 1],
    [256, 256, 1, 14, 3, 1],
    [512, 512, 1, 7, 3, 1],
    [128, 32, 1, 28, 3, 1],
    [128, 32, 1, 14, 3, 1],
    [96, 208, 1, 14, 3, 1],
  ],
  pointwise: [
    [256, 64, 1, 56, 1, 1],
    [256, 512, 1, 56, 1, 2],
    [1024, 256, 1, 14, 1, 1],
    [960, 320, 1, 7, 1, 1],
  ],
  stem: [
    [3, 64, 1, 224, 7, 2],
    [3, 32, 1, 224, 3, 2],
    [3, 96, 1, 224, 4, 4],
    [3, 768, 1, 224, 16, 16],
  ],
  depthwise: [
    [32, 32, 32, 112, 3, 1],
    [96, 96, 96, 56, 3, 1],
    [144, 144, 144, 56, 3, 2],
    [384, 384, 384, 14, 3, 1],
    [960, 960, 960, 7, 3, 1],
    [240, 240, 240, 28, 5, 1],
    [96, 96, 96, 56, 7, 1],
  ],
  grouped: [
    [48, 48, 6, 56, 3, 1],
    [104, 104, 13, 28, 3, 1],
    [208, 208, 26, 14, 3, 1],
    [440, 440, 55, 7, 3, 1],
  ],
  small: [
    [3, 32, 1, 64, 3, 2],
    [64, 64, 1, 32, 3, 1],
    [96, 96, 1, 16, 3, 1],
    [192, 192, 1, 8, 3, 1],
    [192, 192, 1, 4, 3, 1],
  ],
};

/** Channels, pixels a side, kernel, stride, padding. */
const POOLS: readonly (readonly [number, number, number, number, number])[] = [
  [64, 112, 3, 2, 1],
  [192, 28, 3, 1, 1],
  [64, 56, 2, 2, 0],
];

interface Variant {
  readonly name: string;
  readonly value: Value;
  readonly inputs: readonly Value[];
}

const isWanted = (kind: string) => flags.only === undefined || flags.only.split(',').includes(kind);

for (const [kind, cases] of Object.entries(CONVOLUTIONS)) {
  for (const one of isWanted(kind) ? cases : []) await timeConvolution(kind, one);
}
for (const one of isWanted('maxpool') ? POOLS : []) await timePooling(one);

async function timeConvolution(
  kind: string,
  [channels, outChannels, group, size, kernel, stride]: Case,
): Promise<void> {
  const padding = kernel % 2 === 1 ? kernel >> 1 : 0;
  const out = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const inputShape = [batch, channels, size, size];
  const weightShape = [outChannels, channels / group, kernel, kernel];
  const x = input('x', 'float32', inputShape);
  const w = input('w', 'float32', weightShape);
  const g = input('g', 'float32', [batch, outChannels, out, out]);
  const geometry = {
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    dilations: [1, 1],
    group,
  } as const;
  const variants: Variant[] = [
    { name: 'forward', value: apply(operators.Conv, [x, w], { ...geometry }), inputs: [x, w] },
  ];
  const inputForms: InputGradientForm[] = stride === 1 ? ['transposed', 'flipped'] : ['transposed'];
  for (const form of channels === 3 ? [] : inputForms) {
    const value = convolutionInputGradient(g, w, inputShape, geometry, form);
    variants.push({ name: `input ${form}`, value, inputs: [g, w] });
  }
  if (group > 1) {
    const forms: readonly GroupedWeightGradientForm[] = ['columns', 'gather', 'convolution', 'lines'];
    for (const form of forms) {
      const value = groupedWeightGradient(g, x, weightShape, geometry, form);
      variants.push({ name: `weight ${form}`, value, inputs: [g, x] });
    }
  } else {
    const forms: WeightGradientForm[] = ['columns', 'gather', 'batchGather'];
    if (isUnitStride(geometry) && kernel > 1) forms.push('bands');
    for (const form of forms) {
      const value = convolutionWeightGradient(g, x, weightShape, geometry, form);
      variants.push({ name: `weight ${form}`, value, inputs: [g, x] });
    }
  }
  const flops = 2 * batch * out * out * outChannels * (channels / group) * kernel * kernel;
  const groups = group === 1 ? '' : ` in ${group} groups`;
  await report(
    `${kind} ${channels}→${outChannels}${groups} ${size}px ${kernel}x${kernel}/${stride}`,
    variants,
    flops,
  );
}

async function timePooling([channels, size, kernel, stride, padding]: (typeof POOLS)[number]): Promise<void> {
  const attributes = {
    kernel_shape: [kernel, kernel],
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
  };
  const windows = axisWindows(attributes, 'MaxPool', [size, size], [kernel, kernel]);
  const out = windows[0]?.count as number;
  const x = input('x', 'float32', [batch, channels, size, size]);
  const g = input('g', 'float32', [batch, channels, out, out]);
  const outputs = applyAll(operators.MaxPool, [x], attributes);
  const forms: readonly MaxPoolGradientForm[] = ['unpool', 'shifts', 'scatter'];
  const variants = forms
    .filter((form) => isMaxPoolGradientFor(form, windows))
    .map((form): Variant => {
      const value = maxPoolGradient(g, x, outputs, windows, form);
      return { name: `forward and ${form}`, value, inputs: [x, g] };
    });
  await report(`maxpool ${channels} ${size}px ${kernel}x${kernel}/${stride}`, [
    { name: 'forward', value: outputs[0] as Value, inputs: [x] },
    ...variants,
  ]);
}

/** Runs the variants in turn and prints a line. */
async function report(title: string, variants: readonly Variant[], flops?: number): Promise<void> {
  const timed = [];
  for (const { name, value, inputs } of variants) {
    // A small output, so that handing it over costs nothing.
    const graph = buildGraph(inputs, { y: value, small: reduceSum(value, 'all') });
    const session = await Session.create(writeModel(graph), flags.cpu ? { threads: 1 } : {});
    const feeds = Object.fromEntries(
      graph.inputs.map((entry) => {
        const shape = entry.value.shape as number[];
        const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
          Math.sin(i * 12.9898),
        );
        return [entry.name, floatTensor(data, shape)];
      }),
    );
    timed.push({ name, session, feeds, times: [] as number[] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { session, feeds, times } of timed) {
      const start = performance.now();
      const before = process.cpuUsage();
      await session.run(feeds, ['small']);
      const { user, system } = process.cpuUsage(before);
      if (round > 0) times.push(flags.cpu ? (user + system) / 1000 : performance.now() - start);
    }
  }
  const parts = timed.map(({ name, times }) => {
    times.sort((a, b) => a - b);
    const least = times[0] as number;
    const speed = flops === undefined ? '' : ` (${(flops / least / 1e6).toFixed(0)})`;
    return `${name} ${least.toFixed(1)}/${(times[times.length >> 1] as number).toFixed(1)}${speed}`;
  });
  console.log(`${title}: ${parts.join(' | ')}`);
  for (const { session } of timed) await session.close();
}
