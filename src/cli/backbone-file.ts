/**
 * A backbone that others trained: its file read and made ready, and what the command line says of it as settings.
 */

import { type ReadModel, readModelFile, toFloat32 } from '../onnx/index.js';
import { fetchBackbone, readPreprocessing } from '../pretrained/index.js';
import type { StartProgress } from '../util/index.js';

export interface BackboneFileOptions {
  readonly sha256?: string | undefined;
  readonly progress: StartProgress;
  readonly signal?: AbortSignal | undefined;
}

/** What a user says of a backbone, beside its source. */
export interface BackboneFlags {
  /** A preset, or a JSON file, see `readPreprocessing`. */
  readonly preprocessing?: string | undefined;
  /** Side of the pictures, pixels. */
  readonly size?: number | undefined;
}

/**
 * Gets and reads a backbone.
 * @param source a path or an address, see `fetchBackbone`
 * @returns the network in float32
 * @throws DataError when it cannot be had; GraphError and ShapeError when it cannot be read.
 */
export async function readBackboneFile(
  source: string,
  options: BackboneFileOptions,
): Promise<{ readonly model: ReadModel; readonly path: string; readonly sha256: string }> {
  const { path, sha256 } = await fetchBackbone(source, options);
  return { model: toFloat32(await readModelFile(path)), path, sha256 };
}

/**
 * The settings of a backbone, with what its file and the file beside it say filled in, and the side of its pictures.
 * What `settings` says goes before what is found.
 * @throws DataError when the preprocessing is not known.
 */
export async function backboneSettings(
  settings: Readonly<Record<string, unknown>> & { readonly source: string },
  flags: BackboneFlags,
  options: BackboneFileOptions,
): Promise<{
  readonly backbone: Record<string, unknown>;
  readonly size: number;
  readonly notes: readonly string[];
}> {
  const { model, path, sha256 } = await readBackboneFile(settings.source, options);
  const size = model.graph.inputs[0]?.value.shape.at(-1);
  const { preprocessing, channels, source, notes } = await readPreprocessing({
    modelPath: path,
    option: {
      ...(flags.preprocessing === undefined ? {} : { from: flags.preprocessing }),
      ...(flags.size === undefined ? {} : { size: flags.size }),
    },
    // A size that is asked for is tried: many networks take others than their file says.
    ...(typeof size === 'number' && flags.size === undefined ? { inputSize: size } : {}),
  });
  const { mean, std, fit, background } = preprocessing;
  return {
    backbone: { sha256, mean, std, channels, fit, background, ...settings },
    size: preprocessing.size,
    notes: [`backbone: pictures are prepared as ${source} says`, ...notes],
  };
}
