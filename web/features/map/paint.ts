/**
 * Draws points into a bitmap by hand: a stamp of a disc a point. On two cores without a graphics card that is quicker
 * than a canvas call a point and than WebGL in software, and it needs no shaders that a content policy would refuse.
 */
import { eachIn, type Field } from './field.js';

/** What part of the plane is seen: its middle, and how many times larger than the whole. */
export interface Camera {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export const WHOLE: Camera = { x: 0.5, y: 0.5, zoom: 1 };
export const MOST_ZOOM = 2000;
/** Room around the points at zoom 1, a share of the side. */
const MARGIN = 0.04;

/** Between the plane and a canvas of `width` × `height` pixels. */
export function projection({ x, y, zoom }: Camera, width: number, height: number) {
  const scale = Math.min(width, height) * (1 - 2 * MARGIN) * zoom;
  return {
    scale,
    toX: (at: number) => (at - x) * scale + width / 2,
    toY: (at: number) => (at - y) * scale + height / 2,
    fromX: (at: number) => (at - width / 2) / scale + x,
    fromY: (at: number) => (at - height / 2) / scale + y,
    box: {
      left: x - width / 2 / scale,
      right: x + width / 2 / scale,
      top: y - height / 2 / scale,
      bottom: y + height / 2 / scale,
    },
  };
}

/** A disc's radius for so many points of a picture: they may cover a share of it, no more. */
export function radiusFor(count: number, area: number, ratio: number): number {
  const fair = Math.sqrt((area * 0.2) / Math.max(count, 1) / Math.PI);
  return Math.min(Math.max(fair, 1.1 * ratio), 6 * ratio);
}

/**
 * Paints the points that are seen.
 * @param options.pixels the bitmap's, RGBA in the machine's order; overwritten whole.
 * @param options.colours of each point: an index of `palette`.
 * @param options.palette packed colours, as `pack` makes them.
 * @returns how many points were painted.
 */
export function paintPoints(
  field: Field,
  camera: Camera,
  options: {
    readonly pixels: Uint32Array;
    readonly width: number;
    readonly height: number;
    readonly ratio: number;
    readonly colours: Uint8Array;
    readonly palette: Uint32Array;
    readonly ground: number;
  },
): number {
  const { pixels, width, height, ratio, colours, palette, ground } = options;
  pixels.fill(ground);
  const { box, scale } = projection(camera, width, height);
  let count = 0;
  eachIn(field, box, () => count++);
  const radius = radiusFor(count, width * height, ratio);
  const stamp = stampOf(radius);
  const { size, full, edges, shares } = stamp;
  const [shiftX, shiftY] = [width / 2 - camera.x * scale, height / 2 - camera.y * scale];
  const { x, y } = field;
  const rows = full.map(([dx, dy, length]) => [dx + dy * width, length] as const);
  eachIn(field, box, (i) => {
    const px = Math.round(x[i]! * scale + shiftX);
    const py = Math.round(y[i]! * scale + shiftY);
    if (px < size || py < size || px >= width - size || py >= height - size) return;
    const colour = palette[colours[i]!]!;
    const at = py * width + px;
    for (const [offset, length] of rows) {
      const start = at + offset;
      for (let k = 0; k < length; k++) pixels[start + k] = colour;
    }
    for (let k = 0; k < edges.length; k += 2) {
      const target = at + edges[k]! + edges[k + 1]! * width;
      pixels[target] = mix(pixels[target]!, colour, shares[k >> 1]!);
    }
  });
  return count;
}

/** A colour as the bitmap has it, of "#rrggbb". */
export function pack(colour: string): number {
  const value = Number.parseInt(colour.slice(1), 16);
  // RGBA bytes, little-endian.
  return ((255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >>> 16)) >>> 0;
}

// --- internal ---

interface Stamp {
  /** No pixel of it is farther than this from its middle. */
  readonly size: number;
  /** Runs of whole pixels: dx, dy, length. */
  readonly full: readonly (readonly [number, number, number])[];
  /** dx and dy, in turns, of pixels that are covered in part. */
  readonly edges: Int32Array;
  /** Of 256. */
  readonly shares: Uint16Array;
}

const stamps = new Map<number, Stamp>();

function stampOf(exact: number): Stamp {
  const radius = Math.round(exact * 4) / 4;
  const known = stamps.get(radius);
  if (known !== undefined) return known;
  const size = Math.ceil(radius + 0.5);
  const full: [number, number, number][] = [];
  const edges: number[] = [];
  const shares: number[] = [];
  for (let dy = -size; dy <= size; dy++)
    for (let dx = -size; dx <= size; dx++) {
      const share = Math.min(Math.max(radius + 0.5 - Math.hypot(dx, dy), 0), 1);
      const last = full.at(-1);
      if (share > 0.95)
        if (last !== undefined && last[1] === dy && last[0] + last[2] === dx) last[2]++;
        else full.push([dx, dy, 1]);
      else if (share > 0.08) {
        edges.push(dx, dy);
        shares.push(Math.round(share * 256));
      }
    }
  const stamp = { size, full, edges: Int32Array.from(edges), shares: Uint16Array.from(shares) };
  stamps.set(radius, stamp);
  return stamp;
}

/** `share` of 256 of `over` on `under`, two channels at a time. */
function mix(under: number, over: number, share: number): number {
  const rest = 256 - share;
  const even = (((under & 0xff00ff) * rest + (over & 0xff00ff) * share) >>> 8) & 0xff00ff;
  const odd = (((under >>> 8) & 0xff) * rest + ((over >>> 8) & 0xff) * share) & 0xff00;
  return (0xff000000 | even | odd) >>> 0;
}
