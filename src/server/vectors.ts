/** Vectors as they travel: base64 of little-endian float32. */
import { HttpError } from './errors.js';

export function encodeVector(vector: Float32Array): string {
  const bytes = Buffer.alloc(4 * vector.length);
  for (const [i, x] of vector.entries()) bytes.writeFloatLE(x, 4 * i);
  return bytes.toString('base64');
}

/** @throws HttpError `other-model` on another length, `invalid-request` on a number that is not finite */
export function decodeVector(text: string, length: number): Float32Array {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length !== 4 * length)
    throw new HttpError(
      'other-model',
      `the vector must have ${length} numbers, got ${bytes.length / 4}. It was made by another model: send the picture`,
    );
  const vector = Float32Array.from({ length }, (_, i) => bytes.readFloatLE(4 * i));
  if (!vector.every(Number.isFinite))
    throw new HttpError('invalid-request', 'the vector must have finite numbers only');
  return vector;
}
