import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/index.js';
import { decodePicture, pictureSize } from './decode.js';
import { inFractions, parseRegion, regionPixels, shownArea } from './region.js';

describe('parseRegion', () => {
  it.each([
    ['10,20,200,180', { left: 10, top: 20, right: 200, bottom: 180, unit: 'pixel' }],
    [' 10, 20, 200, 180 ', { left: 10, top: 20, right: 200, bottom: 180, unit: 'pixel' }],
    ['10%,20%,80%,90%', { left: 0.1, top: 0.2, right: 0.8, bottom: 0.9, unit: 'fraction' }],
    ['0%,0%,100%,12.5%', { left: 0, top: 0, right: 1, bottom: 0.125, unit: 'fraction' }],
    ['0.1,0.25,0.5,1', { left: 0.1, top: 0.25, right: 0.5, bottom: 1, unit: 'fraction' }],
    ['0,0,.5,.5', { left: 0, top: 0, right: 0.5, bottom: 0.5, unit: 'fraction' }],
    ['0,0,1,1', { left: 0, top: 0, right: 1, bottom: 1, unit: 'pixel' }],
    ['0.5,0.5,10,20', { left: 0.5, top: 0.5, right: 10, bottom: 20, unit: 'pixel' }],
  ])("'%s'", (text, region) => {
    expect(parseRegion(text)).toEqual(region);
  });

  it.each([
    ['', /four numbers/],
    ['1,2,3', /four numbers/],
    ['1,2,3,4,5', /four numbers/],
    ['a,2,3,4', /four numbers/],
    ['-1,2,3,4', /four numbers/],
    ['1e3,2,3,4', /four numbers/],
    ['1,2,Infinity,4', /four numbers/],
    ['10%,20,80%,90%', /all in pixels or all in per cent/],
    ['10%,20%,80%,101%', /at 100 % or earlier/],
    ['5,0,5,9', /left before its right/],
    ['0,9,5,5', /top above its bottom/],
  ])("refuses '%s' on one line that shows the way", (text, reason) => {
    let message = '';
    try {
      parseRegion(text);
    } catch (error) {
      expect(error).toBeInstanceOf(DataError);
      message = (error as Error).message;
    }
    expect(message).toMatch(reason);
    expect(message).toMatch(/^box: .*, got '.*'\. Write left,top,right,bottom/);
    expect(message).not.toContain('\n');
  });
});

describe('regionPixels', () => {
  it('a box of whole pixels in fractions comes back as these pixels', () => {
    const side = fc.integer({ min: 1, max: 5000 });
    fc.assert(
      fc.property(side, side, fc.tuple(side, side, side, side), (width, height, [a, b, c, d]) => {
        const [left, top] = [a % width, b % height];
        const box = {
          left,
          top,
          right: left + 1 + (c % (width - left)),
          bottom: top + 1 + (d % (height - top)),
        };
        expect(regionPixels(inFractions(box, { width, height }), { width, height })).toEqual(box);
        expect(regionPixels(box, { width, height })).toEqual(box);
      }),
    );
  });

  it('is cut off at the right and bottom, and refused outside', () => {
    const size = { width: 40, height: 20 };
    expect(regionPixels({ left: 30, top: 5, right: 99, bottom: 99 }, size)).toEqual({
      left: 30,
      top: 5,
      right: 40,
      bottom: 20,
    });
    for (const bad of [
      { left: 40, top: 0, right: 50, bottom: 5 },
      { left: -1, top: 0, right: 5, bottom: 5 },
      { left: 0, top: 0, right: Number.NaN, bottom: 5 },
      { left: 0, top: 0, right: 1.5, bottom: 1, unit: 'fraction' as const },
    ])
      expect(() => regionPixels(bad, size)).toThrow(DataError);
  });
});

describe('shownArea', () => {
  it('fill, cover and contain of a whole picture and of a box', () => {
    const size = { width: 40, height: 20 };
    expect(shownArea(size, 'fill')).toEqual({ left: 0, top: 0, right: 40, bottom: 20 });
    expect(shownArea(size, 'cover')).toEqual({ left: 10, top: 0, right: 30, bottom: 20 });
    expect(shownArea(size, 'contain')).toEqual({ left: 0, top: -10, right: 40, bottom: 30 });
    const box = { left: 0.5, top: 0, right: 0.75, bottom: 1, unit: 'fraction' as const };
    expect(shownArea(size, 'cover', box)).toEqual({ left: 20, top: 5, right: 30, bottom: 15 });
    expect(shownArea(size, 'contain', box)).toEqual({ left: 15, top: 0, right: 35, bottom: 20 });
  });

  /** A white picture of 60 × 40 with one dark square, whose middle must be found again where shownArea says. */
  it.each([1, 2, 3, 4, 5, 6, 7, 8] as const)(
    'agrees with the decoder, EXIF orientation %i',
    async (orientation) => {
      const dark = await sharp({ create: { width: 6, height: 6, channels: 3, background: '#000' } })
        .png()
        .toBuffer();
      const bytes = await sharp({ create: { width: 60, height: 40, channels: 3, background: '#fff' } })
        .composite([{ input: dark, left: 24, top: 12 }])
        .png()
        .withMetadata({ orientation })
        .toBuffer();
      const upright = await decodePicture(bytes);
      const size = await pictureSize(bytes);
      expect(size).toEqual({ width: upright.width, height: upright.height });
      const isTurned = orientation >= 5;
      expect(size).toEqual(isTurned ? { width: 40, height: 60 } : { width: 60, height: 40 });
      const [x, y] = darkMiddle(upright.data, upright.width);
      for (const fit of ['fill', 'cover', 'contain'] as const)
        for (const box of [
          undefined,
          { left: 0.1, top: 0.1, right: 0.9, bottom: 0.95, unit: 'fraction' as const },
        ]) {
          const square = await decodePicture(bytes, { size: 80, fit, ...(box === undefined ? {} : { box }) });
          const [u, v] = darkMiddle(square.data, 80);
          const area = shownArea(size, fit, box);
          expect(Math.abs(area.left + (u / 80) * (area.right - area.left) - x)).toBeLessThan(1);
          expect(Math.abs(area.top + (v / 80) * (area.bottom - area.top) - y)).toBeLessThan(1);
        }
    },
  );
});

/** Mean place of what is dark, weighted by darkness. */
function darkMiddle(data: Uint8Array, width: number): [number, number] {
  let [sum, x, y] = [0, 0, 0];
  for (let i = 0; i < data.length / 3; i++) {
    const darkness = 255 - data[3 * i]!;
    if (darkness < 100) continue;
    sum += darkness;
    x += darkness * ((i % width) + 0.5);
    y += darkness * (Math.floor(i / width) + 0.5);
  }
  return [x / sum, y / sum];
}
