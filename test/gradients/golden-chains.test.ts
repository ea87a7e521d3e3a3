/** Shape chains as PyTorch exports them, in four opsets: read and written again, they give what the file gives. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readModel } from '../../src/onnx/index.js';
import { floatTensor } from '../../src/onnx/session.js';
import { expectSameResults, numbers } from '../support/onnx-model.js';

const folder = join(import.meta.dirname, '../golden/chains');
const files = readdirSync(folder).sort();

describe('networks of make-chains.py', () => {
  it('are there', () => {
    expect(files.length).toBe(15);
  });

  it.each(files)('%s, for any number of pictures', async (file) => {
    const bytes = readFileSync(join(folder, file));
    const model = readModel(bytes);
    expect(model.graph.inputs[0]?.value.shape).toEqual(['N', 8, 6, 6]);
    expect(model.graph.outputs[0]?.value.shape[0]).toBe('N');
    expect(model.graph.nodes.filter(({ operator }) => operator.opaque !== undefined)).toEqual([]);
    for (const batch of [1, 3]) {
      const pixels = floatTensor(numbers(batch * 8 * 36), [batch, 8, 6, 6]);
      await expectSameResults(bytes, { pixels }, { model });
    }
  });
});
