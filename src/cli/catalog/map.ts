/** `semblance catalog map`: lays a catalogue out in the plane, for the map of the page and `GET /v1/map`. */
import { Command } from 'commander';
import { openHeldCatalog, readMapContent, writeMap } from '../../catalog/index.js';
import { largeEmbeddingMap } from '../../evaluation/index.js';
import { parseGranularity } from '../../granularity/index.js';
import {
  formatDuration,
  presentTime,
  type StartProgress,
  silentProgress,
  stopwatch,
  streamProgress,
} from '../../util/index.js';
import { interruptible } from '../interruption.js';
import { nonNegativeInteger, wholeNumber } from '../options.js';
import { GRANULARITY_HELP, granularityOption } from '../regions.js';

interface Options {
  catalog: string;
  granularity: number;
  sample: number;
  seed: number;
  json?: true;
  quiet?: true;
}

export function mapCommand(): Command {
  return new Command('map')
    .description('lay the pictures out in the plane, alike ones together, for the map of the page')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--granularity <how>', GRANULARITY_HELP, granularityOption, parseGranularity('look'))
    .option(
      '--sample <pictures>',
      'so many are laid out by UMAP; others are placed among those most like them',
      wholeNumber(3),
      3000,
    )
    .option('--seed <number>', 'of everything random', nonNegativeInteger, 0)
    .option('--json', 'print what was made as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nThe map stays as it is when the catalogue changes: make it anew then. A server shows the new one at once.\n\nExample:\n' +
        '  $ semblance catalog map --catalog runs/demo/catalog\n',
    )
    .action(run);
}

/** Makes the map of a catalogue and stores it. @returns how many pictures are on it */
export async function makeMap(
  directory: string,
  options: {
    readonly granularity?: number;
    readonly sample?: number;
    readonly seed: number;
    readonly progress: StartProgress;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<number> {
  const { granularity = parseGranularity('look'), sample, seed, progress, signal } = options;
  const { catalog } = await openHeldCatalog(directory);
  try {
    const { ids, vectors, fingerprint } = await readMapContent(catalog, granularity, { signal });
    const positions = await largeEmbeddingMap(vectors, catalog.layout.size, {
      seed,
      ...(sample === undefined ? {} : { sample }),
      progress,
      signal,
    });
    const { vectorHash } = catalog.description.model;
    await writeMap(directory, {
      vectorHash,
      fingerprint,
      granularity,
      seed,
      madeAt: presentTime(),
      ids,
      positions,
    });
    return ids.length;
  } finally {
    await catalog.close();
  }
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const { catalog, granularity, sample, seed } = options;
  const elapsedSeconds = stopwatch();
  const pictures = await interruptible(
    (signal) =>
      makeMap(catalog, {
        granularity,
        sample,
        seed,
        progress: options.quiet ? silentProgress : streamProgress(),
        signal,
      }),
    { isResumable: false },
  );
  const seconds = elapsedSeconds();
  const report = { catalog, pictures, granularity, sample: Math.min(sample, pictures), seed, seconds };
  process.stdout.write(
    options.json
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${catalog}: map of ${pictures.toLocaleString('en')} pictures, made in ${formatDuration(seconds)}\n`,
  );
}
