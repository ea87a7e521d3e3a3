/**
 * The training step of torchvision's architectures against PyTorch's, interleaved step by step on the same cores: the
 * same weights, pictures and loss; forward, backward by all parameters, SGD with momentum. Normalisation is by its
 * running statistics on both sides, its scale and bias are trained; dropout is off.
 *
 * Run: `npx tsx bench/architectures.ts [--only resnet18,vit_b_16] [--size 224] [--batch 8] [--steps 5] [--mode kept]`
 * `--mode folded` folds normalisation into the convolutions on both sides. `--profile PREFIX` writes onnxruntime's.
 * PyTorch: `apt-get install python3-torch python3-torchvision libopenblas0-pthread`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { median } from 'simple-statistics';

/** Name → default batch. */
const ARCHITECTURES: Readonly<Record<string, number>> = {
  resnet18: 8,
  resnet50: 8,
  mobilenet_v2: 8,
  mobilenet_v3_small: 8,
  densenet121: 8,
  googlenet: 8,
  squeezenet1_1: 8,
  shufflenet_v2_x1_0: 8,
  efficientnet_b0: 8,
  regnet_y_400mf: 8,
  mnasnet1_0: 8,
  vgg11_bn: 4,
  convnext_tiny: 4,
  vit_b_16: 4,
  swin_t: 4,
};
const PYTHON = '/usr/bin/python3';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    size: { type: 'string', default: '224' },
    batch: { type: 'string' },
    steps: { type: 'string', default: '5' },
    'warm-up': { type: 'string', default: '3' },
    mode: { type: 'string', default: 'kept' },
    threads: { type: 'string', default: String(availableParallelism()) },
    profile: { type: 'string' },
  },
});
const names = flags.only?.split(',') ?? Object.keys(ARCHITECTURES);
const beside = (file: string) => new URL(file, import.meta.url).pathname;
const tsx = new URL('../node_modules/tsx/dist/loader.mjs', import.meta.url).href;

console.log(
  `Training step: forward, backward by all parameters, SGD with momentum; cross-entropy, ${flags.size} px, normalisation ` +
    `${flags.mode === 'folded' ? 'folded' : 'by running statistics'}; ${flags.threads} threads; medians of ${flags.steps} steps, ` +
    `interleaved, after ${flags['warm-up']}. Peak memory is of the whole process, VmHWM. Loss: relative difference at the first step.\n`,
);
console.log('| network | batch | ours ms | PyTorch ms | ratio | ours MB | PyTorch MB | loss |');
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
for (const name of names) {
  const batch = flags.batch ?? String(ARCHITECTURES[name] ?? 8);
  const folder = mkdtempSync(join(tmpdir(), 'architectures-'));
  try {
    const model = [name, flags.size, batch, flags.mode, folder];
    execFileSync(PYTHON, [beside('./architectures.py'), 'export', ...model], { stdio: 'ignore' });
    const profile = flags.profile === undefined ? [] : [`${flags.profile}${name}`];
    const [ours, rival] = await Promise.all([
      open(process.execPath, [
        '--import',
        tsx,
        beside('./architectures-child.ts'),
        folder,
        flags.threads,
        ...profile,
      ]),
      open(PYTHON, [beside('./architectures.py'), 'step', ...model, flags.threads]),
    ]);
    const times: { ours: number[]; rival: number[] } = { ours: [], rival: [] };
    let difference = 0;
    for (let i = 0; i < Number(flags.steps) + Number(flags['warm-up']); i++) {
      const [ownTime = Number.NaN, ownLoss = Number.NaN] = await ours.step();
      const [rivalTime = Number.NaN, rivalLoss = Number.NaN] = await rival.step();
      if (i === 0) difference = Math.abs(ownLoss - rivalLoss) / Math.abs(rivalLoss);
      if (i < Number(flags['warm-up'])) continue;
      times.ours.push(ownTime);
      times.rival.push(rivalTime);
    }
    const memory = [await ours.end(), await rival.end()].map((kilobytes) => (kilobytes / 1024).toFixed(0));
    const medians = [median(times.ours), median(times.rival)] as const;
    console.log(
      `| ${[
        name,
        batch,
        ...medians.map((time) => time.toFixed(0)),
        (medians[0] / medians[1]).toFixed(2),
        ...memory,
        difference.toExponential(0),
      ].join(' | ')} |`,
    );
  } catch (error) {
    console.log(`| ${name} | ${batch} | ${String(error).split('\n')[0]} |`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A child that runs one step a line; what it prints besides numbers is an error's. */
async function open(command: string, argv: readonly string[]) {
  // glibc gives large tensors back to the system at every step unless it is told to keep them, and fetching them again
  // is slow: PyTorch's activations, and the outputs of more than 32 MB that onnxruntime-node copies.
  const env = {
    ...process.env,
    MALLOC_MMAP_THRESHOLD_: '1073741824',
    MALLOC_TRIM_THRESHOLD_: '4294967296',
  };
  const child = spawn(command, argv, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env,
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done)
      throw new Error(errors.match(/^.*Error:.*$/gm)?.pop() ?? `${command} ended: ${errors.slice(-300)}`);
    return value as string;
  };
  await next();
  return {
    async step(): Promise<number[]> {
      child.stdin.write('step\n');
      return (await next()).split(' ').map(Number);
    },
    async end(): Promise<number> {
      child.stdin.end();
      return Number(await next());
    },
  };
}
