/**
 * Every form of a convolution's gradients against seven nested loops, at every geometry of the gradient table that
 * the form is for; the table itself only sees the form that is chosen.
 */
import { describe, expect, it } from 'vitest';
import {
  axisWindows,
  buildGraph,
  convolutionInputGradient,
  convolutionWeightGradient,
  type GroupedWeightGradientForm,
  groupedWeightGradient,
  type InputGradientForm,
  input,
  isUnitStride,
  type Value,
  type WeightGradientForm,
  type WindowGeometry,
  windowGeometry,
} from '../../src/graph/index.js';
import { floatTensor, Session, type Tensor, writeModel } from '../../src/onnx/index.js';
import { Random } from '../../src/util/index.js';
import { convolutionGradients, convolutionShape, make } from './reference.js';
import { compare } from './row.js';
import { attributesOf, CONVOLUTIONS } from './rows-network.js';

const always = () => true;

/** Total, so that a new form cannot be forgotten: where each may be asked for. */
const WEIGHT_FORMS: Readonly<Record<WeightGradientForm, (geometry: WindowGeometry) => boolean>> = {
  columns: always,
  bands: isUnitStride,
  gather: always,
  batchGather: always,
};
const GROUPED_FORMS = Object.keys({
  columns: true,
  gather: true,
  convolution: true,
  lines: true,
} satisfies Record<GroupedWeightGradientForm, true>) as GroupedWeightGradientForm[];
const INPUT_FORMS: Readonly<
  Record<InputGradientForm, (geometry: WindowGeometry, kernel: readonly number[]) => boolean>
> = {
  transposed: always,
  flipped: ({ strides, pads, dilations }, kernel) =>
    strides.every((stride) => stride === 1) &&
    pads.every(
      (count, side) => count <= (dilations[side % 2] as number) * ((kernel[side % 2] as number) - 1),
    ),
};

describe.each(CONVOLUTIONS)('gradients of a convolution: %s', (name, inputShape, weightShape, windows) => {
  it('agree in every form', async () => {
    const random = Random.from(CONVOLUTIONS.findIndex(([other]) => other === name));
    const axes = axisWindows(attributesOf(windows), 'test', inputShape.slice(2), weightShape.slice(2));
    const geometry = windowGeometry(axes, windows.group ?? 1, 'test');
    const outputShape = convolutionShape(inputShape, weightShape, windows);
    const [x, weight, g] = [inputShape, weightShape, outputShape].map((shape) =>
      make(shape, () => Math.fround(random.between(-1, 1))),
    ) as [ReturnType<typeof make>, ReturnType<typeof make>, ReturnType<typeof make>];
    const expected = convolutionGradients(x, weight, g, windows);

    const values = {
      x: input('x', 'float32', inputShape),
      weight: input('weight', 'float32', weightShape),
      g: input('g', 'float32', outputShape),
    };
    const outputs: Record<string, Value> = {};
    for (const form of geometry.group > 1 ? GROUPED_FORMS : []) {
      outputs[`weight ${form}`] = groupedWeightGradient(values.g, values.x, weightShape, geometry, form);
    }
    for (const [form, isFor] of Object.entries(WEIGHT_FORMS)) {
      if (geometry.group > 1 || !isFor(geometry)) continue;
      outputs[`weight ${form}`] = convolutionWeightGradient(
        values.g,
        values.x,
        weightShape,
        geometry,
        form as WeightGradientForm,
      );
    }
    for (const [form, isFor] of Object.entries(INPUT_FORMS)) {
      if (!isFor(geometry, weightShape.slice(2))) continue;
      outputs[`input ${form}`] = convolutionInputGradient(
        values.g,
        values.weight,
        inputShape,
        geometry,
        form as InputGradientForm,
      );
    }

    const session = await Session.create(writeModel(buildGraph(Object.values(values), outputs)), {
      threads: 1,
    });
    const feeds: Record<string, Tensor> = {};
    for (const [key, array] of Object.entries({ x, weight, g })) {
      feeds[key] = floatTensor(Float32Array.from(array.data), array.shape);
    }
    const results = await session.run(feeds);
    await session.close();
    for (const [output, tensor] of Object.entries(results)) {
      const wanted = output.startsWith('weight') ? expected.weight : expected.input;
      expect(tensor.shape, output).toEqual(wanted.shape);
      compare(tensor, wanted, 1e-5, `${name}: ${output}`);
    }
    expect(Object.keys(results).length).toBeGreaterThanOrEqual(4);
  });
});
