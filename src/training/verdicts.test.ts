/** Masks of batches from verdicts, against their rules written out for every pair. */
import { describe, expect, it } from 'vitest';
import { batchVerdicts } from './verdicts.js';

/** Rows 0–1 are item 0, 2–3 item 1, 4–5 item 2; 6 and 7 have none. */
const ITEMS = [0, 0, 1, 1, 2, 2, -1, -1];

/** What each pair of a batch counts as: `+`, `-`, `.` neither, `?` as the labels say. */
function drawing(rows: readonly number[], masks: ReturnType<ReturnType<typeof batchVerdicts>>): string[] {
  const { isJudged, positive, negative } = masks;
  return rows.map((_, i) =>
    rows
      .map((_, j) => {
        const at = i * rows.length + j;
        if (isJudged[at] === 0) {
          expect([positive[at], negative[at]]).toEqual([0, 0]);
          return '?';
        }
        return positive[at] === 1 ? '+' : negative[at] === 1 ? '-' : '.';
      })
      .join(''),
  );
}

const ROWS = [0, 1, 2, 3, 4, 5, 6, 7];

describe('batchVerdicts', () => {
  it('says nothing of pairs that nobody judged, and keeps pictures without an item out of all of them', () => {
    const of = batchVerdicts(ITEMS, []);
    expect(drawing(ROWS, of(ROWS))).toEqual([
      '??????..',
      '??????..',
      '??????..',
      '??????..',
      '??????..',
      '??????..',
      '......?.',
      '.......?',
    ]);
  });

  it('a positive verdict spares the other pairs of its two items, a negative one none', () => {
    const of = batchVerdicts(ITEMS, [
      { rows: [0, 2], verdict: 'positive' },
      { rows: [5, 4], verdict: 'negative' },
      { rows: [6, 4], verdict: 'positive' },
      { rows: [7, 6], verdict: 'negative' },
    ]);
    expect(drawing(ROWS, of(ROWS))).toEqual([
      '??+.??..',
      '??..??..',
      '+.????..',
      '..????..',
      '?????-+.',
      '????-?..',
      '....+.?-',
      '......-?',
    ]);
  });

  it('links reach over a chain of items; a spared pair is still positive where labels say the same item', () => {
    const of = batchVerdicts(ITEMS, [
      { rows: [0, 2], verdict: 'positive' },
      { rows: [3, 4], verdict: 'positive' },
      { rows: [0, 1], verdict: 'spared' },
      { rows: [6, 7], verdict: 'spared' },
    ]);
    expect(drawing([1, 5, 0, 6, 7], of([1, 5, 0, 6, 7]))).toEqual([
      '?.?..',
      '.?...',
      '?.?..',
      '...?.',
      '....?',
    ]);
  });

  it('a picture twice in a batch is itself; the last verdict counts', () => {
    const of = batchVerdicts(ITEMS, [
      { rows: [0, 4], verdict: 'positive' },
      { rows: [4, 0], verdict: 'negative' },
    ]);
    expect(drawing([0, 0, 4], of([0, 0, 4]))).toEqual(['??-', '??-', '--?']);
    // Two views of one picture without an item: no label says that they are alike.
    expect(drawing([6, 6], of([6, 6]))).toEqual(['?.', '.?']);
  });
});
