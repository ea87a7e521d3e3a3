/** `semblance embed`: the embeddings of pictures as a file for other programs. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';
import { Command, Option } from 'commander';
import { type Embedder, openEmbedder, type PictureSource } from '../bundle/index.js';
import { readManifest } from '../data/index.js';
import { MODEL_VARIANTS, type ModelVariant } from '../onnx/index.js';
import {
  CliError,
  DataError,
  errorMessage,
  packageVersion,
  type StartProgress,
  silentProgress,
  streamProgress,
} from '../util/index.js';
import { EMBEDDING_FORMATS, openEmbeddingWriter } from './embedding-files.js';
import { interruptible } from './interruption.js';
import { positiveInteger } from './options.js';
import { rowsOfSplit, SPLIT_CHOICES, type SplitChoice, splitChoice } from './splits.js';

interface Options {
  model: string;
  data: readonly string[];
  out: string;
  split?: SplitChoice;
  variant: ModelVariant;
  attributes?: true;
  batchSize: number;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function embedCommand(): Command {
  return new Command('embed')
    .description('write the embeddings of pictures to a file: NumPy or Parquet')
    .requiredOption('--model <folder>', 'the model bundle')
    .requiredOption('--data <paths...>', 'a manifest (CSV or JSONL), or folders and pictures')
    .requiredOption('--out <file>', 'E.npy (float32 [N, D]; its rows in E.csv) or E.parquet', outputFile)
    .option(
      '--split <name>',
      `which pictures of a manifest: ${SPLIT_CHOICES.join(', ')} (default: all)`,
      splitChoice(SPLIT_CHOICES),
    )
    .option('--attributes', 'the probabilities of the attributes too (in E.attributes.npy, or a column)')
    .addOption(
      new Option('--variant <name>', 'which variant of the model').choices(MODEL_VARIANTS).default('fp32'),
    )
    .option('--batch-size <pictures>', 'pictures that the model sees at a time', positiveInteger, 32)
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nPictures that cannot be read are listed and left out. The files appear when they are whole.\n\nExample:\n' +
        '  $ semblance embed --model runs/demo/model --data photos --out photos.npy\n',
    )
    .action(run);
}

/** Pictures to embed, with what the file says of each. */
export interface PictureTable {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly picture: PictureSource; readonly cells: readonly string[] }[];
}

/**
 * The pictures of a manifest (a single path that ends with .csv, .jsonl or .ndjson), or of files and folders; those of
 * a folder by name, at any depth, without hidden ones.
 * @throws DataError when nothing is found
 */
export async function pictureTable(paths: readonly string[], split?: SplitChoice): Promise<PictureTable> {
  const manifestPath = paths.length === 1 && isManifest(paths[0] as string) ? paths[0] : undefined;
  if (manifestPath === undefined) {
    if (split !== undefined) throw new CliError('embed: --split needs a manifest as --data');
    const manifest = paths.find(isManifest);
    if (manifest !== undefined)
      throw new CliError(
        `embed: --data must be one manifest, or folders and pictures, got '${manifest}' among others`,
      );
    const found = (await Promise.all(paths.map(picturesAt))).flat();
    return { columns: ['path'], rows: found.map((path) => ({ picture: path, cells: [path] })) };
  }
  const { rows, attributeNames } = await readManifest(manifestPath);
  const chosen = rowsOfSplit(rows, split ?? 'all', manifestPath);
  const hasBox = chosen.some(({ box }) => box !== undefined);
  return {
    columns: [
      ...['path', 'item_id', 'split', 'source'],
      ...(hasBox ? ['x_1', 'y_1', 'x_2', 'y_2'] : []),
      ...attributeNames,
    ],
    rows: chosen.map(({ path, relativePath, itemId, split: part, source, box, attributes }) => ({
      picture: { path, box },
      cells: [
        ...[relativePath, itemId, part, source ?? ''],
        ...(hasBox
          ? [box?.left, box?.top, box?.right, box?.bottom].map((x) => (x === undefined ? '' : String(x)))
          : []),
        ...attributeNames.map((name) => (attributes[name] ?? []).join('|')),
      ],
    })),
  };
}

/** Embeds a table of pictures into files. @returns their paths, and the pictures that were left out */
export async function embedToFile(
  embedder: Embedder,
  { columns, rows }: PictureTable,
  out: string,
  {
    attributes = false,
    progress = silentProgress,
    signal,
  }: { readonly attributes?: boolean; readonly progress?: StartProgress; readonly signal?: AbortSignal } = {},
): Promise<{ files: readonly string[]; embedded: number; problems: readonly string[] }> {
  const { schema } = embedder.bundle.card;
  const probabilities = schema.attributes.flatMap(({ name, values }) =>
    values.map((value) => `${name}=${value}`),
  );
  if (attributes && probabilities.length === 0)
    throw new DataError('the model has no attributes. Leave --attributes out', {
      file: embedder.bundle.directory,
    });
  const writer = await openEmbeddingWriter(out, {
    columns,
    dimension: embedder.dimension,
    probabilities: attributes ? probabilities : [],
    metadata: {
      model: embedder.bundle.modelHash,
      variant: embedder.variant,
      producer: `semblance ${packageVersion()}`,
    },
  });
  const bar = progress('embedding', rows.length);
  const problems: string[] = [];
  let [done, embedded] = [0, 0];
  try {
    for await (const batch of embedder.embed(
      rows.map(({ picture }) => picture),
      { signal },
    )) {
      problems.push(...batch.failures.map(({ reason }) => reason));
      await writer.append({
        cells: batch.indices.map((index) => rows[index]?.cells ?? []),
        embeddings: batch.embeddings,
        probabilities: attributes ? batch.attributes : new Float32Array(0),
      });
      embedded += batch.indices.length;
      done += batch.indices.length + batch.failures.length;
      bar.update(done);
    }
    signal?.throwIfAborted();
    if (embedded === 0)
      throw new DataError(`none of ${rows.length} pictures can be read; the first: ${problems[0]}`);
    return { files: await writer.finish(), embedded, problems };
  } finally {
    bar.stop();
    await writer.abandon();
  }
}

// --- internal ---

const PICTURE_ENDINGS: ReadonlySet<string> = new Set(
  ['jpg', 'jpeg', 'png', 'webp', 'gif', 'avif', 'tif', 'tiff'].map((ending) => `.${ending}`),
);

const isManifest = (path: string) => /\.(csv|jsonl|ndjson)$/i.test(path);

function outputFile(path: string): string {
  if ((EMBEDDING_FORMATS as readonly string[]).includes(extname(path).toLowerCase())) return path;
  throw new CliError(`--out: must end with ${EMBEDDING_FORMATS.join(' or ')}, got '${path}'`);
}

async function picturesAt(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    const found = entries
      .filter((entry) => entry.isFile() && PICTURE_ENDINGS.has(extname(entry.name).toLowerCase()))
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((file) => !/(^|[\\/])\./.test(relative(path, file)))
      .sort();
    if (found.length === 0) throw new DataError('there is no picture in this folder', { file: path });
    return found;
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: path, cause: error });
  }
}

async function run(options: Options): Promise<void> {
  const table = await pictureTable(options.data, options.split);
  const result = await interruptible(
    async (signal) => {
      const embedder = await openEmbedder(options.model, {
        variant: options.variant,
        batchSize: options.batchSize,
        ...(options.threads === undefined ? {} : { threads: options.threads }),
      });
      try {
        const outcome = await embedToFile(embedder, table, options.out, {
          attributes: options.attributes === true,
          progress: options.quiet === true ? silentProgress : streamProgress(),
          signal,
        });
        return { ...outcome, dimension: embedder.dimension };
      } finally {
        await embedder.close();
      }
    },
    { isResumable: false },
  );
  for (const problem of result.problems) process.stderr.write(`left out: ${problem}\n`);
  const { files, embedded, dimension, problems } = result;
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ files, embedded, dimension, variant: options.variant, unreadable: problems }, null, 2)}\n`
      : `${files.join(', ')}: ${embedded} pictures, ${dimension} numbers each${problems.length > 0 ? `, ${problems.length} left out` : ''}\n`,
  );
}
