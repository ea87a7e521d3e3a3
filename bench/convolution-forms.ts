/**
 * Times every form of the convolution gradients at the sizes that networks have, interleaved, and prints GF/s of useful
 * arithmetic. Run: `npx tsx bench/convolution-forms.ts [batch] [rounds]`. The choice in
 * `src/graph/convolution-gradients.ts` follows these figures.
 */
import {
  buildGraph,
  convolution,
  convolutionInputGradient,
  convolutionWeightGradient,
  type InputGradientForm,
  input,
  isUnitStride,
  reduceSum,
  type Value,
  type WeightGradientForm,
} from '../src/graph/index.js';
import { floatTensor, Session, writeModel } from '../src/onnx/index.js';

const batch = Number(process.argv[2] ?? 128);
const rounds = Number(process.argv[3] ?? 9);

const sizes = process.argv[4];
const cases: readonly [
  channels: number,
  outChannels: number,
  size: number,
  kernel: number,
  stride: number,
][] = [
  [3, 32, 64, 3, 2],
  [32, 32, 32, 3, 1],
  [48, 48, 16, 3, 1],
  [64, 64, 32, 3, 1],
  [64, 128, 32, 3, 2],
  [64, 64, 16, 3, 1],
  [96, 96, 16, 3, 1],
  [96, 192, 16, 3, 2],
  [128, 128, 16, 3, 1],
  [128, 128, 8, 3, 1],
  [192, 192, 8, 3, 1],
  [256, 256, 8, 3, 1],
  [256, 256, 4, 3, 1],
  [48, 48, 12, 3, 1],
  [96, 96, 6, 3, 1],
  [192, 192, 3, 3, 1],
  [192, 192, 4, 3, 1],
  [96, 96, 8, 3, 1],
  [64, 256, 16, 1, 1],
  [128, 256, 8, 1, 1],
].filter(([c, , size]) => sizes === undefined || sizes.split(',').includes(`${c}x${size}`)) as [
  number,
  number,
  number,
  number,
  number,
][];

interface Timed {
  readonly name: string;
  readonly session: Session;
  readonly feeds: Record<string, ReturnType<typeof floatTensor>>;
  readonly times: number[];
}

const random = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898));

for (const [channels, outChannels, size, kernel, stride] of cases) {
  const padding = kernel >> 1;
  const out = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const x = input('x', 'float32', [batch, channels, size, size]);
  const w = input('w', 'float32', [outChannels, channels, kernel, kernel]);
  const g = input('g', 'float32', [batch, outChannels, out, out]);
  const geometry = {
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    dilations: [1, 1],
    group: 1,
  } as const;
  const inputForms: InputGradientForm[] = stride === 1 ? ['transposed', 'flipped'] : ['transposed'];
  const weightForms: WeightGradientForm[] = ['columns', 'gather', 'batchGather'];
  if (isUnitStride(geometry) && kernel > 1) weightForms.push('bands');
  const variants: [string, Value, Value[]][] = [
    ['forward', convolution(x, w, undefined, { stride, padding }), [x, w]],
    ...inputForms.map((form): [string, Value, Value[]] => [
      `input ${form}`,
      convolutionInputGradient(g, w, [batch, channels, size, size], geometry, form),
      [g, w],
    ]),
    ...weightForms.map((form): [string, Value, Value[]] => [
      `weight ${form}`,
      convolutionWeightGradient(g, x, [outChannels, channels, kernel, kernel], geometry, form),
      [g, x],
    ]),
  ];
  const timed: Timed[] = [];
  for (const [name, value, inputs] of variants) {
    // A small output, so that handing it over costs nothing.
    const graph = buildGraph(inputs, { y: value, small: reduceSum(value, 'all') });
    const session = await Session.create(writeModel(graph));
    const feeds = Object.fromEntries(
      graph.inputs.map((entry) => {
        const shape = entry.value.shape as number[];
        return [entry.name, floatTensor(random(shape.reduce((a, b) => a * b, 1)), shape)];
      }),
    );
    timed.push({ name, session, feeds, times: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (const { session, feeds, times } of timed) {
      const start = performance.now();
      await session.run(feeds, ['small']);
      if (round > 0) times.push(performance.now() - start);
    }
  }
  const flops = 2 * batch * out * out * outChannels * channels * kernel * kernel;
  const report = timed.map(({ name, times }) => {
    const median = times.sort((a, b) => a - b)[times.length >> 1] as number;
    return `${name} ${(flops / median / 1e6).toFixed(0)}`;
  });
  console.log(`${channels}→${outChannels} ${size}px ${kernel}x${kernel}/${stride}: ${report.join(' | ')}`);
  for (const { session } of timed) await session.close();
}
