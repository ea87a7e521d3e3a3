/** Runs the gradient table. A row that fails prints its seed, which is its place in the table. */
import { describe, expect, it } from 'vitest';
import { operators } from '../../src/graph/index.js';
import { checkRow } from './row.js';
import { table } from './table.js';

describe('gradient table', () => {
  it('has a row for every operator', () => {
    const covered = new Set<string>(table.map(({ operator }) => operator));
    expect(Object.keys(operators).filter((name) => !covered.has(name))).toEqual([]);
  });

  table.forEach((row, index) => {
    it(`${row.operator}: ${row.name}`, () => checkRow(row, index));
  });
});
