/**
 * What opset 18 says in another way than the file's opset (7 to 21): a table of operators, each with rules for the
 * opsets it was different in. A rule changes a node's operator, inputs and attributes in place, or makes its outputs.
 * Source: the change log of ONNX's operators (docs/Changelog.md of onnx/onnx).
 */
import {
  type AttributeValue,
  add,
  apply,
  cast,
  constant,
  constantIntegers,
  type DataType,
  divide,
  errorFunction,
  exponential,
  formatShape,
  int64,
  knownContent,
  multiply,
  ONNX_DATA_TYPES,
  operators,
  reduceMax,
  reduceSum,
  reshape,
  scale,
  shift,
  softmax,
  subtract,
  tanh,
  type Value,
} from '../graph/index.js';
import { GraphError } from '../util/index.js';

export const OLDEST_OPSET = 7;
export const LATEST_OPSET = 21;

/** A node of the file, to be translated. */
export interface FileNode {
  opType: string;
  /** How errors name it. */
  readonly where: string;
  readonly opset: number;
  readonly inputs: (Value | undefined)[];
  readonly attributes: Record<string, AttributeValue>;
  readonly outputCount: number;
}

type Outputs = readonly (Value | undefined)[];

/**
 * Translates a node of the standard domain to the semantics of opset 18, in place.
 * @returns the outputs where the translation makes them itself; otherwise the node is to be applied as it stands.
 */
export function toOpset18(node: FileNode): Outputs | undefined {
  const { opType } = node;
  if (!Object.hasOwn(RULES, opType)) return undefined;
  for (const { from = 0, before = Number.POSITIVE_INFINITY, convert } of RULES[opType] as readonly Rule[]) {
    if (node.opset < from || node.opset >= before) continue;
    const outputs = convert(node);
    if (outputs !== undefined) return outputs;
  }
  return undefined;
}

/** Whether a rule of the table may make or rename the operator, so that it needs none of its own in the IR. */
export function isConverted(opType: string): boolean {
  return Object.hasOwn(RULES, opType);
}

// --- internal ---

interface Rule {
  /** The first opset in which the rule holds. */
  readonly from?: number;
  /** The first opset in which it no longer does. */
  readonly before?: number;
  readonly convert: (node: FileNode) => Outputs | undefined;
}

const inPlace =
  (change: (node: FileNode) => void): Rule['convert'] =>
  (node) => {
    change(node);
    return undefined;
  };

function requiredInput({ where, inputs }: FileNode, index = 0): Value {
  const value = inputs[index];
  if (value === undefined) throw new GraphError(`readModel: ${where} must have input ${index}, got none.`);
  return value;
}

function integers({ attributes, where }: FileNode, name: string): readonly number[] | undefined {
  const list = attributes[name];
  if (list === undefined) return undefined;
  if (Array.isArray(list)) return list as readonly number[];
  throw new GraphError(`readModel: ${where}: ${name} must be a list of numbers, got ${String(list)}.`);
}

/** Attributes with lists of integers that became inputs: attribute name → input number. */
const listsToInputs = (places: Readonly<Record<string, number>>) =>
  inPlace((node) => {
    for (const [name, index] of Object.entries(places)) {
      const list = integers(node, name);
      if (list === undefined) continue;
      delete node.attributes[name];
      node.inputs[index] = int64(list.map(withinInt64));
    }
    fillGaps(node);
  });

/** The same with numbers of the first input's type. */
const numbersToInputs = (places: Readonly<Record<string, number>>) =>
  inPlace((node) => {
    const { dataType } = requiredInput(node);
    for (const [name, index] of Object.entries(places)) {
      const number = node.attributes[name];
      if (number === undefined) continue;
      delete node.attributes[name];
      node.inputs[index] = scalar(Number(number), dataType);
    }
    fillGaps(node);
  });

function fillGaps({ inputs }: FileNode): void {
  for (let i = 0; i < inputs.length; i++) inputs[i] ??= undefined;
}

/** "To the end" is often ±2⁶³ or more. */
function withinInt64(number: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, number));
}

function scalar(number: number, dataType: DataType): Value {
  // float16 constants are bit patterns
  return dataType === 'float16' ? cast(constant(number), 'float16') : constant([number], [], { dataType });
}

const axesToInput: readonly Rule[] = [{ before: 18, convert: listsToInputs({ axes: 1 }) }];
const REDUCTIONS = ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'];

/**
 * Before opset 13 the axes from `axis` on (default 1) were one: as is where all but that axis have size 1; otherwise by
 * a flat copy, or by reductions over these axes where their sizes are not all known.
 */
function flatSoftmax(node: FileNode): Outputs | undefined {
  const x = requiredInput(node);
  const given = Number(node.attributes.axis ?? 1);
  const axis = given < 0 ? given + x.rank : given;
  if (!Number.isInteger(axis) || axis < 0 || axis >= Math.max(x.rank, 1)) {
    throw new GraphError(
      `readModel: ${node.where}: the axis must be in [0, ${x.rank}) for ${formatShape(x.shape)}, got ${given}.`,
    );
  }
  node.attributes.axis = axis;
  const inner = x.shape.slice(axis);
  if (inner.slice(1).every((size) => size === 1)) return undefined;
  const operator = node.opType;
  if (inner.every((size) => typeof size === 'number') && operator !== 'Hardmax') {
    const kept = x.shape.slice(0, axis).map(() => 0);
    const size = (inner as number[]).reduce((product, dimension) => product * dimension, 1);
    const flat = reshape(x, [...kept, size]);
    const y = operator === 'Softmax' ? softmax(flat) : apply(operators.LogSoftmax, [flat], { axis: axis });
    return [reshape(y, [...kept, ...(inner as number[])])];
  }
  if (operator === 'Hardmax') {
    throw new GraphError(
      `readModel: ${node.where} must have one axis from axis ${axis} on in opset ${node.opset}, got ${formatShape(x.shape)}. Export with opset 13 or later.`,
    );
  }
  const axes = inner.map((_, i) => axis + i);
  const options = { keepDimensions: true };
  const shifted = subtract(x, reduceMax(x, axes, options));
  const powers = exponential(shifted);
  const sum = reduceSum(powers, axes, options);
  return operator === 'Softmax' ? [divide(powers, sum)] : [subtract(shifted, apply(operators.Log, [sum]))];
}

/** `Resize` before 11 and `Upsample`: pixel i lies at i / scale, and the nearest is the one before (after, if smaller). */
function asymmetricResize(node: FileNode): undefined {
  const { where, inputs, attributes } = node;
  const x = requiredInput(node);
  const scales =
    attributes.scales === undefined ? inputs[1] : constant(attributes.scales as readonly number[]);
  delete attributes.scales;
  if (scales === undefined) throw new GraphError(`readModel: ${where} must have scales, got none.`);
  const mode = attributes.mode ?? 'nearest';
  attributes.mode = mode === 'bilinear' ? 'linear' : mode;
  attributes.coordinate_transformation_mode = 'asymmetric';
  if (mode === 'nearest') {
    const numbers = (knownContent(scales) ?? []).map(Number);
    const isSmaller = numbers.some((factor) => factor < 1);
    if (numbers.length === 0 || (isSmaller && numbers.some((factor) => factor > 1))) {
      throw new GraphError(
        `readModel: ${where}: scales must be known, and enlarge or reduce all axes in opset ${node.opset}, got ${numbers.length === 0 ? 'a computed value' : `[${numbers.join(', ')}]`}. Export with opset 11 or later.`,
      );
    }
    attributes.nearest_mode = isSmaller ? 'ceil' : 'floor';
  }
  inputs.splice(0, inputs.length, x, undefined, scales);
  node.opType = 'Resize';
}

/** In opset 11 and 12 all inputs are there: empty means absent. */
const emptyToAbsent = inPlace(({ inputs }) => {
  for (const index of [1, 2, 3]) {
    const value = inputs[index];
    if (value?.shape.length === 1 && value.shape[0] === 0) inputs[index] = undefined;
  }
});

const inferenceOnly = inPlace((node) => {
  const { where, attributes } = node;
  if (attributes.spatial === 0) {
    throw new GraphError(
      `readModel: ${where} must have one mean a channel (spatial 1), got spatial 0. Export with opset 9 or later.`,
    );
  }
  delete attributes.spatial;
});

/** In inference a `Dropout` passes its input on; its mask is not made. */
function dropout(node: FileNode): Outputs {
  const isTraining = node.inputs[2];
  const [known] = constantIntegers(isTraining) ?? [];
  const ratio = node.inputs[1]?.origin;
  const isNothing = ratio?.kind === 'constant' && Number(ratio.data[0]) === 0;
  if (isTraining !== undefined && known !== 0 && !isNothing) {
    throw new GraphError(
      `readModel: ${node.where} must not be in training mode, got training_mode ${known === undefined ? 'computed' : 'true'}. Export the model for inference.`,
    );
  }
  return [requiredInput(node)];
}

/** Opset 18 pads the axes that are named; the IR all of them. */
const padAllAxes = inPlace(({ where, inputs }) => {
  const [x, pads, , axesInput] = inputs;
  if (axesInput === undefined || x === undefined) return;
  const axes = constantIntegers(axesInput);
  const counts = constantIntegers(pads);
  if (axes === undefined || counts === undefined || counts.length !== 2 * axes.length) {
    throw new GraphError(
      `readModel: ${where}: pads and axes must be constant, two pads an axis, got ${counts?.length ?? 'computed'} pads and ${axes?.length ?? 'computed'} axes.`,
    );
  }
  const all = new Array<number>(2 * x.rank).fill(0);
  axes.forEach((axis, i) => {
    const place = axis < 0 ? axis + x.rank : axis;
    if (place < 0 || place >= x.rank) {
      throw new GraphError(`readModel: ${where}: axes must be in [${-x.rank}, ${x.rank}), got ${axis}.`);
    }
    all[place] = counts[i] as number;
    all[place + x.rank] = counts[i + axes.length] as number;
  });
  inputs[1] = int64(all);
  inputs.length = inputs[2] === undefined ? 2 : 3;
});

/** `0.5 · x · (1 + erf(x / √2))`, or its form with tanh. */
function gelu(node: FileNode): Outputs {
  const x = requiredInput(node);
  const half = scale(x, 0.5);
  if ((node.attributes.approximate ?? 'none') === 'none') {
    return [multiply(half, shift(errorFunction(scale(x, Math.SQRT1_2)), 1))];
  }
  const cubic = add(x, scale(multiply(x, multiply(x, x)), 0.044715));
  return [multiply(half, shift(tanh(scale(cubic, Math.sqrt(2 / Math.PI))), 1))];
}

/** Since opset 12 the exponent may have a type of its own; the result has the base's. */
const exponentOfBaseType = inPlace(({ inputs }) => {
  const [base, exponent] = inputs;
  if (base !== undefined && exponent !== undefined) inputs[1] = converted(exponent, base.dataType);
});

/** Cast; of a small constant at once, so that it stays constant. */
function converted(value: Value, dataType: DataType): Value {
  const { origin, shape } = value;
  if (
    origin.kind !== 'constant' ||
    [value.dataType, dataType].includes('float16') ||
    origin.data.length > 64
  ) {
    return cast(value, dataType);
  }
  return value.dataType === dataType
    ? value
    : constant(Array.from(origin.data as ArrayLike<number | bigint>, Number), shape as number[], {
        dataType,
        ...(origin.name === undefined ? {} : { name: origin.name }),
      });
}

function castLike(node: FileNode): Outputs {
  return [cast(requiredInput(node), requiredInput(node, 1).dataType)];
}

/** Texts in files of converters that begin at opset 1 to 5. */
const castTarget = inPlace(({ attributes, where }) => {
  delete attributes.saturate; // of 8-bit floats only
  const { to } = attributes;
  if (typeof to !== 'string') return;
  const dataType = { FLOAT: 'float32', DOUBLE: 'float64', FLOAT16: 'float16' }[to] ?? to.toLowerCase();
  if (!Object.hasOwn(ONNX_DATA_TYPES, dataType)) {
    throw new GraphError(
      `readModel: ${where}: the data type must be one of ${Object.keys(ONNX_DATA_TYPES).join(', ')}, got '${to}'.`,
    );
  }
  attributes.to = ONNX_DATA_TYPES[dataType as DataType];
});

const renamed = (opType: string) =>
  inPlace((node) => {
    node.opType = opType;
  });

const RULES: Readonly<Record<string, readonly Rule[]>> = {
  ...Object.fromEntries(REDUCTIONS.map((name) => [`Reduce${name}`, axesToInput])),
  BatchNormalization: [{ before: 9, convert: inferenceOnly }],
  Cast: [{ convert: castTarget }],
  CastLike: [{ from: 15, convert: castLike }],
  Clip: [{ before: 11, convert: numbersToInputs({ min: 1, max: 2 }) }],
  Dropout: [{ convert: dropout }],
  Gelu: [{ from: 20, convert: gelu }],
  Hardmax: [{ before: 13, convert: flatSoftmax }],
  LogSoftmax: [{ before: 13, convert: flatSoftmax }],
  Pad: [
    { before: 11, convert: listsToInputs({ pads: 1 }) },
    { before: 11, convert: numbersToInputs({ value: 2 }) },
    { from: 18, convert: padAllAxes },
  ],
  Pow: [{ from: 12, convert: exponentOfBaseType }],
  Resize: [
    { before: 11, convert: asymmetricResize },
    { from: 11, convert: emptyToAbsent },
  ],
  Scatter: [{ before: 11, convert: renamed('ScatterElements') }],
  Slice: [{ before: 10, convert: listsToInputs({ starts: 1, ends: 2, axes: 3 }) }],
  Softmax: [{ before: 13, convert: flatSoftmax }],
  Split: [
    { before: 13, convert: listsToInputs({ split: 1 }) },
    {
      before: 18,
      convert: inPlace(({ inputs, attributes, outputCount }) => {
        if (inputs[1] === undefined) attributes.num_outputs = outputCount;
      }),
    },
  ],
  Squeeze: [{ before: 13, convert: listsToInputs({ axes: 1 }) }],
  TopK: [
    {
      before: 10,
      convert: inPlace((node) => {
        const k = Number(node.attributes.k);
        if (!Number.isInteger(k)) throw new GraphError(`readModel: ${node.where} must have k, got ${k}.`);
        node.inputs[1] = int64([k]);
        delete node.attributes.k;
      }),
    },
  ],
  Unsqueeze: [{ before: 13, convert: listsToInputs({ axes: 1 }) }],
  Upsample: [{ before: 11, convert: asymmetricResize }],
};
