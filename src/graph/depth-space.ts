/**
 * Blocks of pixels to channels and back, as super-resolution and some embeddings of patches write them.
 */
import { ShapeError } from '../util/index.js';
import { divideDimensions, multiplyDimensions } from './dimensions.js';
import {
  type Attributes,
  apply,
  type Dimension,
  formatShape,
  type Operator,
  staticShape,
  type Value,
} from './ir.js';
import { reshapeExactly, transpose } from './movement.js';
import { required } from './shapes.js';

/** `[N, C, H·b, W·b] → [N, b·b·C, H, W]`; the block's rows and columns come before the channels. */
export const spaceToDepth = (x: Value, blockSize: number): Value =>
  apply(SpaceToDepth, [x], { blocksize: blockSize });
/** The inverse; with mode `'CRD'` the channels come before the block's rows and columns (torch's pixel shuffle). */
export const depthToSpace = (x: Value, blockSize: number, mode: 'DCR' | 'CRD' = 'DCR'): Value =>
  apply(DepthToSpace, [x], { blocksize: blockSize, mode });

// --- operators ---

function blockOf(name: string, x: Value, { blocksize }: Attributes): number {
  const block = Number(blocksize);
  if (x.rank !== 4 || !Number.isInteger(block) || block < 1) {
    throw new ShapeError(
      `${name}: there must be four axes and a block size, got ${formatShape(x.shape)} and ${blocksize}.`,
    );
  }
  return block;
}

function divided(name: string, x: Value, axis: number, by: number): Dimension {
  const quotient = divideDimensions(x.shape[axis] as Dimension, by);
  if (quotient === undefined) {
    throw new ShapeError(`${name}: axis ${axis} must be divisible by ${by}, got ${formatShape(x.shape)}.`);
  }
  return quotient;
}

const DepthToSpace: Operator = {
  name: 'DepthToSpace',
  infer([input], attributes) {
    const x = required(input, 'DepthToSpace', 0);
    const block = blockOf('DepthToSpace', x, attributes);
    const channels = divided('DepthToSpace', x, 1, block * block);
    const [n, , h, w] = x.shape as readonly [Dimension, Dimension, Dimension, Dimension];
    const shape = [n, channels, multiplyDimensions(h, block), multiplyDimensions(w, block)];
    return [{ dataType: x.dataType, shape }];
  },
  vjp({ inputs, attributes, outputGradients }) {
    const x = inputs[0] as Value;
    const g = outputGradients[0] as Value;
    const block = Number(attributes.blocksize);
    if (attributes.mode !== 'CRD') return [spaceToDepth(g, block)];
    const shape = staticShape(x, 'DepthToSpace');
    const [n, c, h, w] = shape as readonly [number, number, number, number];
    const blocks = reshapeExactly(g, [n, c / (block * block), h, block, w, block]);
    return [reshapeExactly(transpose(blocks, [0, 1, 3, 5, 2, 4]), shape)];
  },
};

const SpaceToDepth: Operator = {
  name: 'SpaceToDepth',
  infer([input], attributes) {
    const x = required(input, 'SpaceToDepth', 0);
    const block = blockOf('SpaceToDepth', x, attributes);
    const [n, c] = x.shape as readonly [Dimension, Dimension];
    const sizes = [2, 3].map((axis) => divided('SpaceToDepth', x, axis, block));
    return [{ dataType: x.dataType, shape: [n, multiplyDimensions(c, block * block), ...sizes] }];
  },
  vjp: ({ attributes, outputGradients }) => [
    depthToSpace(outputGradients[0] as Value, Number(attributes.blocksize)),
  ],
};

export const depthSpaceOperators = { DepthToSpace, SpaceToDepth } satisfies Record<string, Operator>;
