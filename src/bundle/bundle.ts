/**
 * The model bundle on disk: a folder that is at once a transformers.js model folder (`onnx/model.onnx`,
 * `config.json`, `preprocessor_config.json`) and ours (`semblance.json`).
 *
 * Written whole beside its place, synced, and renamed into it; the old one stands aside under `<name>.previous` for
 * that moment, where a reader finds it, and a writer after a crash puts it back. Writers take turns by the lock
 * `.<name>.lock` beside it. `semblance.json` holds the hash of the model, so files of two bundles are never taken for one.
 */
import { copyFile, link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Calibration } from '../granularity/index.js';
import { type ModelVariant, modelHeader } from '../onnx/index.js';
import {
  acquireLock,
  DataError,
  errorMessage,
  makeFolder,
  PATIENCE_MS,
  readJson,
  sha256,
  sha256OfFile,
  syncFolder,
  type WaitOptions,
  writeFileAtomic,
  writeJson,
} from '../util/index.js';
import {
  type CardFile,
  FORMAT_VERSION,
  type ModelCard,
  modelConfig,
  type Preprocessing,
  parseCard,
  parsePreprocessing,
  preprocessorConfig,
  type SmallerVariant,
  type VariantRecord,
  type VariantRecords,
} from './format.js';

/** A model bundle that has been read. */
export interface Bundle {
  /** Where it was read from. */
  readonly directory: string;
  readonly modelPath: string;
  /** SHA-256 of `onnx/model.onnx`. */
  readonly modelHash: string;
  /** Hash of all that decides a picture's vector: model, preprocessing and schema. Vectors of one hash compare. */
  readonly vectorHash: string;
  readonly card: ModelCard;
  readonly preprocessing: Preprocessing;
  /** Smaller variants that are beside the model. */
  readonly variants: VariantRecords;
}

/** What `writeBundle` writes. */
export interface BundleContent {
  /**
   * Input `pixel_values` float32 [N, 3, H, W]; outputs `image_embeds` [N, D], `attributes` [N, A] where the schema
   * has any, `feature_map` [N, C, h, w].
   */
  readonly onnxModel: Uint8Array;
  readonly card: ModelCard;
  readonly preprocessing: Preprocessing;
}

/**
 * Writes a bundle, in place of one that is there. Of two processes that write one bundle, the second waits.
 * @returns the hash of the model.
 * @throws DataError when it cannot be written (full disk, no permission, a folder there that is no bundle); what was
 *   there stays.
 */
export async function writeBundle(
  directory: string,
  content: BundleContent,
  options: WaitOptions = {},
): Promise<string> {
  const target = resolve(directory);
  const modelHash = sha256(content.onnxModel);
  const card = {
    formatVersion: FORMAT_VERSION,
    modelHash,
    onnx: headerOf(content.onnxModel),
    ...content.card,
  };
  parseCard(JSON.parse(JSON.stringify(card)), join(target, CARD));
  await replaceFolder(target, options, async (incoming) => {
    if ((await exists(target)) && !(await exists(join(target, CARD))))
      throw new DataError(`there is a folder that is no model bundle (no ${CARD}). Choose another place`, {
        file: target,
      });
    await writeFileAtomic(join(incoming, MODEL), content.onnxModel);
    await writeJson(join(incoming, CONFIG), modelConfig(content.card, content.preprocessing));
    await writeJson(join(incoming, PREPROCESSOR), preprocessorConfig(content.preprocessing));
    await writeJson(join(incoming, CARD), card);
  });
  return modelHash;
}

/**
 * Reads a bundle and checks it.
 * @throws DataError when the folder is missing, is no bundle, is of a newer format, or its files do not belong
 *   together.
 */
export async function readBundle(directory: string): Promise<Bundle> {
  const target = resolve(directory);
  try {
    return await readOnce(target);
  } catch (error) {
    // A writer may just be putting a new bundle in place: look where the old one stands, then once more.
    const aside = sibling(target, 'previous');
    if (!(await exists(target)) && (await exists(aside)))
      return await readOnce(aside).catch(() => readOnce(target));
    if (await exists(target)) return await readOnce(target);
    throw new DataError('there is no model bundle. Train one with `semblance train`, or correct the path', {
      file: directory,
      cause: error,
    });
  }
}

/**
 * Writes a smaller variant beside a bundle's model, under the name by which transformers.js finds it (`dtype` fp16 or
 * q8), and its record into `semblance.json`. One that is there is replaced. A reader finds the bundle before or after;
 * of two processes that write one bundle, the second waits.
 * @param options.modelHash of the model that it was made from
 * @throws DataError when the bundle cannot be read, has another model by now, or the files cannot be written.
 */
export async function addVariant(
  directory: string,
  variant: SmallerVariant,
  model: Uint8Array,
  record: Omit<VariantRecord, 'hash' | 'bytes'>,
  options: ChangeOptions = {},
): Promise<VariantRecord> {
  const whole: VariantRecord = { hash: sha256(model), bytes: model.length, ...record };
  await changeBundle(directory, options, async (incoming, card) => {
    await writeFileAtomic(join(incoming, VARIANT_FILES[variant]), model);
    return { ...card, variants: { ...card.variants, [variant]: whole } };
  });
  return whole;
}

/**
 * Puts a calibration into a bundle's `semblance.json`, in place of one that is there. The model, its hash and its variants
 * stay; a reader finds the bundle before or after; of two processes that write one bundle, the second waits.
 * @param options.modelHash of the model that it was fitted on
 * @throws DataError when the bundle cannot be read or written, has another model by now, or the calibration is of another
 *   number of levels.
 */
export async function replaceCalibration(
  directory: string,
  calibration: Calibration,
  options: ChangeOptions = {},
): Promise<void> {
  await changeBundle(directory, options, async (_, card) => ({ ...card, calibration }));
}

/** Of a change of a bundle that is there. */
export interface ChangeOptions extends WaitOptions {
  /** SHA-256 of the model that the change belongs to: another is left as it is. Default: whichever is there. */
  readonly modelHash?: string;
}

/**
 * The file of a variant of a bundle's model.
 * @throws DataError when there is none, or it is not the one that `semblance.json` describes.
 */
export async function variantPath(bundle: Bundle, variant: ModelVariant): Promise<string> {
  if (variant === 'fp32') return bundle.modelPath; // checked when the bundle was read
  const record = bundle.variants[variant];
  if (record === undefined)
    throw new DataError(
      `there is no variant ${variant}, only ${['fp32', ...Object.keys(bundle.variants)].join(', ')}. Make it with ` +
        `\`semblance export --model ${bundle.directory} --${variant}\``,
      { file: bundle.directory },
    );
  const path = join(bundle.directory, VARIANT_FILES[variant]);
  await requireHash(path, record.hash);
  return path;
}

// --- internal ---

/** Where transformers.js looks for `dtype: 'fp16'` and `'q8'`. */
const VARIANT_FILES: Readonly<Record<SmallerVariant, string>> = {
  fp16: join('onnx', 'model_fp16.onnx'),
  int8: join('onnx', 'model_quantized.onnx'),
};
const MODEL = join('onnx', 'model.onnx');
const CONFIG = 'config.json';
const PREPROCESSOR = 'preprocessor_config.json';
const CARD = 'semblance.json';

function sibling(target: string, role: 'incoming' | 'previous' | 'lock'): string {
  return join(dirname(target), `.${basename(target)}.${role}`);
}

async function readOnce(directory: string): Promise<Bundle> {
  const cardPath = join(directory, CARD);
  const {
    formatVersion: _,
    onnx: __,
    modelHash,
    variants = {},
    ...card
  } = parseCard(await readJson(cardPath), cardPath);
  const preprocessorPath = join(directory, PREPROCESSOR);
  const preprocessing = parsePreprocessing(await readJson(preprocessorPath), preprocessorPath);
  const modelPath = join(directory, MODEL);
  await requireHash(modelPath, modelHash);
  const vectorHash = sha256(JSON.stringify([modelHash, preprocessing, card.dimension, card.schema]));
  return { directory, modelPath, modelHash, vectorHash, card, preprocessing, variants };
}

/** @throws DataError when the file is missing or is not what `semblance.json` says */
async function requireHash(file: string, wanted: string): Promise<void> {
  let found: string;
  try {
    found = await sha256OfFile(file);
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  if (found !== wanted)
    throw new DataError(
      `the model is not the one that ${CARD} describes (SHA-256 ${found.slice(0, 12)}…, not ` +
        `${wanted.slice(0, 12)}…). Export the bundle again`,
      { file },
    );
}

function headerOf(model: Uint8Array): CardFile['onnx'] {
  try {
    return modelHeader(model);
  } catch (error) {
    throw new DataError(`the bundle's model must be an ONNX file: ${errorMessage(error)}`, { cause: error });
  }
}

/**
 * Makes a folder beside its place and puts it there whole, while no other process does.
 * @param fill writes into the folder that it is given
 * @throws DataError when that fails; what was there stays
 */
async function replaceFolder(
  target: string,
  options: WaitOptions,
  fill: (incoming: string) => Promise<void>,
): Promise<void> {
  const [incoming, previous] = [sibling(target, 'incoming'), sibling(target, 'previous')];
  const { signal, onWait } = options;
  const lock = await acquireLock(sibling(target, 'lock'), { signal, onWait, tellAfterMs: PATIENCE_MS });
  try {
    await putBack(target);
    await rm(incoming, { recursive: true, force: true });
    await fill(incoming);
    for (const entry of await readdir(incoming, { withFileTypes: true, recursive: true }))
      if (entry.isDirectory()) await syncFolder(join(entry.parentPath, entry.name));
    await syncFolder(incoming);
    await makeFolder(dirname(target));
    if (await exists(target)) await rename(target, previous);
    await rename(incoming, target);
    await syncFolder(dirname(target));
    await rm(previous, { recursive: true, force: true });
  } catch (error) {
    await rm(incoming, { recursive: true, force: true }).catch(() => {});
    await putBack(target).catch(() => {});
    if (error instanceof DataError) throw error;
    throw new DataError(`the bundle cannot be written: ${errorMessage(error)}`, {
      file: target,
      cause: error,
    });
  } finally {
    await lock.release();
  }
}

/**
 * Makes a changed copy of a bundle and puts it in its place.
 * @param change may write into the folder of the copy; what it returns is the copy's `semblance.json`
 */
async function changeBundle(
  directory: string,
  { modelHash, ...options }: ChangeOptions,
  change: (incoming: string, card: CardFile) => Promise<CardFile>,
): Promise<void> {
  const target = resolve(directory);
  await replaceFolder(target, options, async (incoming) => {
    const cardPath = join(target, CARD);
    const card = parseCard(await readJson(cardPath), cardPath);
    if (modelHash !== undefined && card.modelHash !== modelHash)
      throw new DataError('the bundle got another model meanwhile. Run the command again', { file: target });
    await linkFolder(target, incoming);
    const changed = await change(incoming, card);
    parseCard(JSON.parse(JSON.stringify(changed)), cardPath);
    await writeJson(join(incoming, CARD), changed);
  });
}

/** The files of a folder under other names too, or copies of them where the file system has no links. */
async function linkFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkFolder(source, target);
    else await link(source, target).catch(() => copyFile(source, target));
  }
}

/** After a crash between the two renames the bundle stands aside: put it back. */
async function putBack(target: string): Promise<void> {
  const previous = sibling(target, 'previous');
  if (!(await exists(previous))) return;
  if (await exists(target)) await rm(previous, { recursive: true, force: true });
  else await rename(previous, target);
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
