/**
 * The numbers of `test/golden/make-architectures.py`, which computes them from tensor names in the same way, and its
 * files without weights, filled with them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ReadModel } from '../../src/onnx/index.js';
import { decodeModel, readMessage } from '../../src/onnx/read.js';

/** A hash of name (FNV-1a) and index (murmur3's finaliser), 32 bits. */
function bits(name: string): (index: number) => number {
  let seed = 0x811c9dc5;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 0x01000193);
  return (index) => {
    let h = (Math.imul(index, 0x9e3779b9) + seed) | 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return h ^ (h >>> 16);
  };
}

/** offset + scale · uniform in [−1, 1). */
export function numbers(name: string, count: number, offset = 0, scale = 1): Float32Array {
  const at = bits(name);
  const result = new Float32Array(count);
  for (let i = 0; i < count; i++) result[i] = offset + scale * ((at(i) >>> 8) / 2 ** 23 - 1);
  return result;
}

/** The norm of a vector, and its products with two vectors of ±1 that belong to the name. */
export function checks(name: string, vector: Float32Array): [number, number, number] {
  const at = bits(`direction ${name}`);
  let squares = 0;
  let first = 0;
  let second = 0;
  for (let i = 0; i < vector.length; i++) {
    const x = vector[i] as number;
    const h = at(i);
    squares += x * x;
    first += h & 1 ? -x : x;
    second += h & 2 ? -x : x;
  }
  return [Math.sqrt(squares), first, second];
}

export interface Golden {
  /** Pictures are [2, 3, size, size], logits [2, 10]. */
  readonly size: number;
  /** The name whose numbers, times 1.7, are the pictures. */
  readonly pixels: string;
  /** Offset and scale of each initialiser that the file has without its elements. */
  readonly weights: Readonly<Record<string, readonly [number, number]>>;
  readonly logits: readonly number[];
  /** As `checks`, of the gradient by each parameter and by `pixels`. */
  readonly gradients: Readonly<Record<string, readonly [number, number, number]>>;
}

export const GOLDEN_FOLDER = join(import.meta.dirname, '../golden/architectures');

/** An architecture's file with its weights, and what PyTorch computed. @param name as in `resnet18.kept` */
export function readArchitecture(name: string): { model: ReadModel; golden: Golden } {
  const golden = JSON.parse(readFileSync(join(GOLDEN_FOLDER, `${name}.json`), 'utf8')) as Golden;
  const message = decodeModel(gunzipSync(readFileSync(join(GOLDEN_FOLDER, `${name}.onnx.gz`))));
  for (const tensor of message.graph?.initializer ?? []) {
    const rule = golden.weights[tensor.name];
    if (rule === undefined) continue;
    const count = tensor.dims.reduce<number>((product, size) => product * Number(size), 1);
    Object.assign(tensor, { rawData: new Uint8Array(numbers(tensor.name, count, ...rule).buffer) });
  }
  return { model: readMessage(message), golden };
}
