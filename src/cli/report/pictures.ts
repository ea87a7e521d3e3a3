/** Small pictures for the report: thumbnails as WebP, each made once, and the map drawn with the pictures themselves. */
import sharp from 'sharp';
import { decodePicture, type ManifestRow } from '../../data/index.js';
import type { ReportPicture } from '../../evaluation/index.js';

/** Side of a thumbnail, pixels. */
const THUMBNAIL = 96;
const QUALITY = 74;

/** Makes thumbnails of rows and keeps them. */
export class Thumbnails {
  readonly #made = new Map<ManifestRow, Promise<ReportPicture>>();

  of(row: ManifestRow): Promise<ReportPicture> {
    const known = this.#made.get(row);
    if (known !== undefined) return known;
    const made = thumbnail(row);
    this.#made.set(row, made);
    return made;
  }
}

/** What a row is called: its item in words, and who made the picture. */
export function captionOf({ itemId, source }: Pick<ManifestRow, 'itemId' | 'source'>): string {
  const name = itemId.replace(/^[0-9a-f]+(-[0-9a-f]{4,})*-/, '').replaceAll('-', ' ');
  return source === undefined ? name : `${name} · ${source}`;
}

/**
 * Draws pictures at their places; of those that would overlap the first is drawn.
 * @param places [N, 2] in the unit square
 * @returns WebP as a data URI
 */
export async function pictureMap(
  rows: readonly ManifestRow[],
  places: Float32Array,
  { side = 1400, cell = 30 }: { side?: number; cell?: number } = {},
): Promise<string> {
  const columns = Math.floor(side / cell);
  const taken = new Set<number>();
  const chosen = rows.flatMap((row, i) => {
    const [x, y] = [places[2 * i]!, places[2 * i + 1]!].map((place) =>
      Math.min(columns - 1, Math.floor(place * columns)),
    ) as [number, number];
    const key = y * columns + x;
    if (taken.has(key)) return [];
    taken.add(key);
    return [{ row, left: x * cell, top: y * cell }];
  });
  const tops = chosen.map(({ top }) => top);
  const lefts = chosen.map(({ left }) => left);
  const [top0, left0] = [Math.min(...tops), Math.min(...lefts)];
  const layers = await Promise.all(
    chosen.map(async ({ row, left, top }) => {
      const { data, width, height } = await decode(row, cell - 2);
      return {
        input: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
        raw: { width, height, channels: 3 as const },
        left: left - left0 + 1,
        top: top - top0 + 1,
      };
    }),
  );
  const width = Math.max(...lefts) - left0 + cell;
  const height = Math.max(...tops) - top0 + cell;
  const canvas = sharp({ create: { width, height, channels: 3, background: '#ffffff' } });
  return dataUri(await canvas.composite(layers).webp({ quality: QUALITY, effort: 4 }).toBuffer());
}

// --- internal ---

function decode({ path, box }: ManifestRow, size: number) {
  return decodePicture(path, { size, fit: 'contain', ...(box === undefined ? {} : { box }) });
}

async function thumbnail(row: ManifestRow): Promise<ReportPicture> {
  const { data, width, height } = await decode(row, THUMBNAIL);
  const picture = sharp(data, { raw: { width, height, channels: 3 } });
  const bytes = await picture.webp({ quality: QUALITY, effort: 4 }).toBuffer();
  return { dataUri: dataUri(bytes), caption: captionOf(row) };
}

function dataUri(webp: Buffer): string {
  return `data:image/webp;base64,${webp.toString('base64')}`;
}
