/**
 * What an ONNX file says about itself, without building its graph: it is known of every file that is an ONNX model,
 * whatever operators and types it uses.
 */
import { decodeModel } from './read.js';
import { type TensorMessage, toNumber, type ValueInfoMessage } from './schema.js';

export interface FileSummary {
  /** `pytorch 1.13.1`; may be empty. */
  readonly producer: string;
  readonly irVersion: number;
  /** Versions of operator sets by domain; the standard one is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly inputs: readonly NamedType[];
  readonly outputs: readonly NamedType[];
  /** Nodes of the main graph by operator, most frequent first; of other domains as `com.microsoft.Gelu`. */
  readonly operators: readonly { readonly name: string; readonly count: number }[];
  readonly initializers: {
    readonly count: number;
    readonly elements: number;
    readonly bytes: number;
    /** Whether the data of some lies in other files. */
    readonly areExternal: boolean;
  };
}

export interface NamedType {
  readonly name: string;
  readonly dataType: string;
  /** Sizes; names of open ones, `?` where they have none. `undefined` where the file does not tell. */
  readonly shape: readonly (number | string)[] | undefined;
}

/** @throws GraphError when the bytes are no ONNX model. */
export function summarizeFile(bytes: Uint8Array): FileSummary {
  const { graph, opsetImport, producerName, producerVersion, irVersion } = decodeModel(bytes);
  const { node = [], initializer = [], input = [], output = [] } = graph ?? {};
  const initializers = new Set(initializer.map(({ name }) => name));
  const counts = new Map<string, number>();
  for (const { domain, opType } of node) {
    const name = domain === '' || domain === 'ai.onnx' ? opType : `${domain}.${opType}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const elementsOf = ({ dims }: TensorMessage) =>
    dims.reduce<number>((product, size) => product * toNumber(size), 1);
  return {
    producer: `${producerName} ${producerVersion}`.trim(),
    irVersion: toNumber(irVersion),
    opsets: Object.fromEntries(
      opsetImport.map(({ domain, version }) => [domain === '' ? 'ai.onnx' : domain, toNumber(version)]),
    ),
    inputs: input.filter(({ name }) => !initializers.has(name)).map(namedType),
    outputs: output.map(namedType),
    operators: [...counts]
      .map(([name, count]) => ({ name, count }))
      .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1)),
    initializers: {
      count: initializer.length,
      elements: initializer.reduce((sum, tensor) => sum + elementsOf(tensor), 0),
      bytes: initializer.reduce(
        (sum, tensor) => sum + elementsOf(tensor) * (BYTES[typeName(tensor.dataType)] ?? 0),
        0,
      ),
      areExternal: initializer.some(({ dataLocation }) => dataLocation === 1),
    },
  };
}

// --- internal ---

/** By their numbers in `TensorProto.DataType`. */
const TYPE_NAMES =
  'undefined float32 uint8 int8 uint16 int16 int32 int64 string bool float16 float64 uint32 uint64 complex64 complex128 bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1'.split(
    ' ',
  );

const BYTES: Readonly<Record<string, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  float64: 8,
  uint32: 4,
  uint64: 8,
  complex64: 8,
  complex128: 16,
  bfloat16: 2,
  float8e4m3fn: 1,
  float8e4m3fnuz: 1,
  float8e5m2: 1,
  float8e5m2fnuz: 1,
  uint4: 0.5,
  int4: 0.5,
  float4e2m1: 0.5,
};

function typeName(number: number): string {
  return TYPE_NAMES[number] ?? `type ${number}`;
}

function namedType({ name, type }: ValueInfoMessage): NamedType {
  const tensor = type?.tensorType;
  if (!tensor) return { name, dataType: 'no tensor', shape: undefined };
  const shape = tensor.shape?.dim.map((dim) => {
    if (dim.dimParam !== '') return dim.dimParam;
    const size = Object.hasOwn(dim, 'dimValue') ? toNumber(dim.dimValue) : -1;
    return size < 0 ? '?' : size;
  });
  return { name, dataType: typeName(tensor.elemType), shape };
}
