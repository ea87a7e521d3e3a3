/**
 * Augmentation of one picture in one pass, on bytes in memory: random resized crop with rotation and flip (one
 * affine map, bilinear), colour jitter (one 3×4 matrix), a background under the alpha, then blur, noise and erasing.
 * The source is premultiplied RGBA, [S, S, 4]: bilinear sampling, the colour matrix and the background are then all
 * linear in it. The target is RGB, [H, H, 3]. S source size, H target size, both in pixels.
 */
import { Random, ShapeError } from '../util/index.js';
import type { Colour } from './decode.js';

/** Plain data, so that it can be stored with a model. An amplitude of 0 and a probability of 0 switch a part off. */
export interface AugmentationOptions {
  /** Area of the crop as a share of the picture's, [low, high]. Above 1 shows the picture smaller. */
  readonly cropScale: readonly [number, number];
  /** Width by height of the crop, [low, high], drawn log-uniformly. */
  readonly cropAspect: readonly [number, number];
  /** Turned by at most so many degrees either way. */
  readonly rotation: number;
  /** Probability of a mirror image, left for right. Harmful where it makes another item (arrows, letters). */
  readonly flipProbability: number;
  /**
   * Probability that an item is mirrored in all its pictures of a batch. Unlike a flip, which teaches that a thing and
   * its mirror image are the same, this makes new items of old ones, and is safe where left and right matter.
   */
  readonly itemFlipProbability: number;
  /** Brightness times 1 ± at most this. */
  readonly brightness: number;
  /** Distance from mid-grey times 1 ± at most this. */
  readonly contrast: number;
  /** Distance from the pixel's own grey times 1 ± at most this. */
  readonly saturation: number;
  /** Hue turned by at most this share of the full circle either way, 0 to 0.5. */
  readonly hue: number;
  readonly grayscaleProbability: number;
  /** Colour under transparent parts; `random` draws one a picture, so that cut-out artwork is not tied to white. */
  readonly background: 'random' | Colour;
  /** Where the background is random: probability that it is white, as it will be when the model is used. */
  readonly whiteBackgroundProbability: number;
  /** What a crop sees beyond the picture: its edge pixels drawn out (photographs) or the background (artwork). */
  readonly outside: 'edge' | 'background';
  /** Probability that a rectangle is covered with one random colour. */
  readonly erasingProbability: number;
  /** Area of that rectangle as a share of the picture's, [low, high]. */
  readonly erasingArea: readonly [number, number];
  /** Largest standard deviation of Gaussian noise, in steps of 0 to 255. */
  readonly noise: number;
  /** Probability of a light blur (3×3 binomial). */
  readonly blurProbability: number;
}

/** Nothing random; white background. */
export const noAugmentation: AugmentationOptions = {
  cropScale: [1, 1],
  cropAspect: [1, 1],
  rotation: 0,
  flipProbability: 0,
  itemFlipProbability: 0,
  brightness: 0,
  contrast: 0,
  saturation: 0,
  hue: 0,
  grayscaleProbability: 0,
  background: [255, 255, 255],
  whiteBackgroundProbability: 0,
  outside: 'edge',
  erasingProbability: 0,
  erasingArea: [0.02, 0.2],
  noise: 0,
  blurProbability: 0,
};

/** Mild; for photographs of things. Flips are off until the data are known to bear them. */
export const defaultAugmentation: AugmentationOptions = {
  ...noAugmentation,
  cropScale: [0.6, 1],
  cropAspect: [0.8, 1.25],
  rotation: 5,
  brightness: 0.2,
  contrast: 0.2,
  saturation: 0.2,
  hue: 0.02,
};

/** For cut-out artwork: random background, sizes both ways, stronger colours, erasing. */
export const artworkAugmentation: AugmentationOptions = {
  ...defaultAugmentation,
  cropScale: [0.6, 1.3],
  rotation: 12,
  brightness: 0.3,
  contrast: 0.3,
  saturation: 0.4,
  hue: 0.05,
  grayscaleProbability: 0.05,
  background: 'random',
  outside: 'background',
  erasingProbability: 0.25,
};

/** Multiplies the colours by alpha, in place: what `augmentPicture` wants its source to be. */
export function premultiplyAlpha(pixels: Uint8Array): void {
  for (let at = 0; at < pixels.length; at += 4) {
    const alpha = pixels[at + 3]!;
    if (alpha === 255) continue;
    for (let channel = at; channel < at + 3; channel++) {
      pixels[channel] = Math.round((pixels[channel]! * alpha) / 255);
    }
  }
}

/**
 * Writes one augmented view of a picture.
 * @param source [S, S, 4] premultiplied RGBA
 * @param sourceSize S
 * @param out receives [H, H, 3] from `offset` on
 * @param outSize H
 * @param random drawn from in a fixed order: the same state gives the same bytes
 */
export function augmentPicture(
  source: Uint8Array,
  sourceSize: number,
  options: AugmentationOptions,
  random: Random,
  out: Uint8Array,
  offset: number,
  outSize: number,
): void {
  if (source.length !== sourceSize * sourceSize * 4) {
    throw new ShapeError(
      `augmentPicture: source must be [S, S, 4] = ${sourceSize * sourceSize * 4} bytes, got ${source.length}`,
    );
  }
  const view = drawView(options, random);
  const reduction = Math.floor((sourceSize * Math.sqrt(view.scale)) / outSize);
  let pixels = source;
  let size = sourceSize;
  if (reduction >= 2) {
    size = Math.floor(sourceSize / reduction);
    pixels = reduce(source, sourceSize, reduction, size);
  }
  sample(pixels, size, view, options.outside === 'edge', out, offset, outSize);
  if (random.uniform() < options.blurProbability) blur(out, offset, outSize);
  if (options.noise > 0) addNoise(out, offset, outSize, options.noise * random.uniform(), random);
  if (random.uniform() < options.erasingProbability) erase(out, offset, outSize, options.erasingArea, random);
}

// --- internal ---

interface View {
  scale: number;
  /** Half axes of the crop in units of the source's size: out (u, v) in ±½ → source centre + u·x + v·y. */
  axes: readonly [xx: number, xy: number, yx: number, yy: number];
  centre: readonly [number, number];
  background: Colour;
  /** 3×4, row by row: colour' = M·colour + t·alpha. `undefined` is the identity. */
  matrix: Float64Array | undefined;
}

/** Everything random about geometry and colour. */
function drawBackground({ whiteBackgroundProbability }: AugmentationOptions, random: Random): Colour {
  if (random.uniform() < whiteBackgroundProbability) return [255, 255, 255];
  return [random.integer(256), random.integer(256), random.integer(256)];
}

function drawView(options: AugmentationOptions, random: Random): View {
  const scale = random.between(...options.cropScale);
  const aspect = Math.exp(random.between(Math.log(options.cropAspect[0]), Math.log(options.cropAspect[1])));
  const angle = (random.between(-options.rotation, options.rotation) * Math.PI) / 180;
  const mirror = random.uniform() < options.flipProbability ? -1 : 1;
  const width = Math.sqrt(scale * aspect);
  const height = Math.sqrt(scale / aspect);
  const slackX = (1 - width) / 2;
  const slackY = (1 - height) / 2;
  const centre = [0.5 + random.between(-slackX, slackX), 0.5 + random.between(-slackY, slackY)] as const;
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  return {
    scale,
    axes: [mirror * width * cos, -mirror * width * sin, height * sin, height * cos],
    centre,
    background: options.background === 'random' ? drawBackground(options, random) : options.background,
    matrix: drawColourMatrix(options, random),
  };
}

/** Luma of ITU-R BT.601 in the three columns of each row, and the quarter turn of hue in the YIQ plane. */
const LUMA = [0.299, 0.587, 0.114] as const;
const QUARTER_TURN = [
  [0.1677, 0.32927, -0.49697],
  [-0.32813, 0.03552, 0.29261],
  [1.24973, -1.04651, -0.20322],
] as const;

/**
 * Brightness, contrast about mid-grey, saturation about luma and a hue turn, multiplied into one matrix.
 * (torchvision takes the picture's mean for the contrast; mid-grey needs no second pass.)
 */
function drawColourMatrix(options: AugmentationOptions, random: Random): Float64Array | undefined {
  const around = (amplitude: number) => 1 + random.between(-amplitude, amplitude);
  const gain = around(options.brightness);
  const contrast = around(options.contrast);
  const colourful = around(options.saturation);
  const turn = 2 * Math.PI * random.between(-options.hue, options.hue);
  const saturation = random.uniform() < options.grayscaleProbability ? 0 : colourful;
  if (gain === 1 && contrast === 1 && saturation === 1 && turn === 0) return undefined;
  const cos = saturation * Math.cos(turn);
  const sin = saturation * Math.sin(turn);
  const matrix = new Float64Array(12);
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      const grey = LUMA[column]!;
      const chroma = (row === column ? 1 : 0) - grey;
      matrix[row * 4 + column] = gain * contrast * (grey + cos * chroma + sin * QUARTER_TURN[row]![column]!);
    }
    matrix[row * 4 + 3] = (128 * (1 - contrast)) / 255;
  }
  return matrix;
}

const IDENTITY = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0);

/** The affine map, bilinear, with colour matrix and background. Writes every byte of the target. */
function sample(
  pixels: Uint8Array,
  size: number,
  view: View,
  drawsEdge: boolean,
  out: Uint8Array,
  offset: number,
  outSize: number,
): void {
  const target = new Uint8ClampedArray(out.buffer, out.byteOffset + offset, outSize * outSize * 3);
  const [xx, xy, yx, yy] = view.axes.map((axis) => (axis * size) / outSize) as [
    number,
    number,
    number,
    number,
  ];
  const [red, green, blue] = view.background;
  const hasMatrix = view.matrix !== undefined;
  const m = view.matrix ?? IDENTITY;
  const [m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11] = m as unknown as number[] & { length: 12 };
  const opaque = isOpaque(pixels);
  const [shift0, shift1, shift2] = [255 * m3!, 255 * m7!, 255 * m11!];
  const last = size - 1;
  const stride = size * 4;
  const edges = new Float64Array(4);
  const half = (outSize - 1) / 2;
  let at = 0;
  for (let row = 0; row < outSize; row++) {
    let x = view.centre[0] * size - 0.5 - half * xx + (row - half) * yx;
    let y = view.centre[1] * size - 0.5 - half * xy + (row - half) * yy;
    for (let column = 0; column < outSize; column++, x += xx, y += xy, at += 3) {
      let r: number;
      let g: number;
      let b: number;
      let a: number;
      if (x >= 0 && y >= 0 && x < last && y < last) {
        const left = x | 0;
        const top = y | 0;
        const p = top * stride + left * 4;
        const q = p + stride;
        const fx = x - left;
        const fy = y - top;
        const w11 = fx * fy;
        const w01 = fx - w11;
        const w10 = fy - w11;
        const w00 = 1 - fx - w10;
        if (opaque || (pixels[p + 3]! & pixels[p + 7]! & pixels[q + 3]! & pixels[q + 7]!) === 255) {
          r = w00 * pixels[p]! + w01 * pixels[p + 4]! + w10 * pixels[q]! + w11 * pixels[q + 4]!;
          g = w00 * pixels[p + 1]! + w01 * pixels[p + 5]! + w10 * pixels[q + 1]! + w11 * pixels[q + 5]!;
          b = w00 * pixels[p + 2]! + w01 * pixels[p + 6]! + w10 * pixels[q + 2]! + w11 * pixels[q + 6]!;
          target[at] = m0! * r + m1! * g + m2! * b + shift0;
          target[at + 1] = m4! * r + m5! * g + m6! * b + shift1;
          target[at + 2] = m8! * r + m9! * g + m10! * b + shift2;
          continue;
        }
        a = w00 * pixels[p + 3]! + w01 * pixels[p + 7]! + w10 * pixels[q + 3]! + w11 * pixels[q + 7]!;
        if (a === 0) {
          target[at] = red;
          target[at + 1] = green;
          target[at + 2] = blue;
          continue;
        }
        r = w00 * pixels[p]! + w01 * pixels[p + 4]! + w10 * pixels[q]! + w11 * pixels[q + 4]!;
        g = w00 * pixels[p + 1]! + w01 * pixels[p + 5]! + w10 * pixels[q + 1]! + w11 * pixels[q + 5]!;
        b = w00 * pixels[p + 2]! + w01 * pixels[p + 6]! + w10 * pixels[q + 2]! + w11 * pixels[q + 6]!;
      } else {
        sampleAtEdge(pixels, size, x, y, drawsEdge, edges);
        r = edges[0]!;
        g = edges[1]!;
        b = edges[2]!;
        a = edges[3]!;
      }
      const through = 1 - a / 255;
      if (hasMatrix) {
        target[at] = m0! * r + m1! * g + m2! * b + m3! * a + through * red;
        target[at + 1] = m4! * r + m5! * g + m6! * b + m7! * a + through * green;
        target[at + 2] = m8! * r + m9! * g + m10! * b + m11! * a + through * blue;
      } else {
        target[at] = r + through * red;
        target[at + 1] = g + through * green;
        target[at + 2] = b + through * blue;
      }
    }
  }
}

/** Whether no pixel lets anything through, as in all photographs: alpha and background then cost nothing. */
function isOpaque(pixels: Uint8Array): boolean {
  for (let at = 3; at < pixels.length; at += 4) if (pixels[at] !== 255) return false;
  return true;
}

/** The slow way round: neighbours beyond the picture are its edge, or transparent. */
function sampleAtEdge(
  pixels: Uint8Array,
  size: number,
  x: number,
  y: number,
  drawsEdge: boolean,
  result: Float64Array,
): void {
  result.fill(0);
  const left = Math.floor(x);
  const top = Math.floor(y);
  for (let dy = 0; dy < 2; dy++) {
    for (let dx = 0; dx < 2; dx++) {
      let column = left + dx;
      let row = top + dy;
      if (column < 0 || row < 0 || column >= size || row >= size) {
        if (!drawsEdge) continue;
        column = Math.min(size - 1, Math.max(0, column));
        row = Math.min(size - 1, Math.max(0, row));
      }
      const weight = (dx === 1 ? x - left : 1 - (x - left)) * (dy === 1 ? y - top : 1 - (y - top));
      const p = (row * size + column) * 4;
      for (let channel = 0; channel < 4; channel++) result[channel]! += weight * pixels[p + channel]!;
    }
  }
}

/** Means over blocks of `factor` × `factor`, so that a strong reduction does not alias. */
function reduce(source: Uint8Array, size: number, factor: number, reducedSize: number): Uint8Array {
  const result = new Uint8Array(reducedSize * reducedSize * 4);
  const area = factor * factor;
  for (let y = 0; y < reducedSize; y++) {
    for (let x = 0; x < reducedSize; x++) {
      for (let channel = 0; channel < 4; channel++) {
        let sum = 0;
        for (let dy = 0; dy < factor; dy++) {
          let p = ((y * factor + dy) * size + x * factor) * 4 + channel;
          for (let dx = 0; dx < factor; dx++, p += 4) sum += source[p]!;
        }
        result[(y * reducedSize + x) * 4 + channel] = Math.round(sum / area);
      }
    }
  }
  return result;
}

/** 3×3 binomial blur of [H, H, 3], edges repeated: 1-2-1 along the rows, then down the columns. */
function blur(out: Uint8Array, offset: number, size: number): void {
  const stride = size * 3;
  const rows = new Uint16Array(size * stride);
  for (let y = 0; y < size; y++) {
    const start = y * stride;
    for (let x = 0; x < stride; x++) {
      const before = out[offset + start + (x < 3 ? x : x - 3)]!;
      const after = out[offset + start + (x + 3 < stride ? x + 3 : x)]!;
      rows[start + x] = before + 2 * out[offset + start + x]! + after;
    }
  }
  for (let y = 0; y < size; y++) {
    const here = y * stride;
    const above = y === 0 ? here : here - stride;
    const below = y === size - 1 ? here : here + stride;
    for (let x = 0; x < stride; x++) {
      out[offset + here + x] = (rows[above + x]! + 2 * rows[here + x]! + rows[below + x]! + 8) >> 4;
    }
  }
}

/** Normal numbers made once: drawing one a byte would cost more than all the rest. */
const NOISE_LENGTH = 65_536;
let noiseTable: Float32Array | undefined;

function addNoise(out: Uint8Array, offset: number, size: number, deviation: number, random: Random): void {
  if (noiseTable === undefined) {
    const generator = Random.from(NOISE_LENGTH);
    noiseTable = Float32Array.from({ length: NOISE_LENGTH }, () => generator.normal());
  }
  const target = new Uint8ClampedArray(out.buffer, out.byteOffset + offset, size * size * 3);
  let at = random.integer(NOISE_LENGTH);
  const step = 2 * random.integer(NOISE_LENGTH / 2) + 1; // odd: goes through the whole table
  for (let byte = 0; byte < target.length; byte++) {
    target[byte] = target[byte]! + deviation * noiseTable[at]!;
    at = (at + step) & (NOISE_LENGTH - 1);
  }
}

function erase(
  out: Uint8Array,
  offset: number,
  size: number,
  area: readonly [number, number],
  random: Random,
): void {
  const share = random.between(...area);
  const aspect = Math.exp(random.between(-Math.LN2, Math.LN2));
  const width = Math.min(size, Math.max(1, Math.round(size * Math.sqrt(share * aspect))));
  const height = Math.min(size, Math.max(1, Math.round(size * Math.sqrt(share / aspect))));
  const left = random.integer(size - width + 1);
  const top = random.integer(size - height + 1);
  const colour = [random.integer(256), random.integer(256), random.integer(256)] as const;
  for (let y = top; y < top + height; y++) {
    for (let at = offset + (y * size + left) * 3, end = at + width * 3; at < end; at += 3) {
      out[at] = colour[0];
      out[at + 1] = colour[1];
      out[at + 2] = colour[2];
    }
  }
}
