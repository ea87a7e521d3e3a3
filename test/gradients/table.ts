/**
 * The gradient table: at least one row for every operator of `src/graph/operators.ts`. Adding an operator means
 * adding rows in its family's file.
 */

import type { Row } from './row.js';
import { elementwiseRows } from './rows-elementwise.js';
import { linearAlgebraRows } from './rows-linear-algebra.js';
import { movementRows } from './rows-movement.js';
import { networkRows } from './rows-network.js';
import { reductionRows } from './rows-reduction.js';

export const table: readonly Row[] = [
  ...elementwiseRows,
  ...reductionRows,
  ...movementRows,
  ...linearAlgebraRows,
  ...networkRows,
];
