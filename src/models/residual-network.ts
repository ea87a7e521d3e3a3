/**
 * A small residual network (He et al. 2016, arXiv 1603.05027 for the order of its parts) that trains from scratch on
 * pictures of 48 to 96 pixels. It works at low resolution with many channels: on a CPU thick layers are cheaper than
 * large maps.
 */
import { add, averagePool, relu, type Value } from '../graph/index.js';
import { convolutionLayer, type NetworkContext, type Normalization, normalizationLayer } from './layers.js';

export interface ResidualNetworkOptions {
  /** Channels of the stem and then of each stage. */
  readonly widths: readonly number[];
  /** Residual blocks in each stage. */
  readonly blocks: readonly number[];
  readonly normalization: Normalization;
}

/**
 * The feature map of pictures.
 * @param x normalised pictures [N, 3, H, W]; H and W divisible by `2^widths.length`
 * @returns [N, last width, H / 2^widths.length, W / 2^widths.length], not negative
 */
export function residualNetwork(
  context: NetworkContext,
  x: Value,
  { widths, blocks, normalization }: ResidualNetworkOptions,
): Value {
  const [stemWidth, ...stageWidths] = widths as [number, ...number[]];
  let features = convolutionLayer(context, 'stem.convolution', x, stemWidth, { stride: 2 });
  features = relu(normalizationLayer(context, 'stem.normalization', features, normalization));
  stageWidths.forEach((width, stage) => {
    for (let block = 0; block < (blocks[stage] ?? 1); block++) {
      const stride = block === 0 ? 2 : 1;
      features = residualBlock(
        context,
        `stage${stage + 1}.block${block + 1}`,
        features,
        width,
        stride,
        normalization,
      );
    }
  });
  return features;
}

// --- internal ---

/** Two 3×3 convolutions beside a shortcut; where the size changes the shortcut averages and widens by 1×1. */
function residualBlock(
  context: NetworkContext,
  name: string,
  x: Value,
  width: number,
  stride: number,
  normalization: Normalization,
): Value {
  let branch = convolutionLayer(context, `${name}.convolution1`, x, width, { stride });
  branch = relu(normalizationLayer(context, `${name}.normalization1`, branch, normalization));
  branch = convolutionLayer(context, `${name}.convolution2`, branch, width);
  branch = normalizationLayer(context, `${name}.normalization2`, branch, normalization);
  let shortcut = x;
  if (stride !== 1) shortcut = averagePool(shortcut, stride);
  if (x.shape[1] !== width) {
    shortcut = convolutionLayer(context, `${name}.shortcut`, shortcut, width, { kernel: 1 });
    shortcut = normalizationLayer(context, `${name}.shortcutNormalization`, shortcut, normalization);
  }
  return relu(add(branch, shortcut));
}
