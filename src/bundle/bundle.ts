/**
 * The model bundle on disk: a folder that is at once a transformers.js model folder (`onnx/model.onnx`,
 * `config.json`, `preprocessor_config.json`) and ours (`semblance.json`).
 *
 * Written whole beside its place, synced, and renamed into it; the old one stands aside under `<name>.previous` for
 * that moment, where a reader finds it, and a writer after a crash puts it back. `semblance.json` holds the hash of
 * the model, so files of two bundles are never taken for one.
 */
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  DataError,
  errorMessage,
  readJson,
  sha256,
  sha256OfFile,
  writeFileAtomic,
  writeJson,
} from '../util/index.js';
import {
  FORMAT_VERSION,
  type ModelCard,
  modelConfig,
  type Preprocessing,
  parseCard,
  parsePreprocessing,
  preprocessorConfig,
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
 * Writes a bundle, in place of one that is there.
 * @returns the hash of the model.
 * @throws DataError when it cannot be written (full disk, no permission, a folder there that is no bundle); what was
 *   there stays.
 */
export async function writeBundle(directory: string, content: BundleContent): Promise<string> {
  const target = resolve(directory);
  const [incoming, previous] = [sibling(target, 'incoming'), sibling(target, 'previous')];
  const modelHash = sha256(content.onnxModel);
  const card = { formatVersion: FORMAT_VERSION, modelHash, ...content.card };
  parseCard(JSON.parse(JSON.stringify(card)), join(target, CARD));
  try {
    await putBack(target);
    if ((await exists(target)) && !(await exists(join(target, CARD))))
      throw new DataError(`there is a folder that is no model bundle (no ${CARD}). Choose another place`, {
        file: target,
      });
    await rm(incoming, { recursive: true, force: true });
    await writeFileAtomic(join(incoming, MODEL), content.onnxModel);
    await writeJson(join(incoming, CONFIG), modelConfig(content.card, content.preprocessing));
    await writeJson(join(incoming, PREPROCESSOR), preprocessorConfig(content.preprocessing));
    await writeJson(join(incoming, CARD), card);
    for (const folder of [dirname(join(incoming, MODEL)), incoming]) await syncFolder(folder);
    await mkdir(dirname(target), { recursive: true });
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
  }
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

// --- internal ---

const MODEL = join('onnx', 'model.onnx');
const CONFIG = 'config.json';
const PREPROCESSOR = 'preprocessor_config.json';
const CARD = 'semblance.json';

function sibling(target: string, role: 'incoming' | 'previous'): string {
  return join(dirname(target), `.${basename(target)}.${role}`);
}

async function readOnce(directory: string): Promise<Bundle> {
  const cardPath = join(directory, CARD);
  const { formatVersion: _, modelHash, ...card } = parseCard(await readJson(cardPath), cardPath);
  const preprocessorPath = join(directory, PREPROCESSOR);
  const preprocessing = parsePreprocessing(await readJson(preprocessorPath), preprocessorPath);
  const modelPath = join(directory, MODEL);
  let found: string;
  try {
    found = await sha256OfFile(modelPath);
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: modelPath, cause: error });
  }
  if (found !== modelHash)
    throw new DataError(
      `the model is not the one that ${CARD} describes (SHA-256 ${found.slice(0, 12)}…, not ` +
        `${modelHash.slice(0, 12)}…). Export the bundle again`,
      { file: modelPath },
    );
  const vectorHash = sha256(JSON.stringify([modelHash, preprocessing, card.dimension, card.schema]));
  return { directory, modelPath, modelHash, vectorHash, card, preprocessing };
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

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // a folder cannot be opened there
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
