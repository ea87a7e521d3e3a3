import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { blots } from '../../../test/support/pictures.js';
import { decodePicture } from '../decode.js';
import { DisjointSets, groupNearDuplicates } from './near-duplicates.js';
import {
  FINGERPRINT_SIZE,
  HASH_WORDS,
  hashDistance,
  isSameMiniature,
  MINIATURE_BYTES,
  takeFingerprint,
} from './perceptual-hash.js';

async function fingerprints(pictures: readonly Uint8Array[]) {
  const hashes = new Uint32Array(HASH_WORDS * pictures.length);
  const miniatures = new Uint8Array(MINIATURE_BYTES * pictures.length);
  for (const [index, bytes] of pictures.entries()) {
    const { data } = await decodePicture(bytes, { size: FINGERPRINT_SIZE, fit: 'fill' });
    takeFingerprint(
      data,
      hashes.subarray(HASH_WORDS * index, HASH_WORDS * (index + 1)),
      miniatures.subarray(MINIATURE_BYTES * index, MINIATURE_BYTES * (index + 1)),
    );
  }
  return { hashes, miniatures, count: pictures.length };
}
const group = ({ hashes, miniatures, count }: Awaited<ReturnType<typeof fingerprints>>) =>
  groupNearDuplicates(hashes, miniatures, count);

describe('fingerprints', () => {
  it('hash a ramp by hand: every left neighbour darker or lighter', () => {
    const ramp = (step: number) =>
      Uint8Array.from({ length: FINGERPRINT_SIZE ** 2 * 3 }, (_, at) => {
        const x = Math.floor(at / 3) % FINGERPRINT_SIZE;
        return step > 0 ? 3 * x : 255 - 3 * x;
      });
    const hash = new Uint32Array(HASH_WORDS);
    const miniature = new Uint8Array(MINIATURE_BYTES);
    const bits = () =>
      [...hash].join('').length &&
      [...hash].reduce((sum, word) => sum + word.toString(2).replaceAll('0', '').length, 0);
    takeFingerprint(ramp(1), hash, miniature);
    expect(bits()).toBe(0); // darker to the left
    expect([...miniature.subarray(0, 6)]).toEqual([8, 8, 8, 26, 26, 26]); // means of 0, 3 … 15 and 18 … 33
    takeFingerprint(ramp(-1), hash, miniature);
    expect(bits()).toBe(64); // lighter to the left, flat downwards
  });

  it('counts differing bits', () => {
    fc.assert(
      fc.property(fc.uint32Array({ minLength: 8, maxLength: 8 }), (words) => {
        const naive = [0, 1, 2, 3]
          .map((at) => ((words[at]! ^ words[4 + at]!) >>> 0).toString(2).replaceAll('0', '').length)
          .reduce((a, b) => a + b);
        expect(hashDistance(words, 0, 1, 128)).toBe(naive);
        expect(hashDistance(words, 0, 1, 7) > 7).toBe(naive > 7);
      }),
    );
  });
});

describe('groupNearDuplicates', () => {
  it('finds pictures that were encoded or scaled anew, and no others', async () => {
    const originals = await Promise.all(Array.from({ length: 12 }, (_, seed) => blots(seed, 96)));
    const again = await Promise.all([
      sharp(originals[0]).jpeg({ quality: 40 }).toBuffer(),
      sharp(originals[1]).resize(50).webp({ quality: 60 }).toBuffer(),
      sharp(originals[2]).resize(200, 200).png().toBuffer(),
      sharp(originals[3]).flop().png().toBuffer(),
      sharp(originals[4]).modulate({ hue: 90 }).png().toBuffer(), // same shapes, other colours
      sharp(originals[0]).jpeg({ quality: 90 }).toBuffer(),
    ]);
    expect(group(await fingerprints([...originals, ...again]))).toEqual([
      [0, 12, 17],
      [1, 13],
      [2, 14],
    ]);
  });

  it('finds the pairs that comparing all with all finds', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            from: fc.nat(),
            flips: fc.array(fc.nat(127), { maxLength: 9 }),
            shade: fc.constantFrom(0, 3, 60),
          }),
          { minLength: 2, maxLength: 25 },
        ),
        (cases) => {
          const count = cases.length;
          const hashes = new Uint32Array(HASH_WORDS * count);
          const miniatures = new Uint8Array(MINIATURE_BYTES * count);
          for (const [index, { from, flips, shade }] of cases.entries()) {
            if (index > 0) hashes.copyWithin(4 * index, 4 * (from % index), 4 * (from % index) + 4);
            for (const bit of flips) hashes[4 * index + (bit >> 5)]! ^= 1 << (bit & 31);
            miniatures.fill(shade, MINIATURE_BYTES * index, MINIATURE_BYTES * (index + 1));
          }
          const sets = new DisjointSets(count);
          for (let a = 0; a < count; a++) {
            for (let b = a + 1; b < count; b++) {
              if (hashDistance(hashes, a, b, 7) <= 7 && isSameMiniature(miniatures, a, b)) sets.join(a, b);
            }
          }
          expect(groupNearDuplicates(hashes, miniatures, count)).toEqual(sets.list());
        },
      ),
    );
  });
});
