/**
 * The gradient table: at least one row for every operator of `src/graph/operators.ts`. Adding an operator means
 * adding rows in its family's file.
 */

import type { Row } from './row.js';
import { elementwiseRows } from './rows-elementwise.js';

export const table: readonly Row[] = [...elementwiseRows];
