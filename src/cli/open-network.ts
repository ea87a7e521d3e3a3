/**
 * The network that a configuration names, ready to be trained: how its batches are made, and how validation pictures go
 * through it. What a backbone's frozen part makes of pictures comes from a cache on disk.
 */
import type { Preprocessing } from '../bundle/index.js';
import {
  type CachedFeatures,
  cachedFeatures,
  createFeatureLoader,
  decodeAll,
  type ManifestRow,
  type ViewOptions,
} from '../data/index.js';
import { buildGraph, input } from '../graph/index.js';
import {
  type BackbonePlan,
  type CutPoint,
  frozenPrefix,
  normalizePictures,
  openBackbone,
  planBackbone,
} from '../models/index.js';
import { Session, writeModel } from '../onnx/index.js';
import {
  type Embedded,
  embedFeatures,
  embedPictures,
  importedNetwork,
  scratchNetwork,
  type TrainedNetwork,
  type TrainingConfiguration,
} from '../training/index.js';
import { DataError, sha256 } from '../util/index.js';
import { readBackboneFile } from './backbone-file.js';
import type { BatchesOptions, BatchSource, RowsToSample } from './batches.js';

export interface OpenNetworkOptions extends Omit<BatchesOptions, 'schema'> {
  readonly threads?: number;
  /** Default: in the user's cache folder. */
  readonly cacheFolder?: string | undefined;
  /** One line of news. */
  readonly report: (line: string) => void;
}

export interface OpenedNetwork {
  readonly network: TrainedNetwork;
  readonly preprocessing: Preprocessing;
  /** Makes the source of training batches; absent: pictures, augmented as they are needed. */
  readonly openSource?: (rows: RowsToSample) => Promise<BatchSource>;
  /** Prepares pictures to be judged again and again. */
  prepare(rows: readonly ManifestRow[]): Promise<PreparedPictures>;
  close(): Promise<void>;
}

export interface PreparedPictures {
  /** Indices of the rows that could be read. */
  readonly kept: ArrayLike<number>;
  embed(onnxModel: Uint8Array): Promise<Embedded>;
}

/** @throws DataError when the backbone's file cannot be used; see `openBackbone` and `planBackbone`. */
export async function openNetwork(options: OpenNetworkOptions): Promise<OpenedNetwork> {
  const { configuration } = options;
  if (configuration.backbone !== undefined) return openImported(configuration.backbone, options);
  return withPictures(scratchNetwork(configuration), options);
}

/** How pictures are prepared for a network. */
export function preprocessingOf(
  { size, normalization: { mean, std } }: TrainedNetwork,
  { backbone }: TrainingConfiguration,
): Preprocessing {
  const { fit = 'cover', background = [255, 255, 255] } = backbone ?? {};
  return { size, fit, background, mean, std };
}

// --- internal ---

type BackboneConfiguration = NonNullable<TrainingConfiguration['backbone']>;

async function openImported(
  settings: BackboneConfiguration,
  options: OpenNetworkOptions,
): Promise<OpenedNetwork> {
  const { configuration, report, progress, signal } = options;
  const { model } = await readBackboneFile(settings.source, { sha256: settings.sha256, progress, signal });
  const backbone = openBackbone(model, {
    size: configuration.network.inputSize,
    channels: settings.channels,
    features: settings.features,
    normalization: settings.normalization,
  });
  const plan = planBackbone(backbone, settings);
  report(`backbone: ${backbone.note}`);
  report(`backbone: ${describePlan(plan)}`);
  const cut = chosenCut(plan, settings.cache);
  const network = importedNetwork(plan, settings, cut ?? 'pixels');
  return cut === undefined
    ? withPictures(network, options)
    : withCache(network, plan, cut, settings, options);
}

function describePlan({ backbone, trained, adapted }: BackbonePlan): string {
  const total = backbone.parameters.length;
  if (adapted.size > 0) return `trained are low-rank adapters of ${adapted.size} matrices`;
  if (trained.size === 0) return 'frozen; only the heads are trained';
  return `trained are ${trained.size} of its ${total} parameters, from ${backbone.parameters.find(({ value }) => trained.has(value))?.name} on`;
}

/** The cut point that is cached. @throws DataError when there is none of that name, or what is before it is trained. */
function chosenCut({ backbone, cut }: BackbonePlan, wanted: string): CutPoint | undefined {
  if (wanted === 'none') return undefined;
  if (wanted === 'auto') return cut;
  const names = ['features', ...backbone.stages.map(({ name }) => name)];
  const value =
    wanted === 'features' ? backbone.features : backbone.stages.find(({ name }) => name === wanted)?.end;
  const point = backbone.cuts.find((candidate) => candidate.value === value);
  if (point === undefined) {
    throw new DataError(`backbone.cache: must be auto, none, or one of ${names.join(', ')}, got '${wanted}'`);
  }
  if (cut === undefined || backbone.cuts.indexOf(point) > backbone.cuts.indexOf(cut)) {
    throw new DataError(
      `backbone.cache: what is before '${wanted}' must be frozen, got a part of it that is trained. Train less, or cache an earlier stage or none`,
    );
  }
  return point;
}

function withPictures(network: TrainedNetwork, options: OpenNetworkOptions): OpenedNetwork {
  const { configuration, progress, onProblem, signal, threads } = options;
  return {
    network,
    preprocessing: preprocessingOf(network, configuration),
    async prepare(rows) {
      const { pictures, kept } = await decodeAll(rows, {
        size: network.size,
        fit: configuration.backbone?.fit ?? 'cover',
        progress,
        onProblem,
        ...(signal === undefined ? {} : { signal }),
      });
      return {
        kept,
        embed: (onnxModel) =>
          embedPictures(onnxModel, pictures, network.size, {
            normalization: network.normalization,
            ...(threads === undefined ? {} : { threads }),
          }),
      };
    },
    close: async () => {},
  };
}

async function withCache(
  network: TrainedNetwork,
  plan: BackbonePlan,
  cut: CutPoint,
  settings: BackboneConfiguration,
  options: OpenNetworkOptions,
): Promise<OpenedNetwork> {
  const { configuration, progress, onProblem, report, signal } = options;
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const { size } = network;
  const pictures = input('pictures', 'uint8', ['N', size, size, 3]);
  const features = frozenPrefix(plan, cut, normalizePictures(pictures, network.normalization));
  const prefix = writeModel(buildGraph([pictures], { features }));
  const prefixHash = sha256(prefix);
  // Decoding goes on while the prefix runs: waiting threads that spin would take its cores.
  const session = await Session.create(prefix, { ...threads, spinning: false });
  const shape = cut.shape.slice(1);
  const view: ViewOptions = {
    size,
    fit: settings.fit,
    background: settings.background,
    augmentation: configuration.augmentation,
    sourceSize: configuration.sourceSize,
    seed: configuration.seed,
  };
  const opened: CachedFeatures[] = [];
  const open = async (rows: readonly ManifestRow[], views: number) => {
    let computed = 0;
    const cached = await cachedFeatures(rows, {
      views,
      view,
      prefix: prefixHash,
      shape,
      async infer(pixels, count) {
        computed += count;
        const { features: result } = await session.run({
          pictures: { dataType: 'uint8', shape: [count, size, size, 3], data: pixels },
        });
        return result?.data as Float32Array;
      },
      ...(options.cacheFolder === undefined ? {} : { cache: { root: options.cacheFolder } }),
      progress,
      onProblem,
      onFull: report,
      ...(signal === undefined ? {} : { signal }),
    });
    opened.push(cached);
    const wanted = cached.kept.length * views;
    const hitRate = wanted === 0 ? 1 : Math.max(0, wanted - computed) / wanted;
    report(
      `cache: ${cached.kept.length} pictures in ${views} ${views === 1 ? 'view' : 'views'}, [${shape.join(', ')}] each; ` +
        `${(100 * hitRate).toFixed(0)} % were there; ${(cached.statistics().bytes / 1e6).toFixed(0)} MB in ${cached.directory}`,
    );
    return cached;
  };
  return {
    network,
    preprocessing: preprocessingOf(network, configuration),
    async openSource({ rows, items, sampler }) {
      const loader = createFeatureLoader(await open(rows, settings.views + 1), items, {
        sampler,
        seed: configuration.seed,
      });
      return {
        async next(index) {
          const batch = await loader.next(index);
          return { rows: batch.rows, source: batch.features };
        },
        close: () => loader.close(),
      };
    },
    async prepare(rows) {
      const cached = await open(rows, 1);
      const { kept } = cached;
      const read = async (start: number, count: number) =>
        (await cached.read(kept.subarray(start, start + count), new Uint8Array(count))).features;
      return {
        kept,
        embed: (onnxModel) => embedFeatures(onnxModel, kept.length, shape, read, threads),
      };
    },
    async close() {
      for (const cached of opened) await cached.close();
      await session.close();
    },
  };
}
