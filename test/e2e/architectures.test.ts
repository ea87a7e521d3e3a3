/**
 * torchvision's architectures at full width and depth, exported afresh: every element of every gradient that
 * `semblance gradients` writes against torch.autograd's. Needs Debian's python3-torch and python3-torchvision.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readJson, readNpy } from '../../src/util/index.js';

const PYTHON = '/usr/bin/python3';
const root = join(import.meta.dirname, '../..');
const script = join(root, 'test/golden/make-architectures.py');
const main = join(root, 'dist/cli/main.js');

/** Of the norm of what PyTorch gives. Pictures are drawn until none of PyTorch's activations is at a kink, if that can be. */
const OUTPUT_TOLERANCE = 1e-4;
const GRADIENT_TOLERANCE = 1e-3;

const hasTorch = spawnSync(PYTHON, ['-c', 'import torch, torchvision']).status === 0;

/** Name, picture size, and whether torch folds constants and normalisation when it exports. */
const ARCHITECTURES: readonly [string, number, 'kept' | 'folded'][] = [
  ['resnet18', 64, 'kept'],
  ['resnet18', 64, 'folded'],
  ['resnet50', 64, 'kept'],
  ['mobilenet_v2', 64, 'kept'],
  ['mobilenet_v3_small', 64, 'folded'],
  ['densenet121', 64, 'kept'],
  ['googlenet', 64, 'folded'],
  ['squeezenet1_1', 64, 'kept'],
  ['shufflenet_v2_x1_0', 64, 'kept'],
  ['efficientnet_b0', 64, 'kept'],
  ['regnet_y_400mf', 64, 'folded'],
  ['mnasnet1_0', 64, 'kept'],
  ['vgg11_bn', 224, 'kept'],
  ['convnext_tiny', 64, 'folded'],
  ['vit_b_16', 224, 'kept'],
  ['swin_t', 224, 'kept'],
];

/** PyTorch takes minutes for the largest in float64. */
const IS_CI = process.env.CI === 'true';
const CHECKED = IS_CI ? ARCHITECTURES.filter(([, size]) => size < 224) : ARCHITECTURES;

interface TorchFiles {
  readonly output: string;
  /** How far PyTorch's own gradients are off when it rounds otherwise: large where an activation lies at a kink. */
  readonly rounding: number;
  readonly byPixels: string;
  readonly parameters: Readonly<Record<string, string>>;
}
interface Index {
  readonly outputs: Readonly<Record<string, string>>;
  readonly gradients: {
    readonly parameters: Readonly<Record<string, string>>;
    readonly inputs: Readonly<Record<string, string>>;
  };
}

/** ‖ours − torch's‖ / ‖torch's‖ of two files. */
async function difference(ours: string, torch: string): Promise<number> {
  const [a, b] = [await readNpy(ours), await readNpy(torch)];
  expect(a.shape).toEqual(b.shape);
  let squares = 0;
  let differences = 0;
  for (let i = 0; i < b.data.length; i++) {
    const wanted = b.data[i] as number;
    const got = a.data[i] as number;
    squares += wanted * wanted;
    differences += (got - wanted) * (got - wanted);
  }
  return Math.sqrt(differences / squares);
}

describe('architectures exported afresh', () => {
  it.skipIf(hasTorch)(`skipped: ${PYTHON} has no torch and torchvision`, () => {
    expect(hasTorch).toBe(false);
  });

  it.skipIf(!IS_CI)('skipped in CI: the largest take minutes each; run npm run test:e2e', () => {
    expect(CHECKED.length).toBeLessThan(ARCHITECTURES.length);
  });

  it.runIf(hasTorch).each(CHECKED)('%s, %i px, %s', async (name, size, mode) => {
    const folder = mkdtempSync(join(tmpdir(), 'semblance-architecture-'));
    try {
      execFileSync(PYTHON, [script, '--fresh', name, mode, String(size), folder], { stdio: 'ignore' });
      const torch = (await readJson(join(folder, 'torch.json'))) as TorchFiles;
      const out = join(folder, 'ours');
      execFileSync(process.execPath, [
        ...[main, 'gradients', join(folder, 'model.onnx'), '--input', `pixels=${folder}/pixels.npy`],
        ...['--output-gradient', `logits=${folder}/output-gradient.npy`, '--out', out],
      ]);
      const index = (await readJson(join(out, 'index.json'))) as Index;
      const pairs: [string, string | undefined, string][] = [
        ['pixels', index.gradients.inputs.pixels, torch.byPixels],
        ...Object.entries(torch.parameters).map(
          ([key, file]) =>
            [key, index.gradients.parameters[key], file] as [string, string | undefined, string],
        ),
      ];
      const tolerance = Math.max(GRADIENT_TOLERANCE, 3 * torch.rounding);
      expect(tolerance).toBeLessThan(0.02);
      const wrong: string[] = [];
      for (const [key, ours, theirs] of pairs) {
        const error =
          ours === undefined ? Number.NaN : await difference(join(out, ours), join(folder, theirs));
        if (!(error < tolerance)) wrong.push(`${key}: off by ${error.toExponential(1)} of its norm`);
      }
      expect(wrong).toEqual([]);
      expect(
        await difference(join(out, index.outputs.logits as string), join(folder, torch.output)),
      ).toBeLessThan(OUTPUT_TOLERANCE);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
