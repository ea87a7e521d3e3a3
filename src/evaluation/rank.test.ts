import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import { rank, rankHere } from './rank.js';

describe('a large ranking', () => {
  const dimension = 16;
  const rows = 400;
  const random = Random.from(1);
  const embeddings = new Float32Array(rows * dimension);
  for (let row = 0; row < rows; row++) {
    const own = embeddings.subarray(row * dimension, (row + 1) * dimension);
    if (row % 50 === 1)
      own.set(embeddings.subarray((row - 1) * dimension, row * dimension)); // duplicates: ties
    else for (let d = 0; d < dimension; d++) own[d] = random.normal() / Math.sqrt(dimension);
  }
  const all = Int32Array.from({ length: rows }, (_, row) => row);
  const options = {
    embeddings,
    dimension,
    levels: {
      item: Int32Array.from(all, (row) => row % 100),
      kind: Int32Array.from(all, (row) => row % 5),
    },
    queryRows: all,
    galleryRows: all.filter((row) => row % 3 !== 0),
    excludeGroups: Int32Array.from(all, (row) => row % 4),
    graded: true,
    attributes: Array.from(all, (row) => ({ colour: [`${row % 7}`], tags: [`${row % 3}`, `${row % 11}`] })),
    threads: 2,
    largeFrom: 0,
  };

  it('gives on threads what a plain loop gives', async () => {
    const progress: number[] = [];
    const threaded = await rank({
      ...options,
      progress: () => ({ update: (done) => progress.push(done), stop() {} }),
    });
    const plain = await rankHere({ ...options, tieTolerance: 1e-6 });
    for (const level of ['item', 'kind'] as const) {
      for (const figure of ['firstRank', 'mapAtR', 'rPrecision', 'averagePrecision'] as const) {
        const [a, b] = [threaded.metrics[level]![figure], plain.metrics[level]![figure]];
        // Float32 products can put two near pictures the other way round, far down.
        expect(meanDifference(a, b), `${level} ${figure}`).toBeLessThan(figure === 'firstRank' ? 0.01 : 1e-5);
      }
    }
    for (const figure of ['hap', 'asi', 'ndcg', 'attributeNdcgAt10', 'attributeSpearman'] as const)
      expect(meanDifference(threaded.graded![figure], plain.graded![figure]), figure).toBeLessThan(1e-5);
    expect(Math.max(...progress)).toBe(rows);
  }, 180_000);

  it('stops when it is told to, and tells what is wrong', async () => {
    const controller = new AbortController();
    const stopped = rank({
      ...options,
      signal: controller.signal,
      progress: () => ({ update: () => controller.abort(new Error('enough')), stop() {} }),
    });
    await expect(stopped).rejects.toThrow('enough');
    const torn = embeddings.slice();
    torn[5 * dimension + 7] = Number.NaN;
    await expect(rank({ ...options, embeddings: torn })).rejects.toThrow(/got NaN in row 5, column 7/);
    await expect(rank({ ...options, attributes: [] })).rejects.toThrow(/attributes must be of N = /);
  }, 180_000);
});

function meanDifference(a: Float64Array, b: Float64Array): number {
  expect(a.length).toBe(b.length);
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    expect(Number.isNaN(a[i])).toBe(Number.isNaN(b[i]));
    if (!Number.isNaN(a[i])) sum += Math.abs(a[i]! - b[i]!);
  }
  return sum / a.length;
}
