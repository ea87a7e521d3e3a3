/**
 * Two pictures beside each other with their heat maps over them, as a PNG. The pictures are drawn pale and grey, so that
 * the colour is the map's: red speaks for the match, blue against, both on one scale. What the model does not see of a
 * picture stays uncoloured and is darker.
 */
import sharp from 'sharp';
import { type HeatMap, type HeatMaps, type PictureSource, sourceParts } from '../bundle/index.js';
import { decodePicture } from '../data/index.js';

/**
 * Draws the heat maps of a pair.
 * @param side the longer side of each picture, pixels. Default 480.
 * @returns a PNG
 */
export async function heatMapPicture(
  maps: HeatMaps,
  pictures: { readonly query: PictureSource; readonly hit: PictureSource },
  { side = 480 }: { side?: number } = {},
): Promise<Uint8Array> {
  // One scale for both: the strongest cell of either is fully coloured.
  const strongest = Math.max(...[...maps.query.values, ...maps.hit.values].map(Math.abs), 1e-12);
  const query = await drawn(pictures.query, maps.query, strongest, side);
  const hit = await drawn(pictures.hit, maps.hit, strongest, side);
  const place = (one: Drawn, left: number) => ({
    input: Buffer.from(one.data),
    raw: { width: one.width, height: one.height, channels: 3 as const },
    left: left + Math.floor((side - one.width) / 2),
    top: MARGIN + Math.floor((side - one.height) / 2),
  });
  const width = 2 * side + 3 * MARGIN;
  return await sharp({
    create: { width, height: side + 3 * MARGIN + LEGEND, channels: 3, background: '#ffffff' },
  })
    .composite([
      place(query, MARGIN),
      place(hit, 2 * MARGIN + side),
      { input: legend(width - 2 * MARGIN, strongest), left: MARGIN, top: side + 2 * MARGIN },
    ])
    .png()
    .toBuffer();
}

/** The map at a point of the square it lies over, u and v from 0 to 1: smooth between the middles of cells, exact in them. */
export function heatAt({ width, height, values }: HeatMap, u: number, v: number): number {
  const place = (position: number, count: number) => {
    const at = Math.min(Math.max(position * count - 0.5, 0), count - 1);
    const low = Math.min(Math.floor(at), Math.max(count - 2, 0));
    const way = at - low;
    return [low, Math.min(low + 1, count - 1), way * way * (3 - 2 * way)] as const;
  };
  const [left, right, x] = place(u, width);
  const [top, bottom, y] = place(v, height);
  const cell = (row: number, column: number) => values[row * width + column] ?? 0;
  const upper = cell(top, left) * (1 - x) + cell(top, right) * x;
  const lower = cell(bottom, left) * (1 - x) + cell(bottom, right) * x;
  return upper * (1 - y) + lower * y;
}

// --- internal ---

const MARGIN = 16;
const LEGEND = 28;
/** For and against: red and blue that keep apart in the common kinds of colour blindness. */
const FOR = [214, 47, 39] as const;
const AGAINST = [33, 102, 172] as const;
/** How much of a fully coloured cell is colour. */
const OPACITY = 0.8;

interface Drawn {
  /** [height, width, 3] */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

async function drawn(picture: PictureSource, map: HeatMap, strongest: number, side: number): Promise<Drawn> {
  const { source, name } = sourceParts(picture);
  const whole = await decodePicture(source, name === undefined ? {} : { name });
  const scale = side / Math.max(whole.width, whole.height);
  const width = Math.max(1, Math.round(whole.width * scale));
  const height = Math.max(1, Math.round(whole.height * scale));
  const pixels = await sharp(whole.data, { raw: { width: whole.width, height: whole.height, channels: 3 } })
    .resize(width, height, { fit: 'fill' })
    .raw()
    .toBuffer();
  const { left, top, right, bottom } = map.area;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = 3 * (y * width + x);
      const u = ((x + 0.5) / width - left) / (right - left);
      const v = ((y + 0.5) / height - top) / (bottom - top);
      const isSeen = u >= 0 && u <= 1 && v >= 0 && v <= 1;
      const heat = isSeen ? heatAt(map, u, v) / strongest : 0;
      const grey = 0.299 * pixels[at]! + 0.587 * pixels[at + 1]! + 0.114 * pixels[at + 2]!;
      for (let channel = 0; channel < 3; channel++) {
        const pale = isSeen ? 255 - 0.7 * (255 - (0.8 * grey + 0.2 * pixels[at + channel]!)) : 0.55 * grey;
        pixels[at + channel] = mixed(pale, heat, channel);
      }
    }
  return { data: pixels, width, height };
}

function mixed(base: number, heat: number, channel: number): number {
  const colour = (heat >= 0 ? FOR : AGAINST)[channel] as number;
  const share = OPACITY * Math.min(Math.abs(heat), 1);
  return Math.round(base * (1 - share) + colour * share);
}

function legend(width: number, strongest: number): Buffer {
  const css = (heat: number) => `rgb(${[0, 1, 2].map((channel) => mixed(255, heat, channel)).join(',')})`;
  const bar = Math.min(360, width - 2 * 150);
  const left = (width - bar) / 2;
  const text = (x: number, anchor: string, content: string) =>
    `<text x="${x}" y="19" font-family="sans-serif" font-size="14" fill="#333" text-anchor="${anchor}">${content}</text>`;
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${LEGEND}">` +
      `<defs><linearGradient id="g"><stop offset="0" stop-color="${css(-1)}"/><stop offset="0.5" stop-color="${css(0)}"/>` +
      `<stop offset="1" stop-color="${css(1)}"/></linearGradient></defs>` +
      `<rect x="${left}" y="6" width="${bar}" height="16" fill="url(#g)" stroke="#999"/>` +
      text(left - 8, 'end', `against −${strongest.toFixed(3)}`) +
      text(left + bar + 8, 'start', `${strongest.toFixed(3)} for, a cell`) +
      '</svg>',
  );
}
