/** `semblance embed-worker`: embeds what `semblance embed-jobs add` put on the queue. */
import { Command } from 'commander';
import { openEmbedder } from '../bundle/index.js';
import { EmbeddingJobs } from '../catalog/jobs/index.js';
import { silentProgress, streamProgress } from '../util/index.js';
import { progressText } from './embed-jobs.js';
import { interruptible } from './interruption.js';
import { positiveInteger } from './options.js';
import { tellWait } from './waiting.js';

interface Options {
  catalog: string;
  model: string;
  stay?: true;
  batchSize: number;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function embedWorkerCommand(): Command {
  return new Command('embed-worker')
    .description('embed pictures that are on the queue of a catalogue in PostgreSQL, beside other workers')
    .requiredOption('--catalog <url>', 'postgres://user@host/database#name')
    .requiredOption('--model <folder>', 'the model bundle, the same on every machine')
    .option('--stay', 'wait for more when the queue is empty')
    .option('--batch-size <pictures>', 'pictures that the model sees at a time', positiveInteger, 32)
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nCtrl-C gives the job in hand back. A picture that cannot be read, or that ends workers, is set aside:\n' +
        '`semblance embed-jobs status` lists them.\n\nExample:\n' +
        '  $ semblance embed-worker --catalog postgres://semblance@db/shop#clothes --model runs/shop/model\n',
    )
    .action(run);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const { catalog, model, stay = false, batchSize, threads, json, quiet } = options;
  const jobs = await EmbeddingJobs.open(catalog);
  const embedder = await openEmbedder(model, { batchSize, ...(threads === undefined ? {} : { threads }) });
  const start = quiet ? silentProgress : streamProgress();
  try {
    const { total, done, setAside } = await jobs.progress();
    const progress = start('embedding, all workers', total, done + setAside);
    const embedded = await interruptible((signal) =>
      jobs.work({
        embedder,
        stay,
        signal,
        onWait: tellWait(catalog),
        onProgress: (now) => progress.update(now.done + now.setAside, progressText(now)),
      }),
    ).finally(() => progress.stop());
    const now = await jobs.progress();
    process.stdout.write(
      json
        ? `${JSON.stringify({ embedded, ...now }, null, 2)}\n`
        : `${embedded.toLocaleString('en')} embedded here; ${progressText(now)}\n`,
    );
  } finally {
    await embedder.close();
    await jobs.close();
  }
}
