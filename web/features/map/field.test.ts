import { expect, test } from 'vitest';
import { Random } from '../../../src/util/index.js';
import { makeField, nearest, pointsIn, towards } from './field.js';

const random = Random.from(7);
const positions = Float32Array.from({ length: 4000 }, () => random.uniform());
const field = makeField(positions);
const all = Array.from({ length: 2000 }, (_, i) => ({ i, x: positions[2 * i]!, y: positions[2 * i + 1]! }));

test('every point is in the grid once', () => {
  expect([...field.order].sort((a, b) => a - b)).toEqual(all.map(({ i }) => i));
  expect(makeField(new Float32Array()).count).toBe(0);
  expect(
    pointsIn(makeField(Float32Array.of(0, 0, 1, 1)), { left: 0, top: 0, right: 1, bottom: 1 }, 9).total,
  ).toBe(2);
});

test('the nearest point and those of a window are what a look at all of them finds', () => {
  for (let n = 0; n < 200; n++) {
    const [x, y] = [random.uniform() * 1.2 - 0.1, random.uniform() * 1.2 - 0.1];
    const radius = 0.01 + random.uniform() * 0.2;
    const found = all
      .map(({ i, ...p }) => ({ i, d: Math.hypot(p.x - x, p.y - y) }))
      .sort((a, b) => a.d - b.d)[0]!;
    expect(nearest(field, x, y, radius)).toBe(found.d < radius ? found.i : null);
    const box = { left: x, top: y, right: x + radius, bottom: y + radius };
    const inside = all.filter(
      (p) => p.x >= box.left && p.x <= box.right && p.y >= box.top && p.y <= box.bottom,
    );
    const { points, total } = pointsIn(field, box, 5000);
    expect(total).toBe(inside.length);
    expect([...points].sort((a, b) => a - b)).toEqual(inside.map(({ i }) => i));
  }
});

test('steps go in their direction, and end at the last point', () => {
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const)
    for (const start of [0, 500, 1999]) {
      let at: number | null = start;
      let steps = 0;
      for (let next = towards(field, start, dx, dy); next !== null; next = towards(field, next, dx, dy)) {
        expect((field.x[next]! - field.x[at!]!) * dx + (field.y[next]! - field.y[at!]!) * dy).toBeGreaterThan(
          0,
        );
        at = next;
        expect(steps++).toBeLessThan(2000);
      }
    }
});
