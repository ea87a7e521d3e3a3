/**
 * The built command line as a child process, and a folder of made-up pictures for it: 20 items of 3 pictures, with a
 * corrupt and a missing picture among the good ones. Needs `npm run build`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';

const PROGRAM = join(import.meta.dirname, '../../dist/cli/main.js');
const COLOURS = { red: [220, 40, 40], green: [40, 190, 60], blue: [50, 60, 220] } as const;
const SHAPES = ['square', 'disc'] as const;

/** Settings of a network and batches that train in a moment. */
export const TINY = [
  'network.inputSize=16',
  'network.widths=[8,16]',
  'network.embeddingSize=8',
  'batch.items=4',
  'batch.picturesPerItem=2',
  'validateEvery=3',
  'warmUpSteps=2',
].flatMap((setting) => ['--set', setting]);

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `semblance` with arguments. */
export function semblance(
  argv: readonly string[],
  started: (child: ChildProcess) => void = () => {},
): Promise<Outcome> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run npm run build`);
  const child = spawn(process.execPath, [PROGRAM, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (part: Buffer) => (stdout += part));
  child.stderr.on('data', (part: Buffer) => (stderr += part));
  started(child);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** 20 items of 3 pictures: 10 to train on, 5 to validate, 5 to search; a shape of one colour, moved and resized. */
export async function makePictures(root: string): Promise<string> {
  await mkdir(join(root, 'pictures'));
  const lines = ['path,item_id,split,colour,shape'];
  for (let item = 0; item < 20; item++) {
    const split = item < 10 ? 'train' : item < 15 ? 'val' : 'test';
    const colour = Object.keys(COLOURS)[item % 3] as keyof typeof COLOURS;
    const shape = SHAPES[item % 2] as string;
    const ground = 120 + 6 * item;
    for (let picture = 0; picture < 3; picture++) {
      const [x, y, size] = [6 + 2 * picture, 8 + (item % 5), 8 + (item % 4) + picture];
      const fill = `rgb(${COLOURS[colour].join(',')})`;
      const drawn =
        shape === 'square'
          ? `<rect x="${x}" y="${y}" width="${size}" height="${size}" fill="${fill}"/>`
          : `<circle cx="${x + 6}" cy="${y + 5}" r="${size / 2}" fill="${fill}"/>`;
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32"><rect width="32" height="32" fill="rgb(${ground},${ground},${255 - ground})"/>${drawn}</svg>`;
      const path = `pictures/${item}-${picture}.png`;
      await sharp(Buffer.from(svg)).png().toFile(join(root, path));
      lines.push(`${path},item ${item},${split},${colour},${shape}`);
    }
  }
  await writeFile(join(root, 'pictures', 'corrupt.png'), 'this is no picture');
  for (const split of ['train', 'val', 'test'])
    lines.push(`pictures/corrupt.png,item corrupt,${split},red,disc`);
  lines.push('pictures/gone.jpg,item gone,train,red,disc');
  const manifest = join(root, 'manifest.csv');
  await writeFile(manifest, `${lines.join('\n')}\n`);
  return manifest;
}
