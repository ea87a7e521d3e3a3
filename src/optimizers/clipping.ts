/**
 * Gradient clipping by global norm (Pascanu, Mikolov, Bengio, arXiv 1211.5063).
 */
import {
  add,
  constant,
  divide,
  maximum,
  multiply,
  reduceSumSquare,
  squareRoot,
  type Value,
} from '../graph/index.js';

/**
 * Scales all gradients by one factor so that their joint Euclidean norm is at most `limit`.
 * @returns the gradients, and their norm before, a scalar
 */
export function clipByGlobalNorm(
  gradients: readonly Value[],
  limit: number,
): { gradients: readonly Value[]; norm: Value } {
  const norm = squareRoot(gradients.map((gradient) => reduceSumSquare(gradient, 'all')).reduce(add));
  if (!Number.isFinite(limit)) return { gradients, norm };
  const factor = divide(constant(limit, []), maximum(norm, constant(limit, [])));
  return { gradients: gradients.map((gradient) => multiply(gradient, factor)), norm };
}
