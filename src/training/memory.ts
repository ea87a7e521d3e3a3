/**
 * Cross-batch memory: the embeddings of the last batches with what a loss has to know of them, first in, first out, as
 * states of the training graph; so they are in its checkpoints.
 *
 * Source: Wang, Zhang, Huang, Scott, "Cross-batch memory for embedding learning", CVPR 2020, arXiv 1912.06798: embeddings
 * drift so slowly that those of past batches still serve as negatives and positives.
 *
 * Letters: B batch, M rows of the memory.
 */
import { cast, concat, constant, greater, input, multiply, slice, type Value } from '../graph/index.js';

export interface MemoryState {
  readonly name: string;
  readonly shape: readonly number[];
  /** The state as an input of the graph, and what becomes of it. */
  readonly value: Value;
  readonly next: Value;
}

export interface CrossBatchMemory<Name extends string> {
  readonly states: readonly MemoryState[];
  /** The rows of the past, by the names of what was remembered, each [M, …]. */
  readonly past: Readonly<Record<Name, Value>>;
  /** 1 where a row was filled, else 0 [M] */
  readonly isFilled: Value;
}

/** Prefix of the memory among the states. */
export const MEMORY_PREFIX = 'memory.';

/**
 * @param remembered float32 values [B, …] of the batch by name; no gradient flows through the past ones
 * @param batches M / B, at least 1
 * @param step number of the step, from 1, a float32 scalar
 * @param startStep steps whose batches are not remembered
 */
export function crossBatchMemory<Name extends string>(
  remembered: Readonly<Record<Name, Value>>,
  { batches, startStep }: { readonly batches: number; readonly startStep: number },
  step: Value,
): CrossBatchMemory<Name> {
  const names = Object.keys(remembered) as Name[];
  const batch = Number(remembered[names[0] as Name].shape[0]);
  const states: MemoryState[] = [];
  const remember = (name: string, current: Value): Value => {
    const shape = [batches * batch, ...current.shape.slice(1).map(Number)];
    const value = input(`${MEMORY_PREFIX}${name}`, 'float32', shape);
    const kept = slice(value, [{ axis: 0, start: 0, end: (batches - 1) * batch }]);
    const next = concat(batches === 1 ? [current] : [current, kept], 0);
    states.push({ name: `${MEMORY_PREFIX}${name}`, shape, value, next });
    return value;
  };
  const past = Object.fromEntries(names.map((name) => [name, remember(name, remembered[name])]));
  const isStarted = cast(greater(step, constant(startStep, [])), 'float32');
  const ones = constant(new Float32Array(batch).fill(1), [batch]);
  return {
    states,
    past: past as Record<Name, Value>,
    isFilled: remember('is_filled', multiply(ones, isStarted)),
  };
}
