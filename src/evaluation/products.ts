/** Blocks of the similarity matrix by onnxruntime: some thirty times as fast as a plain loop, in float32. */
import { buildGraph, input, matmul, transpose } from '../graph/index.js';
import { floatTensor, Session, writeModel } from '../onnx/index.js';
import type { SimilarityBlock } from './similarity.js';

export interface RuntimeProducts {
  /** For `RankingOptions.similarity`; what it returns is overwritten by the next call. */
  readonly block: SimilarityBlock;
  close(): Promise<void>;
}

/** Opens a session for products of any size. @param threads of one product. Default 1. */
export async function runtimeProducts(threads = 1): Promise<RuntimeProducts> {
  const queries = input('queries', 'float32', ['Q', 'D']);
  const gallery = input('gallery', 'float32', ['G', 'D']);
  const similarities = matmul(queries, transpose(gallery, [1, 0]));
  const model = writeModel(buildGraph([queries, gallery], { similarities }));
  const session = await Session.create(model, { threads });
  let memory = new Float32Array();
  return {
    async block(queryRows, galleryRows, dimension) {
      const Q = queryRows.length / dimension;
      const G = galleryRows.length / dimension;
      if (memory.length < Q * G) memory = new Float32Array(Q * G);
      const result = memory.subarray(0, Q * G);
      await session.run(
        { queries: tensor(queryRows, [Q, dimension]), gallery: tensor(galleryRows, [G, dimension]) },
        { similarities: floatTensor(result, [Q, G]) },
      );
      return result;
    },
    close: () => session.close(),
  };
}

// --- internal ---

function tensor(rows: Float32Array | Float64Array, shape: readonly number[]) {
  return floatTensor(rows instanceof Float32Array ? rows : new Float32Array(rows), shape);
}
