/**
 * Our side of `bench/architectures.ts`, in a process of its own so that its peak memory can be read: the training step
 * of an ONNX file as one graph. Arguments: folder, threads, and optionally a profile's prefix. Speaks as architectures.py does.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
  buildGraph,
  constant,
  gradients,
  input,
  logSoftmax,
  multiply,
  negate,
  reduceMean,
  reduceSum,
  substitute,
  type Value,
} from '../src/graph/index.js';
import { foldBatchNormalization, trainableParameters } from '../src/models/index.js';
import {
  floatTensor,
  readModel,
  Session,
  StatefulSession,
  type Tensor,
  writeModel,
} from '../src/onnx/index.js';
import { sgd } from '../src/optimizers/index.js';
import { readNpy } from '../src/util/index.js';

const [folder = '', threads = '2', profilePrefix] = process.argv.slice(2);
const pixels = await readNpy(join(folder, 'pixels.npy'));
const labels = await readNpy(join(folder, 'labels.npy'));
const batch = pixels.shape[0] as number;

/** A function, so that the file's bytes can be collected. */
async function open(): Promise<StatefulSession> {
  const { graph } = readModel(await readFile(join(folder, 'model.onnx')));
  const picture = graph.inputs[0]?.value as Value;
  const fed = input('pixels', 'float32', pixels.shape);
  const replacements = new Map<Value, Value>([[picture, fed]]);
  const states: Record<string, Tensor> = {};
  const parameters = trainableParameters(graph).map((value, i) => {
    if (value.origin.kind !== 'constant') throw new Error('a parameter must be constant');
    const shape = value.shape as readonly number[];
    const parameter = input(`p${i}`, 'float32', shape);
    const velocity = input(`v${i}`, 'float32', shape);
    replacements.set(value, parameter);
    states[`p${i}`] = { dataType: 'float32', shape, data: value.origin.data };
    states[`v${i}`] = floatTensor(new Float32Array(value.origin.data.length), shape);
    return { parameter, velocity };
  });
  const [logits] = foldBatchNormalization(substitute([graph.outputs[0]?.value as Value], replacements)) as [
    Value,
  ];
  const oneHot = input('one_hot', 'float32', [batch, 1000]);
  const loss = negate(reduceMean(reduceSum(multiply(oneHot, logSoftmax(logits)), [1]), 'all'));
  const rate = input('rate', 'float32', []);
  const found = gradients(
    loss,
    parameters.map(({ parameter }) => parameter),
  );
  const outputs: Record<string, Value> = { loss };
  parameters.forEach(({ parameter, velocity }, i) => {
    const next = sgd({ momentum: 0.9 }).update({
      parameter,
      gradient: found[i] as Value,
      states: [velocity],
      learningRate: rate,
      step: constant(1, []),
      isDecayed: false,
    });
    outputs[`next.p${i}`] = next.parameter;
    outputs[`next.v${i}`] = next.states[0] as Value;
  });
  const inputs = [
    fed,
    oneHot,
    rate,
    ...parameters.flatMap(({ parameter, velocity }) => [parameter, velocity]),
  ];
  const session = await Session.create(writeModel(buildGraph(inputs, outputs)), {
    threads: Number(threads),
    ...(profilePrefix === undefined ? {} : { profilePrefix }),
  });
  if (profilePrefix !== undefined) process.once('beforeExit', () => session.endProfiling());
  return new StatefulSession(session, states);
}

const session = await open();
const oneHot = new Float32Array(batch * 1000);
labels.data.forEach((label, i) => {
  oneHot[i * 1000 + Number(label)] = 1;
});
const feeds: Record<string, Tensor> = {
  pixels: pixels as Tensor,
  one_hot: floatTensor(oneHot, [batch, 1000]),
  rate: floatTensor(Float32Array.of(1e-3), []),
};
console.log('ready');
for await (const _ of createInterface({ input: process.stdin })) {
  const started = performance.now();
  const { loss } = await session.step(feeds);
  console.log(performance.now() - started, loss?.data[0]);
}
console.log(/VmHWM:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
