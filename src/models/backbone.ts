/**
 * A backbone from a file, and the part of it that is trained.
 *
 * `openBackbone` makes the file's graph one from RGB `pixel_values` to features; `planBackbone` decides which of its
 * parameters are trained and how; `backboneNetwork` builds it, for training or for export, with those parameters from
 * a `NetworkContext` and all others as the constants that they are. It can be built from a cut point on instead of from
 * pictures: what is before is the frozen prefix, whose outputs are cached.
 */
import {
  apply,
  batchNormalizationTraining,
  buildGraph,
  constant,
  type Graph,
  gather,
  globalAveragePool,
  input,
  type Node,
  reduceMean,
  reshape,
  simplify,
  sizeOf,
  substitute,
  topologicalOrder,
  type Value,
} from '../graph/index.js';
import { DataError, ShapeError } from '../util/index.js';
import { foldBatchNormalization } from './batch-normalization-folding.js';
import { type CutPoint, cutPoints } from './cut-points.js';
import { type Features, findFeatures } from './features.js';
import { type NetworkContext, runningMean } from './layers.js';
import { type AdapterOptions, adaptedNode, isAdaptable } from './low-rank-adapters.js';
import type { BackboneOutputs } from './multitask-network.js';
import { parameterRoles } from './parameter-roles.js';
import { type Stage, stagesOf } from './stages.js';

/** A network from a file, float32, from RGB pictures to features. */
export interface Backbone {
  /** `pixel_values` float32 ['N', 3, H, W], normalised as its preprocessing says, RGB. */
  readonly pixels: Value;
  /** [N, F] */
  readonly features: Value;
  /** [N, C, h, w], where the network has a map of positions. */
  readonly featureMap: Value | undefined;
  readonly parameters: readonly BackboneParameter[];
  readonly stages: readonly Stage[];
  /** Values through which every path from the pictures to the features passes, in order. */
  readonly cuts: readonly CutPoint[];
  /** How the features were found, a sentence. */
  readonly note: string;
}

export interface BackboneParameter {
  readonly name: string;
  /** The constant of the graph. */
  readonly value: Value;
  readonly isDecayed: boolean;
  /** Whether it is the scale or shift of a batch normalisation (that was not folded). */
  readonly isBatchNormalization: boolean;
}

export interface BackboneOptions {
  /** Height and width of the pictures, pixels. */
  readonly size: number;
  /** Order of the channels that the file wants. Default RGB. */
  readonly channels?: 'rgb' | 'bgr';
  /**
   * Name of the value in the file that serves as features: an output, whose classifier is then left out, or any other
   * value as it is. Default: found, see `findFeatures`.
   */
  readonly features?: string | undefined;
  /**
   * `frozen`: batch normalisation keeps its statistics, scales and shifts, and is folded into convolutions where it can
   * be. `training`: it stands, so that it can be trained with the batch's statistics.
   */
  readonly normalization?: 'frozen' | 'training';
}

/** A file that has been read: its graph, and its values by name. */
export interface ReadGraph {
  readonly graph: Graph;
  readonly values: ReadonlyMap<string, Value>;
}

/**
 * @throws DataError when the file is no network on pictures in [N, 3, H, W].
 * @throws ShapeError when it does not take pictures of that size.
 */
export function openBackbone(model: ReadGraph, options: BackboneOptions): Backbone {
  const { size, channels = 'rgb', normalization = 'frozen' } = options;
  const picture = pictureInput(model.graph);
  const found = featuresOf(model, options.features);
  const pixels = input('pixel_values', 'float32', ['N', 3, size, size]);
  const arranged =
    channels === 'rgb' ? pixels : gather(pixels, constant([2, 1, 0], [3], { dataType: 'int64' }), 1);
  const wanted = [found.features, ...(found.featureMap === undefined ? [] : [found.featureMap])];
  let values: readonly Value[];
  try {
    values = substitute(wanted, new Map([[picture, arranged]]));
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new ShapeError(
      `backbone: the network must take pictures of ${size} × ${size} pixels in batches of any size, got: ${error.message}`,
    );
  }
  if (values[0]?.shape[0] !== 'N') {
    throw new ShapeError(
      `backbone: the network must take pictures of ${size} × ${size} pixels in batches of any size, got features [${values[0]?.shape.join(', ')}] of N pictures.`,
    );
  }
  if (normalization === 'frozen') values = foldBatchNormalization(values);
  const [representation, map] = values as readonly [Value, Value?];
  const graph = simplify(
    buildGraph([pixels], {
      features: pooled(representation, found.pooling),
      ...(map?.rank === 4 ? { feature_map: map } : {}),
    }),
  );
  const [features, featureMap] = graph.outputs.map(({ value }) => value) as [Value, Value?];
  return {
    pixels,
    features,
    featureMap,
    parameters: parametersOf(graph),
    stages: stagesOf(graph, pixels, features),
    cuts: cutPoints(graph, pixels, features),
    note: found.note,
  };
}

/** Which part of a backbone is trained, counted from its end. */
export type TrainedPart =
  | 'none'
  | 'last-stage'
  | 'all'
  /** That many stages. */
  | { readonly stages: number }
  /** A share of the network's arithmetic, from 0 to 1. */
  | { readonly depth: number }
  /** Parameters by name; `*` stands for any text. */
  | { readonly names: readonly string[] };

export interface BackboneTraining {
  readonly trained: TrainedPart;
  /** Trains low-rank adapters of the part's matrices instead of its parameters. */
  readonly adapters?: AdapterOptions | undefined;
  readonly normalization: 'frozen' | 'training';
  /** Learning rate of the backbone as a share of the heads'. */
  readonly learningRateScale: number;
}

/** What of a backbone is trained. */
export interface BackbonePlan {
  readonly backbone: Backbone;
  readonly options: BackboneTraining;
  readonly trained: ReadonlySet<Value>;
  readonly adapted: ReadonlySet<Node>;
  /** The last cut point before anything that is trained: the end of the frozen prefix. `undefined`: nothing is frozen. */
  readonly cut: CutPoint | undefined;
}

/** @throws DataError when nothing of the backbone has the names that are asked for, or no matrix can be adapted. */
export function planBackbone(backbone: Backbone, options: BackboneTraining): BackbonePlan {
  const selected = selectedParameters(backbone, options.trained).filter(
    ({ isBatchNormalization }) => !isBatchNormalization || options.normalization === 'training',
  );
  const chosen = new Set(selected.map(({ value }) => value));
  const nodes = topologicalOrder([backbone.features]);
  const adapted = new Set(
    options.adapters === undefined
      ? []
      : nodes.filter((node) => isAdaptable(node) && chosen.has(node.inputs[1] as Value)),
  );
  if (options.adapters !== undefined && chosen.size > 0 && adapted.size === 0) {
    throw new DataError(
      'backbone.adapters: the trained part must have a MatMul, Gemm or 1×1 Conv with a constant matrix, got none. Train the parameters themselves, or a larger part',
    );
  }
  const trained = options.adapters === undefined ? chosen : new Set<Value>();
  const isTouched = (node: Node) =>
    adapted.has(node) || node.inputs.some((value) => value !== undefined && trained.has(value));
  let cut: CutPoint | undefined;
  for (const point of backbone.cuts.filter(({ value }) => value !== backbone.pixels)) {
    if (topologicalOrder([point.value]).some(isTouched)) break;
    cut = point;
  }
  return { backbone, options, trained, adapted, cut };
}

/**
 * Builds the backbone.
 * @param from `'pixels'`, or the cut point at which `source` enters
 * @param source normalised pictures [N, 3, H, W], or the values of the cut point [N, …]
 */
export function backboneNetwork(
  context: NetworkContext,
  { backbone, options, trained, adapted }: BackbonePlan,
  from: 'pixels' | CutPoint,
  source: Value,
  { withFeatureMap = true }: { withFeatureMap?: boolean } = {},
): BackboneOutputs {
  const replacements = new Map<Value, Value>([[from === 'pixels' ? backbone.pixels : from.value, source]]);
  for (const { name, value, isDecayed } of backbone.parameters) {
    if (!trained.has(value)) continue;
    const parameter = context.parameters.get({
      name: `${PREFIX}${name}`,
      shape: value.shape as readonly number[],
      initializer: { kind: 'given', data: dataOf(value) },
      kind: 'trained',
      isDecayed,
      learningRateScale: options.learningRateScale,
    });
    replacements.set(value, parameter);
  }
  const wanted = [backbone.features];
  if (withFeatureMap && backbone.featureMap !== undefined) wanted.push(backbone.featureMap);
  const [features, featureMap] = substitute(wanted, replacements, (node, inputs) => {
    if (adapted.has(node) && options.adapters !== undefined) {
      const name = `${PREFIX}${nameOf(node.inputs[1])}.adapter`;
      return [adaptedNode(context, node, inputs, name, options.adapters, options.learningRateScale)];
    }
    const isTrainedNormalization =
      node.operator.name === 'BatchNormalization' && trained.has(node.inputs[1] as Value);
    return isTrainedNormalization ? [trainedNormalization(context, node, inputs)] : undefined;
  }) as readonly [Value, Value?];
  return { features, featureMap };
}

/**
 * The frozen prefix as a network of its own.
 * @param source normalised pictures [N, 3, H, W]
 * @returns the cut point's value [N, …]
 */
export function frozenPrefix({ backbone }: BackbonePlan, cut: CutPoint, source: Value): Value {
  return substitute([cut.value], new Map([[backbone.pixels, source]]))[0] as Value;
}

// --- internal ---

/** Keeps a file's names apart from those of the heads. */
const PREFIX = 'backbone.';

function pictureInput(graph: Graph): Value {
  const [first, ...others] = graph.inputs;
  if (first === undefined || others.length > 0) {
    throw new DataError(
      `backbone: the network must have one input, the picture, got ${graph.inputs.map(({ name }) => name).join(', ') || 'none'}`,
    );
  }
  const { value, name } = first;
  const channels = value.shape[1];
  if (value.rank !== 4 || (typeof channels === 'number' && channels !== 3) || value.dataType !== 'float32') {
    const hint = value.rank === 4 && value.shape[3] === 3 ? ' Export it with channels first' : '';
    throw new DataError(
      `backbone: input '${name}' must be float32 [N, 3, H, W], got ${value.dataType} [${value.shape.join(', ')}].${hint}`,
    );
  }
  return value;
}

function featuresOf({ graph, values }: ReadGraph, name: string | undefined): Features {
  const value = name === undefined ? undefined : values.get(name);
  if (value === undefined || graph.outputs.some((output) => output.name === name)) {
    return findFeatures(graph, name);
  }
  return {
    features: value,
    featureMap: value.rank === 4 ? value : undefined,
    pooling: 'average',
    note: `features are '${name}' [${value.shape.join(', ')}], averaged over places`,
  };
}

function pooled(value: Value, pooling: 'none' | 'average' | 'class-token'): Value {
  const sizes = value.shape.slice(1).map(Number);
  if (value.rank === 4) {
    const mean = value.shape[2] === 1 && value.shape[3] === 1 ? value : globalAveragePool(value);
    return reshape(mean, [0, sizes[0] as number]);
  }
  if (value.rank === 3) {
    return pooling === 'class-token'
      ? gather(value, constant(0, [], { dataType: 'int64' }), 1)
      : reduceMean(value, [1]);
  }
  if (value.rank !== 2) {
    throw new DataError(
      `backbone: features must have shape [N, F], [N, T, F] or [N, F, h, w], got [${value.shape.join(', ')}]. Name others with backbone.features`,
    );
  }
  return value;
}

function parametersOf(graph: Graph): BackboneParameter[] {
  const ofBatchNormalization = new Set<Value | undefined>();
  for (const node of graph.nodes) {
    if (node.operator.name === 'BatchNormalization')
      for (const value of node.inputs) ofBatchNormalization.add(value);
  }
  const taken = new Set<string>();
  return [...parameterRoles(graph)].flatMap(([value, role]) => {
    if (!role.isTrainable) return [];
    let name = nameOf(value);
    for (let i = 2; taken.has(name); i++) name = `${nameOf(value)}_${i}`;
    taken.add(name);
    return [
      { name, value, isDecayed: role.isDecayed, isBatchNormalization: ofBatchNormalization.has(value) },
    ];
  });
}

function selectedParameters(backbone: Backbone, part: TrainedPart): readonly BackboneParameter[] {
  const { parameters, stages, cuts } = backbone;
  if (part === 'none') return [];
  if (part === 'all') return parameters;
  if (part === 'last-stage') return selectedParameters(backbone, { stages: 1 });
  if ('stages' in part) {
    const withParameters = stages.filter((stage) => stage.parameters > 0);
    const first = withParameters[withParameters.length - part.stages];
    const boundary = first === undefined ? undefined : stages[stages.indexOf(first) - 1];
    return boundary === undefined ? parameters : after(parameters, boundary.end);
  }
  if ('depth' in part) {
    const total = cuts.at(-1)?.multiplyAddsBefore ?? 0;
    const boundary = cuts
      .filter(({ multiplyAddsBefore }) => multiplyAddsBefore <= (1 - part.depth) * total)
      .at(-1);
    return boundary === undefined ? parameters : after(parameters, boundary.value);
  }
  const patterns = part.names.map(
    (name) => new RegExp(`^${name.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`),
  );
  const named = parameters.filter(({ name }) => patterns.some((pattern) => pattern.test(name)));
  if (named.length === 0) {
    throw new DataError(
      `backbone.trained: names must be among those of the ${parameters.length} parameters (such as ${parameters[0]?.name}), got ${part.names.join(', ')}. See \`semblance inspect\``,
    );
  }
  return named;
}

/** The parameters that `boundary` does not depend on. */
function after(parameters: readonly BackboneParameter[], boundary: Value): BackboneParameter[] {
  const before = new Set(topologicalOrder([boundary]).flatMap(({ inputs }) => inputs));
  return parameters.filter(({ value }) => !before.has(value));
}

/** Batch normalisation by the batch's own statistics while training, by running ones in an exported model. */
function trainedNormalization(
  context: NetworkContext,
  node: Node,
  inputs: readonly (Value | undefined)[],
): Value {
  const [x, weight, bias] = inputs as readonly [Value, Value, Value];
  const [mean, variance] = [3, 4].map((index) => {
    const value = node.inputs[index] as Value;
    return context.parameters.get({
      name: `${PREFIX}${nameOf(value)}`,
      shape: value.shape as readonly number[],
      initializer: { kind: 'given', data: dataOf(value) },
      kind: 'statistic',
      isDecayed: false,
    });
  }) as [Value, Value];
  const epsilon = Number(node.attributes.epsilon ?? 1e-5);
  if (context.mode === 'inference') {
    return apply(node.operator, [x, weight, bias, mean, variance], node.attributes, node.name);
  }
  const batch = batchNormalizationTraining(x, weight, bias, epsilon);
  context.statistics[`${PREFIX}${nameOf(node.inputs[3])}`] = runningMean(mean, batch.mean);
  context.statistics[`${PREFIX}${nameOf(node.inputs[4])}`] = runningMean(variance, batch.variance);
  return batch.y;
}

function nameOf(value: Value | undefined): string {
  return (value?.origin.kind === 'constant' && value.origin.name) || 'parameter';
}

function dataOf(value: Value): Float32Array {
  if (value.origin.kind !== 'constant' || !(value.origin.data instanceof Float32Array)) {
    throw new Error(`internal: a parameter must be a float32 constant, got ${value.dataType}.`);
  }
  if (value.origin.data.length !== sizeOf(value.shape as readonly number[]))
    throw new Error('internal: size');
  return value.origin.data;
}
