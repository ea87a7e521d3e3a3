import { describe, expect, it } from 'vitest';
import { summariseMethod } from '../evaluation/index.js';
import { figuresTable } from './evaluate.js';

/** Four pictures on a circle; the first two are near each other. */
const embeddings = Float32Array.from([0, 0.1, 2, 3].flatMap((angle) => [Math.cos(angle), Math.sin(angle)]));
const cells = (table: string) => {
  const line = table.split('\n').find((text) => text.includes('model')) ?? '';
  return line.split('│').map((cell) => cell.trim());
};

describe('figuresTable', () => {
  it('a level at which nothing can be found has no figure, not 0.0', async () => {
    const levels = { item_id: ['a', 'a', 'b', 'c'], look: ['', '', '', ''], kind: ['x', 'y', 'x', 'y'] };
    const figures = await summariseMethod({ embeddings, dimension: 2, levels });
    expect(cells(figuresTable({ model: figures })).slice(2, 6)).toEqual(['100.0', '100.0', '–', '–']);
    expect(cells(figuresTable({ model: figures })).slice(6, 8)).toEqual(['0.0', '0.0']);
  });

  it('without queries for items there is no figure of items', async () => {
    const levels = { item_id: ['a', 'b', 'c', 'd'] };
    const figures = await summariseMethod({ embeddings, dimension: 2, levels });
    expect(cells(figuresTable({ model: figures })).slice(2, 4)).toEqual(['–', '–']);
  });
});
