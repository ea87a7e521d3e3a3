/**
 * The gradient table: at least one row for every operator of `src/graph/operators.ts`. Adding an operator means
 * adding rows in its family's file.
 */

import type { Row } from './row.js';
import { activationRows } from './rows-activation.js';
import { elementwiseRows } from './rows-elementwise.js';
import { indexingRows } from './rows-indexing.js';
import { linearAlgebraRows } from './rows-linear-algebra.js';
import { movementRows } from './rows-movement.js';
import { networkRows } from './rows-network.js';
import { poolingRows } from './rows-pooling.js';
import { quantizationRows } from './rows-quantization.js';
import { reductionRows } from './rows-reduction.js';
import { resizeRows } from './rows-resize.js';
import { shapeRows } from './rows-shape.js';

export const table: readonly Row[] = [
  ...elementwiseRows,
  ...reductionRows,
  ...movementRows,
  ...linearAlgebraRows,
  ...networkRows,
  ...shapeRows,
  ...indexingRows,
  ...activationRows,
  ...poolingRows,
  ...quantizationRows,
  ...resizeRows,
];
