/** A contact sheet: a grid of pictures with a label before each row, so that a dataset can be judged at a glance. */
import sharp from 'sharp';
import { writeFileAtomic } from '../../util/index.js';

export interface ContactSheetRow {
  readonly label: string;
  /** Pictures, left to right; upright by their EXIF orientation. */
  readonly files: readonly string[];
}

/**
 * Writes the sheet as PNG, on white.
 * @param cellSize width and height of a picture, pixels. Default 96.
 * @param labelWidth room for the labels, pixels. Default 120, about 14 letters.
 */
export async function makeContactSheet(
  file: string,
  rows: readonly ContactSheetRow[],
  { cellSize = 96, labelWidth = 120 }: { cellSize?: number; labelWidth?: number } = {},
): Promise<void> {
  const gap = Math.max(4, Math.round(cellSize / 12));
  const step = cellSize + gap;
  const width = labelWidth + gap + step * Math.max(1, ...rows.map((row) => row.files.length));
  const height = gap + step * Math.max(1, rows.length);
  const labels = rows
    .map(
      ({ label }, row) =>
        `<text x="${gap}" y="${gap + row * step + cellSize / 2 + 5}">${escapeXml(label)}</text>`,
    )
    .join('');
  const layer = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="16" fill="#444">${labels}</svg>`;
  const pictures = await Promise.all(
    rows.flatMap((row, y) =>
      row.files.map(async (input, x) => ({
        input: await sharp(input)
          .autoOrient()
          .flatten({ background: '#ffffff' })
          .resize(cellSize, cellSize, { fit: 'contain', background: '#ffffff' })
          .toBuffer(),
        left: labelWidth + gap + x * step,
        top: gap + y * step,
      })),
    ),
  );
  const sheet = sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
    .composite([{ input: Buffer.from(layer) }, ...pictures])
    .png();
  await writeFileAtomic(file, await sheet.toBuffer());
}

// --- internal ---

function escapeXml(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
