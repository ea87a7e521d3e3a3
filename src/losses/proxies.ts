/**
 * What losses on proxies share: the cosines of embeddings with one trained direction a class.
 *
 * Letters: B batch, C training classes, D embedding size.
 */
import { constant, equal, matmul, matrixTranspose, reshape, unitLength, type Value } from '../graph/index.js';
import { GraphError, ShapeError } from '../util/index.js';
import type { MetricLossInputs } from './metric-loss.js';
import { checkBatch } from './pairs.js';

export interface ProxyPairs {
  /** Cosine of each embedding with each proxy [B, C]. */
  readonly similarity: Value;
  /** Whether the proxy is of the picture's class, bool [B, C]. */
  readonly isOwn: Value;
}

/**
 * @throws GraphError without proxies.
 * @throws ShapeError when they do not fit the embeddings.
 */
export function proxyPairs({ embeddings, itemIds, proxies }: MetricLossInputs, where: string): ProxyPairs {
  const batch = checkBatch(embeddings, itemIds, where);
  if (proxies === undefined) {
    throw new GraphError(`${where}: proxies are required, got none. Give one row a training class.`);
  }
  if (proxies.rank !== 2 || proxies.shape[1] !== embeddings.shape[1]) {
    throw new ShapeError(
      `${where}: proxies must have shape [C, D] = [C, ${embeddings.shape[1]}], got [${proxies.shape.join(', ')}].`,
    );
  }
  const classes = Number(proxies.shape[0]);
  const numbers = constant(
    BigInt64Array.from({ length: classes }, (_, i) => BigInt(i)),
    [1, classes],
    {
      dataType: 'int64',
    },
  );
  return {
    similarity: matmul(embeddings, matrixTranspose(unitLength(proxies))),
    isOwn: equal(reshape(itemIds, [batch, 1]), numbers),
  };
}
