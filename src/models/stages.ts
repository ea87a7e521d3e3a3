/**
 * A readable division of a network into a handful of stages, each ending at a cut point.
 *
 * Where the picture's resolution falls on the way, a stage is a run of one resolution, as the literature counts the
 * stages of convolutional and hierarchical networks. Where it does not (vision transformers), the repeated residual
 * blocks are dealt evenly into four. Where nothing repeats either, parameters are.
 */
import type { Graph, Node, Value } from '../graph/index.js';
import { type CutPoint, type CutPointOptions, cutPoints } from './cut-points.js';
import { parameterRoles } from './parameter-roles.js';

export interface Stage {
  /** `stem`, `stage1`, `stage2`, …, `head`. */
  readonly name: string;
  /** What the exporter calls the part of the network, such as `layer3` or `features.4…features.6`; may be empty. */
  readonly scope: string;
  /** Its last value, a cut point. */
  readonly end: Value;
  /** The shape of `end` for a batch of one picture. */
  readonly shape: readonly number[];
  /** Elements of its trainable parameters. */
  readonly parameters: number;
  /** Multiply-adds for one picture. */
  readonly multiplyAdds: number;
  /** Its share of the multiply-adds, in [0, 1]. */
  readonly share: number;
}

/**
 * Divides what lies between `from` (the picture) and `to` (the features) into about four to six stages.
 * @returns at least one stage; the last ends at `to`.
 * @throws GraphError when `to` does not depend on `from`.
 */
export function stagesOf(graph: Graph, from: Value, to: Value, options: CutPointOptions = {}): Stage[] {
  const points = cutPoints(graph, from, to, options);
  const cuts = points.slice(1).map((point, i) => ({
    ...point,
    multiplyAdds: point.multiplyAddsBefore - (points[i] as CutPoint).multiplyAddsBefore,
  }));
  if (cuts.length === 0) return [];
  const resolutions = resolutionsOf(points).slice(1);
  const runs = resolutionRuns(cuts, resolutions);
  const spatial = runs.filter(({ resolution }) => resolution > 1);
  const ends = spatial.length >= 3 ? runEnds(cuts, runs) : (blockEnds(cuts) ?? shareEnds(cuts));
  const total = (cuts.at(-1) as CutPoint).multiplyAddsBefore || 1;
  const bounds = ends.map((end) => cuts[end] as Cut);
  const names = stageNames(cuts, ends, resolutions);
  const scopes = scopesOf(graph, bounds);
  return bounds.map(({ value, shape, parametersBefore, multiplyAddsBefore }, i) => {
    const previous = i === 0 ? points[0] : bounds[i - 1];
    const multiplyAdds = multiplyAddsBefore - (previous?.multiplyAddsBefore ?? 0);
    return {
      name: names[i] as string,
      scope: scopes[i] as string,
      end: value,
      shape,
      parameters: parametersBefore - (previous?.parametersBefore ?? 0),
      multiplyAdds,
      share: multiplyAdds / total,
    };
  });
}

// --- internal ---

type Cut = CutPoint & { readonly multiplyAdds: number };

interface Run {
  readonly resolution: number;
  /** Numbers of its first and last cut point. */
  readonly first: number;
  readonly last: number;
}

const BLOCK_STAGES = 4;
const MAXIMAL_STAGES = 7;
/** The part after a run's last merge that belongs to the next stage has at most this share of the run's parameters. */
const LARGEST_TRANSITION = 0.25;

/** The places of the picture that each value tells apart: h·w of `[N, C, h, w]`, T of `[N, T, C]`. It never grows. */
function resolutionsOf(points: readonly CutPoint[]): number[] {
  let previous = Number.POSITIVE_INFINITY;
  return points.map(({ shape }) => {
    const [, a = 1, b = 1, c = 1] = shape;
    let resolution = 1;
    if (shape.length > 4)
      resolution = previous; // channels in groups, windows in rows
    else if (shape.length === 4)
      resolution = a === b && b !== c ? a * b : b * c; // [N, h, w, C] has equal sides
    else if (shape.length === 3) resolution = b === previous ? b : a; // [N, C, T] comes from a flattened map
    previous = Math.min(previous, resolution);
    return previous;
  });
}

/** Runs of one resolution; what falls by less than half (a class token that is dropped) counts as one. */
function resolutionRuns(cuts: readonly Cut[], resolutions: readonly number[]): Run[] {
  const runs: Run[] = [];
  let first = 0;
  resolutions.forEach((resolution, i) => {
    const next = resolutions[i + 1];
    if (next !== undefined && 2 * next > (resolutions[first] as number)) return;
    runs.push({ resolution, first, last: i });
    first = i + 1;
  });
  // A run without arithmetic (a pooling before the next convolution, the pooling at the end) joins its neighbour.
  const merged: Run[] = [];
  let start: number | undefined;
  for (const run of runs) {
    const begin = start ?? run.first;
    const hasArithmetic = cuts.slice(begin, run.last + 1).some(({ multiplyAdds }) => multiplyAdds > 0);
    if (hasArithmetic) {
      merged.push({ ...run, first: begin });
      start = undefined;
    } else start = begin;
  }
  const tail = merged.at(-1);
  if (start !== undefined && tail !== undefined)
    merged[merged.length - 1] = { ...tail, last: cuts.length - 1 };
  return merged;
}

/** Where the runs end: before what already belongs to the block that lowers the resolution. */
function runEnds(cuts: readonly Cut[], runs: readonly Run[]): number[] {
  const ends = runs.map((run, i) => (i === runs.length - 1 ? cuts.length - 1 : endOfRun(cuts, run)));
  const distinct = ends.filter((end, i) => i === 0 || end > (ends[i - 1] as number));
  // Many small steps: those with the least arithmetic join the next.
  while (distinct.length > MAXIMAL_STAGES) {
    const work = distinct.map((end, i) => workBetween(cuts, distinct[i - 1], end));
    const least = work.indexOf(Math.min(...work.slice(0, -1)));
    distinct.splice(least, 1);
  }
  return distinct;
}

function endOfRun(cuts: readonly Cut[], { first, last }: Run): number {
  // An inverted residual widens by a 1×1 convolution before its strided depthwise convolution: the block starts there.
  const next = cuts[last + 1];
  if (next !== undefined && isDepthwise(makerOfCut(next, cuts[last]))) {
    for (let i = last; i > first; i--) {
      const maker = makerNode((cuts[i] as Cut).value);
      if (maker?.operator.name !== 'Conv') continue;
      if (isPointwise(maker) && i > first) return i - 1;
      break;
    }
  }
  // After the last residual sum or concatenation: a transition to the next resolution, unless it holds much.
  let end = last;
  while (end > first && !isMerge((cuts[end] as Cut).value)) end--;
  if (!isMerge((cuts[end] as Cut).value)) return last;
  while (end < last && isActivation((cuts[end + 1] as Cut).value)) end++;
  const parametersOf = (from: number, to: number) =>
    (cuts[to] as Cut).parametersBefore - (cuts[from - 1]?.parametersBefore ?? 0);
  return parametersOf(end + 1, last) <= LARGEST_TRANSITION * parametersOf(first, last) ? end : last;
}

/** Ends of the repeated residual blocks, dealt into four, with what comes before them as the first; if there are. */
function blockEnds(cuts: readonly Cut[]): number[] | undefined {
  const merges = cuts.flatMap((cut, i) => (isMerge(cut.value) ? [i] : []));
  const signature = merges.map((at, i) => {
    const before = cuts[i === 0 ? 0 : (merges[i - 1] as number)] as Cut;
    const cut = cuts[at] as Cut;
    return `${cut.parametersBefore - before.parametersBefore} ${cut.shape.join()}`;
  });
  // The first merge is judged by those that follow it: what is before it holds the stem too.
  for (const period of [1, 2, 3, 4]) {
    const start = repetitionStart(signature, period);
    const count = Math.floor((merges.length - start) / period);
    if (count < 3) continue;
    const firstMerge = merges[start] as number;
    const stem = firstMerge > 0 ? firstMerge - 1 : undefined; // before the branch that the first sum closes
    const stages = Math.min(BLOCK_STAGES, count);
    const ends = Array.from({ length: stages }, (_, i) => {
      const blocks = Math.ceil(((i + 1) * count) / stages);
      return merges[start + blocks * period - 1] as number;
    });
    ends[ends.length - 1] = cuts.length - 1;
    return stem === undefined ? ends : [stem, ...ends];
  }
  return undefined;
}

/** The first merge from which on the signatures repeat with the period. */
function repetitionStart(signature: readonly string[], period: number): number {
  let start = signature.length - period;
  while (start > 0 && signature[start - 1] === signature[start - 1 + period]) start--;
  // The first block's first sum counts the stem's parameters too, so its signature differs.
  return start === 1 ? 0 : Math.max(start, 0);
}

/** Quarters of the parameters. */
function shareEnds(cuts: readonly Cut[]): number[] {
  const total = (cuts.at(-1) as Cut).parametersBefore;
  const ends: number[] = [];
  for (let quarter = 1; quarter < BLOCK_STAGES; quarter++) {
    const at = cuts.findIndex(
      ({ parametersBefore }) => parametersBefore >= (quarter * total) / BLOCK_STAGES && parametersBefore > 0,
    );
    let end = at;
    while (end >= 0 && end < cuts.length - 1 && isActivation((cuts[end + 1] as Cut).value)) end++;
    if (end >= 0 && end < cuts.length - 1 && end > (ends.at(-1) ?? -1)) ends.push(end);
  }
  const last = ends.at(-1);
  if (last !== undefined && workBetween(cuts, last, cuts.length - 1) === 0) ends.pop();
  return [...ends, cuts.length - 1];
}

function workBetween(cuts: readonly Cut[], after: number | undefined, to: number): number {
  return (
    (cuts[to] as Cut).multiplyAddsBefore - (after === undefined ? 0 : (cuts[after] as Cut).multiplyAddsBefore)
  );
}

function stageNames(cuts: readonly Cut[], ends: readonly number[], resolutions: readonly number[]): string[] {
  let count = 0;
  return ends.map((end, i) => {
    const first = i === 0 ? 0 : (ends[i - 1] as number) + 1;
    const inside = cuts.slice(first, end + 1);
    if (i === 0 && ends.length > 1 && !inside.some(({ value }) => isMerge(value))) return 'stem';
    const arithmetic = inside.flatMap(({ multiplyAdds }, k) => (multiplyAdds > 0 ? [first + k] : []));
    const isHead = i > 0 && i === ends.length - 1 && arithmetic.every((k) => resolutions[k] === 1);
    if (isHead && arithmetic.length > 0) return 'head';
    count++;
    return `stage${count}`;
  });
}

function makerNode(value: Value): Node | undefined {
  return value.origin.kind === 'node' ? value.origin.node : undefined;
}

/** The node that makes a cut point out of the one before it, if one does alone. */
function makerOfCut(cut: Cut, before: Cut | undefined): Node | undefined {
  const node = makerNode(cut.value);
  return node?.inputs[0] === before?.value ? node : undefined;
}

function isDepthwise(node: Node | undefined): boolean {
  return (
    node?.operator.name === 'Conv' && Number(node.attributes.group ?? 1) > 1 && node.inputs[1]?.shape[1] === 1
  );
}

function isPointwise(node: Node): boolean {
  return node.inputs[1]?.shape.slice(2).every((size) => size === 1) === true;
}

/** A residual sum or a concatenation of computed values. */
function isMerge(value: Value): boolean {
  const node = makerNode(value);
  if (node === undefined || !['Add', 'Sum', 'Concat'].includes(node.operator.name)) return false;
  const computed = node.inputs.filter((operand) => operand !== undefined && dependsOnInput(operand));
  return (
    computed.length >= 2 && node.inputs.every((operand) => operand !== undefined && dependsOnInput(operand))
  );
}

const DEPENDS = new WeakMap<Value, boolean>();

function dependsOnInput(value: Value): boolean {
  const before = DEPENDS.get(value);
  if (before !== undefined) return before;
  const { origin } = value;
  let result = origin.kind === 'input';
  if (origin.kind === 'node') {
    result =
      origin.node.operator.name !== 'Shape' &&
      origin.node.inputs.some((operand) => operand !== undefined && dependsOnInput(operand));
  }
  DEPENDS.set(value, result);
  return result;
}

const ACTIVATIONS = new Set([
  'Relu',
  'LeakyRelu',
  'PRelu',
  'Clip',
  'HardSwish',
  'HardSigmoid',
  'Sigmoid',
  'Tanh',
  'Gelu',
  'Elu',
  'Selu',
  'Softplus',
  'Mish',
  'Identity',
  'Dropout',
  'Cast',
]);

function isActivation(value: Value): boolean {
  const name = makerNode(value)?.operator.name;
  return name !== undefined && ACTIVATIONS.has(name);
}

/** What the exporter calls each stage: the shortest scopes of its parameters that no other stage has. */
function scopesOf(graph: Graph, bounds: readonly Cut[]): string[] {
  const roles = parameterRoles(graph);
  const stageOf = new Map<Node, number>();
  bounds.forEach(({ value }, stage) => {
    const stack = [value];
    for (let current = stack.pop(); current !== undefined; current = stack.pop()) {
      if (current.origin.kind !== 'node' || stageOf.has(current.origin.node)) continue;
      stageOf.set(current.origin.node, stage);
      for (const operand of current.origin.node.inputs) if (operand !== undefined) stack.push(operand);
    }
  });
  const paths: string[][][] = bounds.map(() => []);
  for (const node of graph.nodes) {
    const stage = stageOf.get(node);
    const hasParameters = node.inputs.some(
      (value) => value !== undefined && roles.get(value)?.isTrainable === true,
    );
    if (stage !== undefined && hasParameters) paths[stage]?.push(scopePath(node));
  }
  for (let depth = 1; depth <= 4; depth++) {
    const scopes = paths.map((list) => [
      ...new Set(list.map((path) => path.slice(0, depth).join('.')).filter((scope) => scope !== '')),
    ]);
    const all = scopes.flat();
    if (all.length === 0) break;
    if (new Set(all).size < all.length) continue;
    return scopes.map((list) => {
      const [first = '', ...rest] = list;
      return rest.length === 0 ? first : `${first}…${rest.at(-1)}`;
    });
  }
  return bounds.map(() => '');
}

/** `/layer3/layer3.0/conv1/Conv` → `layer3 0 conv1`: the module's path, by the node's name. */
function scopePath({ name = '' }: Node): string[] {
  const parts = name.split('/').filter((part) => part !== '');
  if (parts.length < 2) return [];
  const path: string[] = [];
  let joined = '';
  for (const part of parts.slice(0, -1)) {
    const isInside = joined !== '' && part.startsWith(`${joined}.`);
    const own = isInside ? part.slice(joined.length + 1) : part;
    path.push(...own.split('.'));
    joined = part;
  }
  return path;
}
