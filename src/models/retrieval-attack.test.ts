/**
 * Attacks on a small network: the gradient by pictures against finite differences, and what no attack may do.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { writeSmallNetworkBundle } from '../../test/support/small-network-bundle.js';
import { buildGraph, type Graph, input } from '../graph/index.js';
import { floatTensor, readModelFile, Session, writeModel } from '../onnx/index.js';
import { GraphError, Random } from '../util/index.js';
import { type AttackOptions, attackStepGraph, openRetrievalAttack, type RetrievalAttack } from './index.js';

const NORMALIZATION = {
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
} as const;
const [SIZE, PLANE, D] = [32, 32 * 32, 24];
const FGSM = (epsilon: number): AttackOptions => ({ epsilon, steps: 1, stepSize: epsilon });
const PGD = (epsilon: number, steps = 8): AttackOptions => ({
  epsilon,
  steps,
  stepSize: (2.5 * epsilon) / steps,
  random: Random.from(9),
});

let root = '';
let model: Graph;
const attacks: RetrievalAttack[] = [];
const open = async (batchSize: number) => {
  const attack = await openRetrievalAttack(model, {
    normalization: NORMALIZATION,
    batchSize,
    threads: 1,
  });
  attacks.push(attack);
  return attack;
};
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-attack-'));
  model = (await readModelFile(join(await writeSmallNetworkBundle(root), 'onnx/model.onnx'))).graph;
});
afterAll(async () => {
  for (const attack of attacks) await attack.close();
  await rm(root, { recursive: true, force: true });
});

/** Normalised pictures with black and white pixels among them, and targets. */
function drawn(count: number, seed: number) {
  const random = Random.from(seed);
  const pixels = Float32Array.from({ length: count * 3 * PLANE }, (_, i) => {
    const channel = Math.floor(i / PLANE) % 3;
    const byte = random.pick([0, 255, random.integer(256), random.integer(256)]);
    return (byte / 255 - NORMALIZATION.mean[channel]!) / NORMALIZATION.std[channel]!;
  });
  const targets = Float32Array.from({ length: count * D }, () => random.normal());
  return { pixels, targets };
}

/** Of [0, 1], in float64 from normalised pictures. */
const colours = (pixels: Float32Array) =>
  Array.from(pixels, (value, i) => {
    const channel = Math.floor(i / PLANE) % 3;
    return value * NORMALIZATION.std[channel]! + NORMALIZATION.mean[channel]!;
  });

describe('attackStepGraph', () => {
  it('gives the gradient of each objective by its picture, as central differences have it', async () => {
    const { step, judgement } = attackStepGraph(model, { batchSize: 2, normalization: NORMALIZATION });
    const sessions = await Promise.all([step, judgement].map((graph) => Session.create(writeModel(graph))));
    const [stepSession, judgementSession] = sessions as [Session, Session];
    const { pixels, targets } = drawn(2, 1);
    const shape = [2, 3, SIZE, SIZE];
    const target = floatTensor(targets, [2, D]);
    const results = await stepSession.run({
      pixels: floatTensor(pixels, shape),
      clean: floatTensor(pixels, shape),
      targets: target,
      step_size: floatTensor(Float32Array.of(0), []),
      epsilon: floatTensor(Float32Array.of(0), []),
    });
    const random = Random.from(3);
    const gradient = results.gradient!.data as Float32Array;
    for (let i = 0; i < 5; i++) {
      // Along the signs of a random half of the gradient the slope is the sum of its absolutes there.
      const direction = Float32Array.from(gradient, (slope) => random.integer(2) * Math.sign(slope));
      const objectivesAt = async (by: number) => {
        const moved = pixels.map((value, at) => value + by * direction[at]!);
        return (await judgementSession.run({ pixels: floatTensor(moved, shape), targets: target }))
          .objectives!.data as Float32Array;
      };
      const width = 2e-3;
      const [up, down] = [await objectivesAt(width), await objectivesAt(-width)];
      for (let n = 0; n < 2; n++) {
        let wanted = 0;
        for (let at = n * 3 * PLANE; at < (n + 1) * 3 * PLANE; at++) wanted += gradient[at]! * direction[at]!;
        expect(wanted).toBeGreaterThan(1);
        expect((up[n]! - down[n]!) / (2 * width) / wanted).toBeCloseTo(1, 2);
      }
    }
    for (const session of sessions) await session.close();
  });

  it('asks for a model of a bundle', () => {
    const x = input('x', 'float32', ['N', 3, 8, 8]);
    const build = () =>
      attackStepGraph(buildGraph([x], { y: x }), { batchSize: 1, normalization: NORMALIZATION });
    expect(build).toThrow(GraphError);
    expect(build).toThrow(
      /a model from pixel_values \[N, 3, S, S\] to image_embeds \[N, D\] is required, got inputs x \[N, 3, 8, 8\]/,
    );
  });
});

describe('attacks', () => {
  const EPSILON = 4 / 255;

  it.each([
    ['fgsm', FGSM(0)],
    ['pgd', PGD(0)],
  ])('%s of ε = 0 changes nothing, to the bit', async (_, options) => {
    const { pixels, targets } = drawn(3, 4);
    const attacked = await (await open(3)).attack(pixels, targets, options);
    expect(attacked.pixels).toEqual(pixels);
  });

  it.each([
    ['fgsm', FGSM(EPSILON)],
    ['pgd', PGD(EPSILON)],
    ['pgd, steps larger than ε', { ...PGD(EPSILON), stepSize: 0.2 }],
  ])('%s stays within ε and among colours that exist, and lowers every objective', async (_, options) => {
    const { pixels, targets } = drawn(4, 5);
    const attack = await open(4);
    const before = await attack.attack(pixels, targets, FGSM(0));
    const after = await attack.attack(pixels, targets, options);
    const [clean, moved] = [colours(pixels), colours(after.pixels)];
    let largest = 0;
    moved.forEach((colour, i) => {
      expect(colour).toBeGreaterThan(-1e-6);
      expect(colour).toBeLessThan(1 + 1e-6);
      largest = Math.max(largest, Math.abs(colour - clean[i]!));
    });
    expect(largest).toBeLessThan(EPSILON + 1e-6);
    expect(largest).toBeGreaterThan(EPSILON - 1e-6);
    // What is reported of the pictures is what the model makes of them.
    after.objectives.forEach((objective, n) => {
      expect(objective).toBeLessThan(before.objectives[n]! - 0.01);
      let sum = 0;
      for (let d = 0; d < D; d++) sum += after.embeddings[n * D + d]! * targets[n * D + d]!;
      expect(objective).toBeCloseTo(sum, 4);
    });
  });

  it('of several steps lower the objective further than one', async () => {
    const { pixels, targets } = drawn(4, 6);
    const attack = await open(4);
    const [one, many] = [
      await attack.attack(pixels, targets, FGSM(16 / 255)),
      await attack.attack(pixels, targets, PGD(16 / 255, 20)),
    ];
    const mean = (values: Float32Array) => values.reduce((sum, x) => sum + x, 0) / values.length;
    expect(mean(many.objectives)).toBeLessThan(mean(one.objectives) - 0.01);
  });

  it('do not depend on the pictures beside one, or on how a block is filled up', async () => {
    const { pixels, targets } = drawn(3, 7);
    const together = await (await open(8)).attack(pixels, targets, FGSM(EPSILON));
    const single = await open(1);
    for (let n = 0; n < 3; n++) {
      const alone = await single.attack(
        pixels.slice(n * 3 * PLANE, (n + 1) * 3 * PLANE),
        targets.slice(n * D, (n + 1) * D),
        FGSM(EPSILON),
      );
      expectNear(alone.embeddings, Array.from(together.embeddings.subarray(n * D, (n + 1) * D)), 1e-4);
    }
  });

  it('of more pictures than fit are refused', async () => {
    const { pixels, targets } = drawn(3, 8);
    await expect((await open(2)).attack(pixels, targets, FGSM(0.1))).rejects.toThrow(
      /pixels must have shape \[n, 3, 32, 32\] and targets \[n, 24\] with n from 1 to 2, got 9216 and 72 numbers/,
    );
  });
});
