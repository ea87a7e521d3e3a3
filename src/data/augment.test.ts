import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import {
  type AugmentationOptions,
  artworkAugmentation,
  augmentPicture,
  defaultAugmentation,
  noAugmentation,
  premultiplyAlpha,
} from './augment.js';

/** [size, size, 4] from a function of the pixel. */
function picture(size: number, colour: (x: number, y: number) => readonly number[]): Uint8Array {
  const pixels = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) pixels.set(colour(x, y), (y * size + x) * 4);
  premultiplyAlpha(pixels);
  return pixels;
}

function augment(
  source: Uint8Array,
  size: number,
  outSize: number,
  changes: Partial<AugmentationOptions>,
  seed = 1,
) {
  const out = new Uint8Array(outSize * outSize * 3);
  augmentPicture(source, size, { ...noAugmentation, ...changes }, Random.from(seed), out, 0, outSize);
  return out;
}

const gradient = picture(8, (x, y) => [x * 30, y * 30, 100, 255]);
const rgb = (source: Uint8Array) => source.filter((_, at) => at % 4 !== 3);

describe('augmentPicture', () => {
  it('changes nothing at the same size without augmentation', () => {
    expect(augment(gradient, 8, 8, {})).toEqual(rgb(gradient));
  });

  it('halves by means, like a naive loop', () => {
    const noise = Random.from(4);
    const source = picture(8, () => [noise.integer(256), noise.integer(256), noise.integer(256), 255]);
    const expected = new Uint8Array(4 * 4 * 3);
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 4; x++) {
        for (let channel = 0; channel < 3; channel++) {
          let sum = 0;
          for (const [dx, dy] of [
            [0, 0],
            [0, 1],
            [1, 0],
            [1, 1],
          ] as const) {
            sum += source[((2 * y + dy) * 8 + 2 * x + dx) * 4 + channel]!;
          }
          expected[(y * 4 + x) * 3 + channel] = Math.round(sum / 4);
        }
      }
    }
    expect(augment(source, 8, 4, {})).toEqual(expected);
  });

  it('does not alias under a strong reduction', () => {
    const board = picture(64, (x, y) => ((x + y) % 2 === 0 ? [255, 255, 255, 255] : [0, 0, 0, 255]));
    for (const byte of augment(board, 64, 8, {})) expect(Math.abs(byte - 128)).toBeLessThanOrEqual(1);
  });

  it('mirrors left for right', () => {
    const mirrored = picture(8, (x, y) => [(7 - x) * 30, y * 30, 100, 255]);
    expect(augment(gradient, 8, 8, { flipProbability: 1 })).toEqual(rgb(mirrored));
  });

  it('crops: every output is a colour of the part that the scale allows', () => {
    const out = augment(gradient, 8, 8, { cropScale: [0.25, 0.25] });
    const reds = out.filter((_, at) => at % 3 === 0);
    expect(Math.max(...reds) - Math.min(...reds)).toBeLessThanOrEqual(4 * 30);
    expect(Math.max(...reds) - Math.min(...reds)).toBeGreaterThanOrEqual(3 * 30);
  });

  it('turns about the centre by the angle that was drawn', () => {
    const dot = picture(65, (x, y) =>
      Math.hypot(x - 54, y - 32) < 3 ? [255, 255, 255, 255] : [0, 0, 0, 255],
    );
    for (const seed of [1, 2, 3]) {
      const out = augment(dot, 65, 65, { rotation: 40 }, seed);
      let sumX = 0;
      let sumY = 0;
      let weight = 0;
      for (let at = 0; at < 65 * 65; at++) {
        weight += out[at * 3]!;
        sumX += out[at * 3]! * ((at % 65) - 32);
        sumY += out[at * 3]! * (Math.floor(at / 65) - 32);
      }
      expect(Math.hypot(sumX, sumY) / weight).toBeCloseTo(22, 0);
      expect(Math.abs(Math.atan2(sumY, sumX))).toBeLessThanOrEqual((40 * Math.PI) / 180 + 0.02);
    }
  });

  it('puts the background under alpha and blends edges without a dark rim', () => {
    const half = picture(8, (x) => (x < 4 ? [200, 100, 50, 255] : [0, 0, 0, 0]));
    const out = augment(half, 8, 8, { background: [10, 20, 30] });
    expect([...out.subarray(0, 3)]).toEqual([200, 100, 50]);
    expect([...out.subarray(21, 24)]).toEqual([10, 20, 30]);
    const white = picture(8, (x) => (x < 4 ? [255, 255, 255, 255] : [0, 0, 0, 0]));
    expect(new Set(augment(white, 8, 13, {}))).toEqual(new Set([255]));
  });

  it('draws another background for another view', () => {
    const empty = picture(4, () => [0, 0, 0, 0]);
    const colour = (seed: number) => [...augment(empty, 4, 4, { background: 'random' }, seed).subarray(0, 3)];
    expect(colour(1)).toEqual(colour(1));
    expect(colour(1)).not.toEqual(colour(2));
  });

  it('shows the edge or the background beyond the picture', () => {
    const red = picture(8, () => [255, 0, 0, 255]);
    const beyond = { cropScale: [4, 4], background: [0, 0, 255] } as const;
    expect(new Set(augment(red, 8, 8, { ...beyond, outside: 'edge' }))).toEqual(new Set([255, 0]));
    const corners = augment(red, 8, 8, { ...beyond, outside: 'background' });
    const blue = corners.filter((byte, at) => at % 3 === 2 && byte === 255).length;
    expect(blue).toBeGreaterThan(30);
  });

  it('grayscale has equal channels of the luma', () => {
    const out = augment(gradient, 8, 8, { grayscaleProbability: 1 });
    for (let at = 0; at < out.length; at += 3) {
      const [r, g, b] = [...rgb(gradient).subarray(at, at + 3)] as [number, number, number];
      const luma = 0.299 * r + 0.587 * g + 0.114 * b;
      for (let channel = 0; channel < 3; channel++)
        expect(Math.abs(out[at + channel]! - luma)).toBeLessThanOrEqual(1);
    }
  });

  it('a hue turn keeps greys and the luma', () => {
    const grey = picture(4, () => [90, 90, 90, 255]);
    for (const byte of augment(grey, 4, 4, { hue: 0.5 })) expect(Math.abs(byte - 90)).toBeLessThanOrEqual(1);
    const skin = picture(4, () => [140, 110, 100, 255]);
    const [r, g, b] = [...augment(skin, 4, 4, { hue: 0.5 }, 3).subarray(0, 3)] as [number, number, number];
    expect([r, g, b]).not.toEqual([140, 110, 100]);
    expect(Math.abs(0.299 * r + 0.587 * g + 0.114 * b - (0.299 * 140 + 0.587 * 110 + 11.4))).toBeLessThan(
      1.5,
    );
  });

  it('brightness scales, contrast spreads about mid-grey', () => {
    const flat = picture(4, () => [100, 50, 200, 255]);
    const [r, g] = augment(flat, 4, 4, { brightness: 0.3 }) as unknown as [number, number];
    expect(r / g).toBeCloseTo(2, 1);
    const [cr, cg, cb] = augment(flat, 4, 4, { contrast: 0.5 }) as unknown as [number, number, number];
    const factor = (cr - 128) / (100 - 128);
    expect(Math.abs(factor - 1)).toBeLessThanOrEqual(0.53);
    expect((cg - 128) / (50 - 128)).toBeCloseTo(factor, 1);
    expect((cb - 128) / (200 - 128)).toBeCloseTo(factor, 1);
  });

  it('erases one rectangle of the area asked for', () => {
    const white = picture(32, () => [255, 255, 255, 255]);
    const out = augment(white, 32, 32, { erasingProbability: 1, erasingArea: [0.1, 0.1] });
    let covered = 0;
    for (let at = 0; at < out.length; at += 3) if (out[at] !== 255 || out[at + 1] !== 255) covered++;
    expect(covered / 1024).toBeGreaterThan(0.08);
    expect(covered / 1024).toBeLessThan(0.12);
  });

  it('noise has the deviation asked for, blur keeps flat areas', () => {
    const grey = picture(64, () => [128, 128, 128, 255]);
    const out = augment(grey, 64, 64, { noise: 20 }, 7);
    const mean = out.reduce((sum, byte) => sum + byte, 0) / out.length;
    const deviation = Math.sqrt(out.reduce((sum, byte) => sum + (byte - mean) ** 2, 0) / out.length);
    expect(Math.abs(mean - 128)).toBeLessThan(1);
    expect(deviation).toBeGreaterThan(0.5);
    expect(deviation).toBeLessThan(21);
    expect(new Set(augment(grey, 64, 64, { blurProbability: 1 }))).toEqual(new Set([128]));
  });

  it('is a function of the random state, and writes only its own part of the target', () => {
    const source = picture(20, (x, y) => [x * 12, y * 12, 99, x > 3 ? 255 : 0]);
    const every = { ...artworkAugmentation, flipProbability: 0.5, noise: 8, blurProbability: 0.5 };
    for (let seed = 0; seed < 20; seed++) {
      const out = new Uint8Array(16 * 16 * 3 + 20).fill(77);
      augmentPicture(source, 20, every, Random.from(seed), out, 10, 16);
      expect([...out.subarray(0, 10), ...out.subarray(-10)]).toEqual(Array(20).fill(77));
      expect(out.subarray(10, -10)).toEqual(augment(source, 20, 16, every, seed));
    }
  });

  it('options are plain data', () => {
    for (const options of [noAugmentation, defaultAugmentation, artworkAugmentation]) {
      expect(JSON.parse(JSON.stringify(options))).toEqual(options);
    }
  });

  it('refuses a source of another size', () => {
    expect(() => augment(gradient, 9, 8, {})).toThrow(
      'augmentPicture: source must be [S, S, 4] = 324 bytes, got 256',
    );
  });
});
