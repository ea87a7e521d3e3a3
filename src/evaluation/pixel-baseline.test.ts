import { expect, it } from 'vitest';
import { Random } from '../util/index.js';
import { pixelEmbeddings } from './pixel-baseline.js';

it('averages areas: a 4 × 4 picture to 2 × 2, by hand', () => {
  // Grey quarters 0, 40, 80, 120 (with noise that averages out): mean 60, differences −60, −20, 20, 60.
  const grey = [-5, 5, 40, 40, 5, -5, 40, 40, 70, 90, 120, 120, 80, 80, 110, 130].map((value) => value + 10);
  const picture = Uint8Array.from(grey.flatMap((value) => [value, value, value]));
  const { embeddings, dimension } = pixelEmbeddings(picture, { height: 4, width: 4, size: 2 });
  expect(dimension).toBe(12);
  const length = Math.sqrt(3 * (60 ** 2 + 20 ** 2 + 20 ** 2 + 60 ** 2));
  const expected = [-60, -20, 20, 60].flatMap((value) => Array(3).fill(value / length) as number[]);
  expected.forEach((value, i) => {
    expect(embeddings[i]).toBeCloseTo(value, 6);
  });
});

it('shares cells that fall on an edge: 3 wide to 2', () => {
  const picture = Uint8Array.from([0, 0, 0, 90, 90, 90, 240, 240, 240]);
  const { embeddings } = pixelEmbeddings(picture, { height: 1, width: 3, size: 2 });
  // columns: (0 + 45)/1.5 = 30 and (45 + 240)/1.5 = 190; both rows alike; centred ±80
  const unit = 1 / Math.sqrt(12);
  for (const [i, value] of embeddings.entries()) {
    expect(value).toBeCloseTo(Math.floor(i / 3) % 2 === 0 ? -unit : unit, 6);
  }
});

it('is of unit length, ignores brightness and contrast, and makes one colour zeros', () => {
  const random = Random.from(4);
  const first = Uint8Array.from({ length: 9 * 7 * 3 }, () => random.integer(100));
  const second = first.map((value) => 2 * value + 10);
  const flat = new Uint8Array(first.length).fill(200);
  const pictures = Uint8Array.from([...first, ...second, ...flat]);
  const { embeddings, dimension } = pixelEmbeddings(pictures, { height: 9, width: 7, size: 5 });
  const dot = (a: number, b: number) =>
    embeddings
      .subarray(a * dimension, (a + 1) * dimension)
      .reduce((sum, value, d) => sum + value * embeddings[b * dimension + d]!, 0);
  expect(dot(0, 0)).toBeCloseTo(1, 5);
  expect(dot(0, 1)).toBeCloseTo(1, 5);
  expect(dot(2, 2)).toBe(0);
  expect(() => pixelEmbeddings(new Uint8Array(10), { height: 2, width: 2 })).toThrow(/10 bytes/);
});
