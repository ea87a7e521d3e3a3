/**
 * The table of all operators by their ONNX names. What reads a file looks an operator up here; what builds a graph
 * calls the functions of the family files.
 */
import { activationOperators } from './activation.js';
import { convolutionOperators } from './convolution.js';
import { depthSpaceOperators } from './depth-space.js';
import { einsumOperators } from './einsum.js';
import { elementwiseOperators } from './elementwise.js';
import { groupNormalizationOperators } from './group-normalization.js';
import { indexingOperators } from './indexing.js';
import type { Operator } from './ir.js';
import { linearAlgebraOperators } from './linear-algebra.js';
import { movementOperators } from './movement.js';
import { normalizationOperators } from './normalization.js';
import { poolingOperators } from './pooling.js';
import { quantizationOperators } from './quantization.js';
import { reductionOperators } from './reduction.js';
import { resizeOperators } from './resize.js';
import { scatterOperators } from './scatter.js';
import { shapeOperators } from './shape.js';
import { trigonometryOperators } from './trigonometry.js';

export const operators = {
  ...elementwiseOperators,
  ...activationOperators,
  ...trigonometryOperators,
  ...reductionOperators,
  ...movementOperators,
  ...shapeOperators,
  ...linearAlgebraOperators,
  ...convolutionOperators,
  ...poolingOperators,
  ...resizeOperators,
  ...normalizationOperators,
  ...groupNormalizationOperators,
  ...indexingOperators,
  ...quantizationOperators,
  ...scatterOperators,
  ...einsumOperators,
  ...depthSpaceOperators,
} as const satisfies Record<string, Operator>;

export type OperatorName = keyof typeof operators;

/** The operator of that name, or `undefined` when there is none. */
export function findOperator(name: string): Operator | undefined {
  return Object.hasOwn(operators, name) ? operators[name as OperatorName] : undefined;
}
