import { initializeParameters } from '../src/models/index.js';
import { floatTensor, Session, StatefulSession, type Tensor, writeModel } from '../src/onnx/index.js';
import { resolveConfiguration } from '../src/training/configuration.js';
import { buildTrainingStep } from '../src/training/step.js';
import { Random } from '../src/util/index.js';

const configuration = resolveConfiguration(JSON.parse(process.argv[2] ?? '{}'));
const schema = {
  attributes: [
    { name: 'subgroup', kind: 'single' as const, values: Array.from({ length: 96 }, (_, i) => `s${i}`) },
  ],
  levels: ['item_id', 'subgroup'],
};
const step = buildTrainingStep(configuration, schema);
console.log(
  'nodes',
  step.graph.nodes.length,
  'params',
  step.parameters.reduce((s, p) => s + p.shape.reduce((a, b) => a * b, 1), 0),
);
const t0 = performance.now();
const bytes = writeModel(step.graph);
const session = await Session.create(bytes, {
  ...(process.argv[3] ? { profilePrefix: process.argv[3] } : {}),
});
console.log('built in', (performance.now() - t0).toFixed(0), 'ms; bytes', bytes.length);
const values = initializeParameters(step.parameters, Random.from(1));
const states: Record<string, Tensor> = {};
for (const s of step.states)
  states[s.name] = floatTensor(
    s.startsAs === 'parameter' ? values[s.of]! : new Float32Array(values[s.of]!.length),
    s.shape,
  );
const stateful = new StatefulSession(session, states);
const B = configuration.batch.items * configuration.batch.picturesPerItem;
const r = Random.from(2);
const S = configuration.network.inputSize;
const pictures = Uint8Array.from({ length: B * S * S * 3 }, () => r.integer(256));
const ids = BigInt64Array.from({ length: B }, (_, i) =>
  BigInt(Math.floor(i / configuration.batch.picturesPerItem)),
);
const labels = new Float32Array(B * 96);
for (let i = 0; i < B; i++) labels[i * 96 + (Number(ids[i]) % 96)] = 1;
const times: number[] = [];
for (let i = 1; i <= 12; i++) {
  const s = performance.now();
  const out = await stateful.step({
    pictures: { dataType: 'uint8', shape: [B, S, S, 3], data: pictures },
    item_ids: { dataType: 'int64', shape: [B], data: ids },
    attribute_labels: floatTensor(labels, [B, 96]),
    attribute_known: floatTensor(new Float32Array(B).fill(1), [B, 1]),
    learning_rate: floatTensor(Float32Array.of(1e-3), []),
    step: floatTensor(Float32Array.of(i), []),
  });
  times.push(performance.now() - s);
  if (i % 4 === 1)
    console.log(
      i,
      Object.fromEntries(Object.entries(out).map(([k, v]) => [k, v.data[0]])),
      times.at(-1)!.toFixed(0),
    );
}
console.log('median ms', times.sort((a, b) => a - b)[6]!.toFixed(1), 'min', times[0]!.toFixed(1));
if (process.argv[3]) session.endProfiling();
await session.close();
