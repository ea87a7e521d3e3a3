/** Pictures for tests, made of a few smooth blots of colour. */
import sharp from 'sharp';
import { Random } from '../../src/util/index.js';

/** A PNG of `size`×`size` pixels, the same for the same seed. */
export async function blots(seed: number, size = 32, cells = 4): Promise<Buffer> {
  const random = Random.from(seed);
  const colours = Uint8Array.from({ length: 3 * cells * cells }, () => random.integer(256));
  const picture = sharp(colours, { raw: { width: cells, height: cells, channels: 3 } });
  return await picture.resize(size, size, { kernel: 'cubic' }).png().toBuffer();
}
