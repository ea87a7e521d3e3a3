import { describe, expect, it } from 'vitest';
import { float16ToFloat32, float32ToFloat16 } from './float16.js';
import { Random } from './random.js';

describe('half precision', () => {
  it('every finite pattern comes back as it was', () => {
    const patterns = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter((i) => (i & 0x7c00) !== 0x7c00);
    expect(float32ToFloat16(float16ToFloat32(patterns))).toEqual(patterns);
  });

  it.each([
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65_504],
    [0x0001, 2 ** -24],
    [0x0400, 2 ** -14],
    [0x7c00, Number.POSITIVE_INFINITY],
    [0xfc00, Number.NEGATIVE_INFINITY],
    [0x7e00, Number.NaN],
  ])('pattern %i is %d, both ways', (pattern, value) => {
    expect(float16ToFloat32(Uint16Array.of(pattern))[0]).toBe(value);
    expect(float32ToFloat16(Float32Array.of(value))[0]).toBe(pattern);
  });

  it('rounds to the nearest, ties to even', () => {
    const all = float16ToFloat32(Uint16Array.from({ length: 0x7c00 }, (_, i) => i)); // ascending from 0 to 65,504
    const random = Random.from(7);
    for (let trial = 0; trial < 2000; trial++) {
      const low = random.integer(0x7bff);
      const [a, b] = [all[low]!, all[low + 1]!];
      const middle = (a + b) / 2;
      expect(float32ToFloat16(Float32Array.of(middle))[0]).toBe(low % 2 === 0 ? low : low + 1);
      const value = Math.fround(random.between(a, b));
      if (value === middle) continue;
      expect(float32ToFloat16(Float32Array.of(value, -value))).toEqual(
        Uint16Array.of(value < middle ? low : low + 1, 0x8000 | (value < middle ? low : low + 1)),
      );
    }
    expect(float32ToFloat16(Float32Array.of(65_519.99, 65_520, 1e30))).toEqual(
      Uint16Array.of(0x7bff, 0x7c00, 0x7c00),
    );
  });
});
