/**
 * Regions: the part of an upright picture that counts, as a box in pixels or in fractions of its sides, and what of
 * the picture a network's square input shows.
 *
 * "Upright" is after the EXIF orientation: x to the right, y down, (0, 0) the top left corner.
 */
import { DataError } from '../util/index.js';
import type { Box } from './manifest.js';

/** A box of the upright picture. Left and top are at least 0; a box of pixels may reach beyond right and bottom. */
export interface Region extends Box {
  /** `pixel` (default), or `fraction`: of the picture's width and height, at most 1. */
  readonly unit?: 'pixel' | 'fraction' | undefined;
}

export interface PictureSize {
  /** Pixels, upright. */
  readonly width: number;
  readonly height: number;
}

/**
 * Reads `left,top,right,bottom`: pixels (`10,20,200,180`), or each with a percent sign (`10%,20%,80%,90%`), or decimals
 * of which none is over 1 (`0.1,0.2,0.8,0.9`).
 * @throws DataError when it is not four such numbers, mixes the two, or encloses nothing.
 */
export function parseRegion(text: string): Region {
  const refuse = (problem: string) =>
    new DataError(
      `box: ${problem}, got '${text}'. Write left,top,right,bottom in pixels (10,20,200,180) or per cent (10%,20%,80%,90%)`,
    );
  const cells = text.split(',').map((cell) => cell.trim());
  if (cells.length !== 4 || cells.some((cell) => !/^\d+(\.\d+)?%?$|^\.\d+$/.test(cell)))
    throw refuse('must be four numbers from 0 on with commas between');
  const percents = cells.filter((cell) => cell.endsWith('%')).length;
  if (percents !== 0 && percents !== 4) throw refuse('must be all in pixels or all in per cent');
  const numbers = cells.map((cell) => Number.parseFloat(cell) / (percents === 4 ? 100 : 1));
  const isDecimal = cells.some((cell) => cell.includes('.')) && numbers.every((number) => number <= 1);
  const [left, top, right, bottom] = numbers as [number, number, number, number];
  const region: Region = {
    left,
    top,
    right,
    bottom,
    unit: percents === 4 || isDecimal ? 'fraction' : 'pixel',
  };
  const problem = regionProblem(region);
  if (problem !== undefined) throw refuse(problem);
  return region;
}

/** What is wrong with a region as such, or nothing. */
export function regionProblem({ left, top, right, bottom, unit = 'pixel' }: Region): string | undefined {
  if (![left, top, right, bottom].every(Number.isFinite)) return 'must be four finite numbers';
  if (left < 0 || top < 0) return 'must begin at 0 or later';
  if (left >= right) return 'must have its left before its right';
  if (top >= bottom) return 'must have its top above its bottom';
  if (unit === 'fraction' && (right > 1 || bottom > 1))
    return 'must end within the picture, at 100 % or earlier';
  return undefined;
}

/**
 * The whole pixels that a region touches.
 * @returns integers, within the picture
 * @throws DataError when it is no region or lies outside the picture.
 */
export function regionPixels(region: Region, { width, height }: PictureSize): Box {
  const problem = regionProblem(region);
  if (problem !== undefined)
    throw new DataError(
      `box: ${problem}, got x ${region.left} to ${region.right}, y ${region.top} to ${region.bottom}`,
    );
  const [x, y] = region.unit === 'fraction' ? [width, height] : [1, 1];
  // A fraction that a picture's side was divided for comes back as that pixel, not as the one beside it.
  const down = (value: number) => Math.floor(value + ROUNDING);
  const up = (value: number) => Math.ceil(value - ROUNDING);
  const box = {
    left: down(region.left * x),
    top: down(region.top * y),
    right: Math.min(width, up(region.right * x)),
    bottom: Math.min(height, up(region.bottom * y)),
  };
  if (box.left >= box.right || box.top >= box.bottom)
    throw new DataError(
      `box: must lie in the picture of ${width} × ${height} pixels, got x from ${box.left}, y from ${box.top}`,
    );
  return box;
}

/**
 * The part of the upright picture that a network's square input shows, in pixels that need not be whole. A point
 * (u, v) of the square, both from 0 to 1, shows the picture's (left + u·(right − left), top + v·(bottom − top)).
 *
 * `fill` shows the whole box, distorted; `cover` the largest square in its middle; `contain` a square around it, which
 * reaches beyond the box where the background was filled in, and so may begin below 0.
 * @param region what was cut out before; default the whole picture
 */
export function shownArea(
  size: PictureSize,
  fit: 'cover' | 'contain' | 'fill',
  region: Region | undefined = undefined,
): Box {
  const box: Box =
    region === undefined
      ? { left: 0, top: 0, right: size.width, bottom: size.height }
      : regionPixels(region, size);
  if (fit === 'fill') return box;
  const [width, height] = [box.right - box.left, box.bottom - box.top];
  const side = fit === 'cover' ? Math.min(width, height) : Math.max(width, height);
  const left = box.left + (width - side) / 2;
  const top = box.top + (height - side) / 2;
  return { left, top, right: left + side, bottom: top + side };
}

/** A box of pixels in fractions of the picture's sides. */
export function inFractions(box: Box, { width, height }: PictureSize): Box & { readonly unit: 'fraction' } {
  return {
    left: box.left / width,
    top: box.top / height,
    right: box.right / width,
    bottom: box.bottom / height,
    unit: 'fraction',
  };
}

// --- internal ---

/** Pixels. */
const ROUNDING = 1e-6;
