/**
 * Operators that the IR does not know: they are carried from file to file and run, with output types that the file or
 * the runtime tells. No gradient passes them.
 */
import type { Dimension, Operator, TensorType } from './ir.js';

/** An attribute with the kind that the file declares, which an unknown operator's name does not tell. */
export type OpaqueAttribute =
  | { readonly name: string; readonly kind: 'float' | 'int'; readonly value: number }
  | { readonly name: string; readonly kind: 'text'; readonly value: string }
  | { readonly name: string; readonly kind: 'floats' | 'ints'; readonly value: readonly number[] }
  | { readonly name: string; readonly kind: 'texts'; readonly value: readonly string[] }
  | { readonly name: string; readonly kind: 'tensor'; readonly value: unknown };

/** What a writer needs to write such a node as it was. */
export interface OpaqueForm {
  /** The operator set it belongs to: `''` is the standard one. */
  readonly domain: string;
  /** The version of that operator set. */
  readonly version: number;
  readonly attributes: readonly OpaqueAttribute[];
  /** Outputs that are not asked for; their types mean nothing. Default none. */
  readonly absentOutputs?: readonly number[];
}

export interface OpaqueOptions extends OpaqueForm {
  readonly name: string;
  /** The types of the inputs (`undefined`: absent) at which the output types hold. */
  readonly inputTypes: readonly (TensorType | undefined)[];
  readonly outputTypes: readonly TensorType[];
  /** What a user can do when a gradient needs to pass. */
  readonly advice?: string;
}

/**
 * An operator with fixed output types. A dimension's name in them follows the inputs: where the batch `'N'` becomes
 * 32 in an input, it does in the outputs.
 */
export function opaqueOperator(options: OpaqueOptions): Operator & { readonly opaque: OpaqueForm } {
  const { name, domain, version, attributes, absentOutputs = [], inputTypes, outputTypes, advice } = options;
  return {
    name,
    infer(inputs) {
      const renamed = new Map<Dimension, Dimension>();
      inputTypes.forEach((type, i) => {
        type?.shape.forEach((dimension, axis) => {
          const given = inputs[i]?.shape[axis];
          if (typeof dimension === 'string' && given !== undefined) renamed.set(dimension, given);
        });
      });
      return outputTypes.map(({ dataType, shape }) => ({
        dataType,
        shape: shape.map((dimension) => renamed.get(dimension) ?? dimension),
      }));
    },
    vjp: 'none',
    ...(advice === undefined ? {} : { advice }),
    opaque: { domain, version, attributes, absentOutputs },
  };
}
