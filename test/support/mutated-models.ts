/**
 * Damaged ONNX files, for the reader: small models of all kinds, changed at random in their bytes or their fields.
 */
import { print } from '../../src/graph/index.js';
import { readModel } from '../../src/onnx/index.js';
import { ModelProto } from '../../src/onnx/schema.js';
import type { Random } from '../../src/util/index.js';
import { attribute, floats, int64s, modelBytes, node, numbers } from './onnx-model.js';

/** Small models that between them use most of what a file can hold. */
export function seedModels(): Uint8Array[] {
  const picture = [2, 3, 8, 8];
  const channels = (name: string) => floats(name, [3], [1, 2, 3]);
  const branch = (name: string, opType: string) => ({
    name,
    type: 5,
    g: { name, node: [node(opType, ['x'], ['z'])], output: [{ name: 'z' }] },
  });
  return [
    modelBytes(17, {
      shape: ['N', 3, 8, 8],
      node: [
        node('Conv', ['x', 'w'], ['c'], [attribute('strides', [2, 2]), attribute('pads', [1, 1, 1, 1])]),
        node('BatchNormalization', ['c', 's', 'b', 'm', 'v'], ['n'], [attribute('epsilon', 1e-3, true)]),
        node('Relu', ['n'], ['r']),
        node('MaxPool', ['r'], ['p'], [attribute('kernel_shape', [2, 2])]),
        node('GlobalAveragePool', ['p'], ['g']),
        node('Flatten', ['g'], ['f']),
        node('Gemm', ['f', 'h', 'hb'], ['l'], [attribute('transB', 1), attribute('alpha', 0.5, true)]),
        node('Softmax', ['l'], ['y'], [attribute('axis', -1)]),
      ],
      initializer: [
        floats('w', [3, 3, 3, 3], [...numbers(81)]),
        ...['s', 'b', 'm', 'v'].map(channels),
        floats('h', [2, 3], [...numbers(6)]),
        floats('hb', [2], [1, 2]),
      ],
    }),
    modelBytes(13, {
      shape: ['N', 6, 4],
      node: [
        node('Shape', ['x'], ['shape']),
        node('Constant', [], ['zero'], [attribute('value', int64s('', [0], []))]),
        node('Gather', ['shape', 'zero'], ['batch'], [attribute('axis', 0)]),
        node('Unsqueeze', ['batch', 'axis'], ['batch1']),
        node('Concat', ['batch1', 'rest'], ['wanted'], [attribute('axis', 0)]),
        node('Reshape', ['x', 'wanted'], ['heads']),
        node('Transpose', ['heads'], ['t'], [attribute('perm', [0, 2, 1, 3])]),
        node('MatMul', ['t', 'k'], ['mm']),
        node('Slice', ['mm', 'starts', 'ends'], ['sl']),
        node('ReduceMean', ['sl'], ['y'], [attribute('axes', [1, 2])]),
      ],
      initializer: [
        int64s('axis', [0]),
        int64s('rest', [6, 2, 2]),
        floats('k', [2, 5], [...numbers(10)]),
        int64s('starts', [0, 1]),
        int64s('ends', [2 ** 40, 5]),
      ],
    }),
    modelBytes(7, {
      shape: picture,
      node: [
        node('Pad', ['x'], ['p'], [attribute('pads', [0, 0, 1, 1, 0, 0, 1, 1]), attribute('value', 1, true)]),
        node('Upsample', ['p'], ['u'], [attribute('scales', [1, 1, 2, 2], true)]),
        node('Split', ['u'], ['a', 'b'], [attribute('split', [1, 2]), attribute('axis', 1)]),
        node('Clip', ['b'], ['cl'], [attribute('min', -1, true), attribute('max', 1, true)]),
        node('Dropout', ['cl'], ['d', 'mask']),
        node('LogSoftmax', ['d'], ['y']),
      ],
    }),
    modelBytes(17, {
      shape: [4],
      node: [
        node('Constant', [], ['c'], [attribute('value', { dims: [], dataType: 9, int32Data: [1] })]),
        node('If', ['c'], ['i'], [branch('then_branch', 'Relu'), branch('else_branch', 'Neg')]),
        node('TopK', ['i', 'k'], ['top', 'index']),
        node('Einsum', ['top', 'top'], ['y'], [attribute('equation', 'i,j->ij')]),
      ],
      initializer: [int64s('k', [2])],
    }),
    modelBytes(21, {
      shape: ['N', 4],
      node: [
        node('Gelu', ['x'], ['g']),
        node('Expand', ['g', 'shape'], ['e']),
        node('ConstantOfShape', ['shape'], ['ones'], [attribute('value', floats('', [1], [1]))]),
        node(
          'Mystery',
          ['e', 'ones'],
          ['q'],
          [attribute('texts', ['a', 'b']), attribute('t', floats('', [1], [1]))],
        ),
        node('Where', ['mask', 'e', 'ones'], ['y']),
      ],
      initializer: [
        int64s('shape', [3, 1, 4]),
        { name: 'mask', dims: [4], dataType: 9, int32Data: [1, 0, 1, 0] },
      ],
      valueInfo: [
        { name: 'q', type: { tensorType: { elemType: 1, shape: { dim: [{ dimParam: 'N' }, {}] } } } },
      ],
    }),
  ];
}

/** The model with a few changes at random, in its bytes or in its fields. */
export function mutate(model: Uint8Array, others: readonly Uint8Array[], draw: Random): Uint8Array {
  const kind = draw.integer(5);
  if (kind === 0) return model.subarray(0, draw.integer(model.length));
  if (kind === 1) {
    const other = others[draw.integer(others.length)] as Uint8Array;
    const cut = draw.integer(model.length);
    return Uint8Array.from([...model.subarray(0, cut), ...other.subarray(draw.integer(other.length))]);
  }
  if (kind === 2) {
    const damaged = Uint8Array.from(model);
    for (let i = 0; i <= draw.integer(8); i++) {
      const place = draw.integer(damaged.length);
      damaged[place] = (damaged[place] as number) ^ (1 << draw.integer(8));
    }
    return damaged;
  }
  const message = ModelProto.toObject(ModelProto.decode(model), {
    longs: Number,
    arrays: true,
    objects: true,
  });
  for (let i = 0; i <= draw.integer(3); i++) mutateField(message, draw);
  try {
    return ModelProto.encode(ModelProto.fromObject(message)).finish();
  } catch {
    return model; // a value that the format cannot hold
  }
}

/** What became of a file. */
export interface Outcome {
  readonly kind: 'read' | 'refused' | 'crashed';
  readonly message: string;
  readonly milliseconds: number;
}

/** Reads and prints; any error but one line of ours is a crash. */
export function attempt(bytes: Uint8Array): Outcome {
  const start = performance.now();
  const outcome = (kind: Outcome['kind'], message: string) => ({
    kind,
    message,
    milliseconds: performance.now() - start,
  });
  try {
    print(readModel(bytes).graph);
    return outcome('read', '');
  } catch (error) {
    const { name, message } = error as Error;
    const isOurs = ['GraphError', 'ShapeError'].includes(name) && !/\n|internal/.test(message);
    return outcome(isOurs ? 'refused' : 'crashed', `${name}: ${message}`);
  }
}

// --- internal ---

const NUMBERS = [-1, 0, 1, 2, 3, 7, 64, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 62), 2 ** 62];
const TEXTS = [
  '',
  'x',
  'y',
  'w',
  'Relu',
  'Conv',
  'Loop',
  'Constant',
  'ai.onnx',
  'com.microsoft',
  '__proto__',
  '\n',
  'é',
];

type Message = Record<string, unknown>;

/** Walks to a random field and changes it. */
function mutateField(root: Message, draw: Random): void {
  let container: Message | unknown[] = root;
  for (let depth = 0; depth < 12; depth++) {
    const keys: string[] = Object.keys(container);
    if (keys.length === 0) return;
    const key = keys[draw.integer(keys.length)] as string;
    const holder = container as Message;
    const value = holder[key];
    if (Array.isArray(container) && draw.integer(6) === 0) {
      const index = Number(key);
      if (draw.integer(2) === 0) container.splice(index, 1);
      else container.splice(draw.integer(container.length), 0, structuredClone(value));
      return;
    }
    if (typeof value === 'number') {
      holder[key] =
        draw.integer(2) === 0 ? NUMBERS[draw.integer(NUMBERS.length)] : value + draw.integer(5) - 2;
      return;
    }
    if (typeof value === 'string') {
      holder[key] = TEXTS[draw.integer(TEXTS.length)];
      return;
    }
    if (value instanceof Uint8Array) {
      holder[key] = value.subarray(0, draw.integer(value.length + 1));
      return;
    }
    if (typeof value !== 'object' || value === null) return;
    if (draw.integer(20) === 0) {
      delete holder[key];
      return;
    }
    container = value as Message;
  }
}
