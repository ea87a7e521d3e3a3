/**
 * Weights stored as float16, to halve a file. They are cast to float32 where they are used; runtimes do that once, when
 * the model is loaded, so the model computes in float32 as before and differs only by the rounding of its weights.
 *
 * (Computing in float16 is no gain on a CPU: onnxruntime has few float16 kernels there and wraps the other nodes in
 * casts. Figures are in docs/log.md.)
 */
import { cast, constant, type Graph, sizeOf, type Value } from '../graph/index.js';
import { float32ToFloat16 } from '../util/index.js';
import { constantsOf, rebuilt } from './rewriting.js';

export interface HalfPrecision {
  readonly graph: Graph;
  /** Constants that are stored as float16 now. */
  readonly converted: number;
  /** Names of large constants that stay float32, since an element of theirs is beyond float16's 65504. */
  readonly kept: readonly string[];
}

/** Stores the weights of a graph (float32 constants of two or more axes and 256 or more elements) as float16. */
export function withHalfPrecisionWeights(graph: Graph): HalfPrecision {
  const replacements = new Map<Value, Value>();
  const kept: string[] = [];
  for (const value of constantsOf(graph)) {
    const { origin, shape } = value;
    const sizes = shape as readonly number[];
    if (value.dataType !== 'float32' || value.rank < 2 || sizeOf(sizes) < FEWEST_ELEMENTS) continue;
    const data = origin.data as Float32Array;
    if (data.some((x) => Math.abs(x) > LARGEST_HALF && Number.isFinite(x))) {
      kept.push(origin.name ?? 'a constant without a name');
      continue;
    }
    const half = constant(float32ToFloat16(data), sizes, {
      dataType: 'float16',
      ...(origin.name === undefined ? {} : { name: origin.name }),
    });
    replacements.set(value, cast(half, 'float32'));
  }
  return { graph: rebuilt(graph, replacements), converted: replacements.size, kept };
}

// --- internal ---

/** Below, a file gains nothing. */
const FEWEST_ELEMENTS = 256;
const LARGEST_HALF = 65_504;
