/**
 * The table of all operators by their ONNX names. What reads a file looks an operator up here; what builds a graph
 * calls the functions of the family files.
 */
import { convolutionOperators } from './convolution.js';
import { elementwiseOperators } from './elementwise.js';
import { indexingOperators } from './indexing.js';
import type { Operator } from './ir.js';
import { linearAlgebraOperators } from './linear-algebra.js';
import { movementOperators } from './movement.js';
import { normalizationOperators } from './normalization.js';
import { reductionOperators } from './reduction.js';

export const operators = {
  ...elementwiseOperators,
  ...reductionOperators,
  ...movementOperators,
  ...linearAlgebraOperators,
  ...convolutionOperators,
  ...normalizationOperators,
  ...indexingOperators,
} as const satisfies Record<string, Operator>;

export type OperatorName = keyof typeof operators;

/** The operator of that name, or `undefined` when there is none. */
export function findOperator(name: string): Operator | undefined {
  return Object.hasOwn(operators, name) ? operators[name as OperatorName] : undefined;
}
