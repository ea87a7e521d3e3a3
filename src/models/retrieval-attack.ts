/**
 * Attacks on a model's queries: pictures changed within ε so that their embeddings turn away from where they should lead.
 * The objective of picture x with target t is `⟨e(x), t⟩`, and the attack lowers it, e.g. t = positive − negative.
 *
 * Letters: B pictures in a block, D embedding size, S side of a picture.
 */
import {
  buildGraph,
  formatShape,
  type Graph,
  gradients,
  input,
  mergeDuplicates,
  multiply,
  negate,
  reduceSum,
  substitute,
  type Value,
} from '../graph/index.js';
import { floatTensor, Session, type SessionOptions, writeModel } from '../onnx/index.js';
import { GraphError, type Random } from '../util/index.js';
import { foldBatchNormalization } from './batch-normalization-folding.js';
import type { PixelNormalization } from './multitask-network.js';
import { signStep } from './sign-step.js';

export interface AttackOptions {
  /** ε: how far a pixel may move, in units of the range [0, 1] of pixels. */
  readonly epsilon: number;
  /** Gradients taken; 1 is the fast gradient sign method. */
  readonly steps: number;
  /** How far a step moves each pixel, in the same units. */
  readonly stepSize: number;
  /** Draws where each picture starts, evenly within ε of it. Default: at the picture itself. */
  readonly random?: Random;
}

export interface AttackedPictures {
  /** Normalised, [n, 3, S, S] */
  readonly pixels: Float32Array;
  /** What the model makes of them [n, D]. */
  readonly embeddings: Float32Array;
  /** `⟨e, t⟩` of each [n] */
  readonly objectives: Float32Array;
}

export interface RetrievalAttack {
  /**
   * Attacks up to B pictures.
   * @param pixels normalised pictures [n, 3, S, S]
   * @param targets [n, D]
   */
  attack(pixels: Float32Array, targets: Float32Array, options: AttackOptions): Promise<AttackedPictures>;
  close(): Promise<void>;
}

/**
 * The graph of one step of the attack. Inputs: `pixels` and `clean` [B, 3, S, S], `targets` [B, D], `step_size` and
 * `epsilon`. Outputs: `next` [B, 3, S, S], of the pictures as they came in `objectives` [B] and `gradient` of their sum.
 * @param model a bundle's: `pixel_values` [N, 3, S, S] to `image_embeds` [N, D]
 * @throws GraphError when it has no such input and output, or an operator between them has no gradient.
 */
export function attackStepGraph(
  model: Graph,
  { batchSize, normalization }: { batchSize: number; normalization: PixelNormalization },
): { readonly step: Graph; readonly judgement: Graph } {
  const entry = model.inputs.find(({ name }) => name === 'pixel_values')?.value;
  const exit = model.outputs.find(({ name }) => name === 'image_embeds')?.value;
  if (entry?.rank !== 4 || exit?.rank !== 2) {
    throw new GraphError(
      `attack: a model from pixel_values [N, 3, S, S] to image_embeds [N, D] is required, got inputs ${named(model.inputs)} and outputs ${named(model.outputs)}.`,
    );
  }
  const shape = [batchSize, ...entry.shape.slice(1).map(Number)];
  const pixels = input('pixels', 'float32', shape);
  const clean = input('clean', 'float32', shape);
  const stepSize = input('step_size', 'float32', []);
  const epsilon = input('epsilon', 'float32', []);
  const [embeddings] = foldBatchNormalization(substitute([exit], new Map([[entry, pixels]]))) as [Value];
  const targets = input('targets', 'float32', [batchSize, Number(embeddings.shape[1])]);
  const objectives = reduceSum(multiply(embeddings, targets), [1]);
  const gradient = gradients(reduceSum(objectives, 'all'), [pixels])[0] as Value;
  const next = signStep({
    from: pixels,
    clean,
    gradient,
    stepSize: negate(stepSize),
    epsilon,
    normalization,
  });
  return {
    step: mergeDuplicates(
      buildGraph([pixels, clean, targets, stepSize, epsilon], { next, objectives, gradient }),
    ),
    judgement: buildGraph([pixels, targets], { embeddings, objectives }),
  };
}

/**
 * Loads a model for attacks on it.
 * @param model as for `attackStepGraph`
 * @param options.batchSize B; blocks of fewer pictures are filled up. Default 32.
 */
export async function openRetrievalAttack(
  model: Graph,
  {
    normalization,
    batchSize = 32,
    ...options
  }: SessionOptions & { normalization: PixelNormalization; batchSize?: number },
): Promise<RetrievalAttack> {
  const { step, judgement } = attackStepGraph(model, { batchSize, normalization });
  const stepSession = await Session.create(writeModel(step), options);
  const judgementSession = await Session.create(writeModel(judgement), options);
  const shapes = Object.fromEntries(
    step.inputs.map(({ name, value }) => [name, value.shape as readonly number[]]),
  );
  const perPicture = (shapes.pixels as readonly number[])
    .slice(1)
    .reduce((product, size) => product * size, 1);
  const dimension = shapes.targets?.[1] as number;
  return {
    async attack(pixels, targets, { epsilon, steps, stepSize, random }) {
      const count = pixels.length / perPicture;
      if (
        !(Number.isInteger(count) && count >= 1 && count <= batchSize && targets.length === count * dimension)
      ) {
        throw new GraphError(
          `attack: pixels must have shape [n, ${shapes.pixels?.slice(1).join(', ')}] and targets [n, ${dimension}] with n from 1 to ${batchSize}, got ${pixels.length} and ${targets.length} numbers.`,
        );
      }
      const filled = (data: Float32Array, size: number) => {
        const all = new Float32Array(batchSize * size);
        all.set(data);
        return floatTensor(all, [batchSize, ...(size === perPicture ? shapes.pixels!.slice(1) : [size])]);
      };
      const clean = filled(pixels, perPicture);
      const start =
        random === undefined ? pixels : randomStart(pixels, epsilon, perPicture / 3, normalization, random);
      const feeds = {
        clean,
        targets: filled(targets, dimension),
        step_size: floatTensor(Float32Array.of(stepSize), []),
        epsilon: floatTensor(Float32Array.of(epsilon), []),
      };
      let now = filled(start, perPicture);
      for (let i = 0; i < steps; i++) {
        const { next } = await stepSession.run({ ...feeds, pixels: now }, ['next']);
        now = floatTensor(next!.data as Float32Array, clean.shape);
      }
      const results = await judgementSession.run({ pixels: now, targets: feeds.targets });
      return {
        pixels: (now.data as Float32Array).slice(0, count * perPicture),
        embeddings: (results.embeddings!.data as Float32Array).slice(0, count * dimension),
        objectives: (results.objectives!.data as Float32Array).slice(0, count),
      };
    },
    async close() {
      await stepSession.close();
      await judgementSession.close();
    },
  };
}

// --- internal ---

const named = (entries: Graph['inputs']) =>
  entries.map(({ name, value }) => `${name} ${formatShape(value.shape)}`).join(', ');

/** Pixels moved evenly within ε, of colours that exist; the first step's projection sees to the rest. */
function randomStart(
  pixels: Float32Array,
  epsilon: number,
  plane: number,
  { mean, std }: PixelNormalization,
  random: Random,
): Float32Array {
  return pixels.map((value, i) => {
    const channel = Math.floor(i / plane) % 3;
    const [black, white] = [-mean[channel]! / std[channel]!, (1 - mean[channel]!) / std[channel]!];
    const moved = value + (epsilon * random.between(-1, 1)) / std[channel]!;
    return Math.min(white, Math.max(black, moved));
  });
}
