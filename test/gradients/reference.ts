/**
 * Arrays in float64 and plain nested loops: what the operators must compute, written without graph/ or onnxruntime.
 * Booleans are 0 and 1. Slow and obvious on purpose.
 */

export interface NdArray {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** All indices of a shape, last axis fastest; one empty index for a scalar. */
export function* indices(shape: readonly number[]): Generator<number[]> {
  const count = shape.reduce((product, size) => product * size, 1);
  for (let flat = 0; flat < count; flat++) {
    const index: number[] = [];
    let rest = flat;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] as number;
      index[axis] = rest % size;
      rest = Math.floor(rest / size);
    }
    yield index;
  }
}

/** An array whose element at each index is what `element` gives. */
export function make(shape: readonly number[], element: (index: number[]) => number): NdArray {
  return { shape, data: Float64Array.from(indices(shape), element) };
}

/** An array from numbers. */
export function array(shape: readonly number[], values: readonly number[]): NdArray {
  return { shape, data: Float64Array.from(values) };
}

/** The element at an index. */
export function at({ shape, data }: NdArray, index: readonly number[]): number {
  const flat = shape.reduce((sum, size, axis) => sum * size + (index[axis] as number), 0);
  return data[flat] as number;
}

/** The element at an index of a larger shape, to which the array broadcasts. */
export function broadcastAt(array: NdArray, index: readonly number[]): number {
  const lead = index.length - array.shape.length;
  return at(
    array,
    array.shape.map((size, axis) => (size === 1 ? 0 : (index[lead + axis] as number))),
  );
}

/** NumPy's rule. */
export function broadcastShape(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[shape.length - rank + axis] ?? 1);
    return sizes.find((size) => size !== 1) ?? 1;
  });
}

/** A function of numbers, element by element, with broadcasting. */
export function elementwise(compute: (...elements: number[]) => number): (...arrays: NdArray[]) => NdArray {
  return (...arrays) =>
    make(broadcastShape(...arrays.map(({ shape }) => shape)), (index) =>
      compute(...arrays.map((array) => broadcastAt(array, index))),
    );
}

/** A function of the elements that differ only along the axes. */
export function reduce(
  x: NdArray,
  axes: readonly number[],
  keepDimensions: boolean,
  compute: (elements: number[]) => number,
): NdArray {
  const kept = make(
    x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
    (index) => {
      const elements: number[] = [];
      for (const inner of indices(axes.map((axis) => x.shape[axis] as number))) {
        const place = [...index];
        axes.forEach((axis, i) => {
          place[axis] = inner[i] as number;
        });
        elements.push(at(x, place));
      }
      return compute(elements);
    },
  );
  return keepDimensions
    ? kept
    : { shape: x.shape.filter((_, axis) => !axes.includes(axis)), data: kept.data };
}

export const sum = (elements: readonly number[]): number => elements.reduce((total, x) => total + x, 0);
export const mean = (elements: readonly number[]): number => sum(elements) / elements.length;
export const variance = (elements: readonly number[]): number =>
  mean(elements.map((x) => (x - mean(elements)) ** 2));

/** Softmax along an axis, after taking off the largest logit. */
export function softmax(x: NdArray, axis: number): NdArray {
  const largest = reduce(x, [axis], true, (elements) => Math.max(...elements));
  const powers = elementwise((a, b) => Math.exp(a - b))(x, largest);
  return elementwise((a, b) => a / b)(powers, reduce(powers, [axis], true, sum));
}

/** Logarithm of the softmax, computed without the softmax. */
export function logSoftmax(x: NdArray, axis: number): NdArray {
  const total = reduce(x, [axis], true, (elements) => {
    const largest = Math.max(...elements);
    return largest + Math.log(sum(elements.map((element) => Math.exp(element - largest))));
  });
  return elementwise((a, b) => a - b)(x, total);
}

/** The error function by its Taylor series; ±1 beyond 4.5, where it differs by less than 2e-10. */
export function erf(x: number): number {
  if (Math.abs(x) > 4.5) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; n < 120; n++) {
    term *= -(x * x) / n;
    total += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * total;
}

export function transpose(x: NdArray, order: readonly number[]): NdArray {
  return make(
    order.map((axis) => x.shape[axis] as number),
    (index) => {
      const place: number[] = [];
      order.forEach((axis, i) => {
        place[axis] = index[i] as number;
      });
      return at(x, place);
    },
  );
}

/** NumPy's `matmul`: 1-D operands are a row on the left, a column on the right. */
export function matmul(a: NdArray, b: NdArray): NdArray {
  const left = a.shape.length === 1 ? { ...a, shape: [1, ...a.shape] } : a;
  const right = b.shape.length === 1 ? { ...b, shape: [...b.shape, 1] } : b;
  const inner = left.shape[left.shape.length - 1] as number;
  const batch = broadcastShape(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const matrixAt = (x: NdArray, lead: readonly number[], row: number, column: number) => {
    const own = x.shape.slice(0, -2);
    const skip = lead.length - own.length;
    const place = own.map((size, axis) => (size === 1 ? 0 : (lead[skip + axis] as number)));
    return at(x, [...place, row, column]);
  };
  const rows = left.shape[left.shape.length - 2] as number;
  const columns = right.shape[right.shape.length - 1] as number;
  const full = make([...batch, rows, columns], (index) => {
    const lead = index.slice(0, -2);
    const [row, column] = index.slice(-2) as [number, number];
    let total = 0;
    for (let k = 0; k < inner; k++) total += matrixAt(left, lead, row, k) * matrixAt(right, lead, k, column);
    return total;
  });
  const shape = [
    ...batch,
    ...(a.shape.length === 1 ? [] : [rows]),
    ...(b.shape.length === 1 ? [] : [columns]),
  ];
  return { shape, data: full.data };
}

/** A number holds for both axes, or all four sides. */
export interface Windows {
  readonly stride?: number | readonly [number, number];
  /** Or top, left, bottom, right. */
  readonly padding?: number | readonly [number, number, number, number];
  readonly dilation?: number | readonly [number, number];
  readonly group?: number;
}

/** The same with everything named. */
export function resolveWindows({ stride = 1, padding = 0, dilation = 1, group = 1 }: Windows): {
  strides: readonly [number, number];
  pads: readonly [number, number, number, number];
  dilations: readonly [number, number];
  group: number;
} {
  return {
    strides: typeof stride === 'number' ? [stride, stride] : stride,
    pads: typeof padding === 'number' ? [padding, padding, padding, padding] : padding,
    dilations: typeof dilation === 'number' ? [dilation, dilation] : dilation,
    group,
  };
}

/** The output shape of a convolution. */
export function convolutionShape(
  inputShape: readonly number[],
  weightShape: readonly number[],
  windows: Windows,
): number[] {
  const { strides, pads, dilations } = resolveWindows(windows);
  const size = (axis: 0 | 1) => {
    const padded = (inputShape[axis + 2] as number) + pads[axis] + (pads[axis + 2] as number);
    const reach = dilations[axis] * ((weightShape[axis + 2] as number) - 1) + 1;
    return Math.floor((padded - reach) / strides[axis]) + 1;
  };
  return [inputShape[0] as number, weightShape[0] as number, size(0), size(1)];
}

/** Every (output element, input element, weight element) that meet in a convolution. */
export function* meetings(
  inputShape: readonly number[],
  weightShape: readonly number[],
  windows: Windows,
): Generator<{ output: number[]; input: number[]; weight: number[] }> {
  const { strides, pads, dilations, group } = resolveWindows(windows);
  const [, , height, width] = inputShape as [number, number, number, number];
  const [outChannels, channels, ...kernel] = weightShape as [number, number, number, number];
  for (const output of indices(convolutionShape(inputShape, weightShape, windows))) {
    const [n, o, p, q] = output as [number, number, number, number];
    for (const offset of indices([channels, ...kernel])) {
      const [c, a, b] = offset as [number, number, number];
      const row = p * strides[0] + a * dilations[0] - pads[0];
      const column = q * strides[1] + b * dilations[1] - pads[1];
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      const inputChannel = Math.floor(o / (outChannels / group)) * channels + c;
      yield { output, input: [n, inputChannel, row, column], weight: [o, c, a, b] };
    }
  }
}

const flatIndex = (shape: readonly number[], index: readonly number[]) =>
  shape.reduce((total, size, axis) => total * size + (index[axis] as number), 0);

/** Convolution by seven loops. */
export function convolution(
  x: NdArray,
  weight: NdArray,
  bias: NdArray | undefined,
  windows: Windows,
): NdArray {
  const y = make(convolutionShape(x.shape, weight.shape, windows), ([, channel]) =>
    bias === undefined ? 0 : (bias.data[channel as number] as number),
  );
  for (const meeting of meetings(x.shape, weight.shape, windows)) {
    const place = flatIndex(y.shape, meeting.output);
    y.data[place] = (y.data[place] as number) + at(x, meeting.input) * at(weight, meeting.weight);
  }
  return y;
}

/** The gradients of `Σ convolution(x, weight) · g` by input and weights, by the same loops. */
export function convolutionGradients(
  x: NdArray,
  weight: NdArray,
  g: NdArray,
  windows: Windows,
): { input: NdArray; weight: NdArray } {
  const input = make(x.shape, () => 0);
  const byWeight = make(weight.shape, () => 0);
  for (const meeting of meetings(x.shape, weight.shape, windows)) {
    const arriving = at(g, meeting.output);
    const inputPlace = flatIndex(x.shape, meeting.input);
    const weightPlace = flatIndex(weight.shape, meeting.weight);
    input.data[inputPlace] = (input.data[inputPlace] as number) + arriving * at(weight, meeting.weight);
    byWeight.data[weightPlace] = (byWeight.data[weightPlace] as number) + arriving * at(x, meeting.input);
  }
  return { input, weight: byWeight };
}
