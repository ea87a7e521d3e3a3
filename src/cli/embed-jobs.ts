/** `semblance embed-jobs`: pictures for any number of `semblance embed-worker`s to embed, and how far they are. */
import { Command } from 'commander';
import { readBundle } from '../bundle/index.js';
import { EmbeddingJobs, type JobProgress, type SetAside } from '../catalog/jobs/index.js';
import { readManifest } from '../data/index.js';
import { positiveInteger } from './options.js';
import { rowsOfSplit, SPLIT_CHOICES, type SplitChoice, splitChoice } from './splits.js';

export function embedJobsCommand(): Command {
  return new Command('embed-jobs')
    .description('share the embedding of a catalogue in PostgreSQL among machines')
    .addCommand(addCommand())
    .addCommand(statusCommand())
    .addHelpText(
      'after',
      `
The workers read the pictures at the paths of the manifest, so the folder must be the same on each machine.

Example:
  $ semblance embed-jobs add --catalog postgres://semblance@db/shop#clothes --model runs/shop/model --data shop.csv
  $ semblance embed-worker   --catalog postgres://semblance@db/shop#clothes --model runs/shop/model    # on each machine
  $ semblance embed-jobs status --catalog postgres://semblance@db/shop#clothes
`,
    );
}

/** For people: how far the whole has come. */
export function progressText({ total, done, active, waiting, setAside }: JobProgress): string {
  const parts = [
    `${done.toLocaleString('en')} of ${total.toLocaleString('en')} pictures done`,
    ...(active > 0 ? [`${active.toLocaleString('en')} at work`] : []),
    ...(waiting > 0 ? [`${waiting.toLocaleString('en')} waiting`] : []),
    ...(setAside > 0 ? [`${setAside.toLocaleString('en')} set aside`] : []),
  ];
  return parts.join(', ');
}

// --- internal ---

interface AddOptions {
  catalog: string;
  model: string;
  data: string;
  split: SplitChoice;
  picturesPerJob: number;
  takeOverAfter: number;
  json?: true;
}

function addCommand(): Command {
  return new Command('add')
    .description('put pictures on the queue; the catalogue is made if it is not there')
    .requiredOption('--catalog <url>', 'postgres://user@host/database#name')
    .requiredOption('--model <folder>', 'the model bundle')
    .requiredOption('--data <manifest>', 'the manifest (CSV or JSONL)')
    .option(
      '--split <name>',
      `which pictures: ${SPLIT_CHOICES.join(', ')}`,
      splitChoice(SPLIT_CHOICES),
      'all',
    )
    .option('--pictures-per-job <count>', 'pictures that a worker takes at a time', positiveInteger, 64)
    .option(
      '--take-over-after <seconds>',
      'when one of these jobs goes to another worker, if its own does not answer; longer than a job takes',
      positiveInteger,
      300,
    )
    .option('--json', 'print the counts as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ semblance embed-jobs add --catalog postgres://semblance@db/shop#clothes --model runs/shop/model --data shop.csv\n',
    )
    .action(async ({ catalog, model, data, split, picturesPerJob, takeOverAfter, json }: AddOptions) => {
      const bundle = await readBundle(model);
      const { rows, attributeNames } = await readManifest(data);
      const chosen = rowsOfSplit(rows, split, data);
      const added = await withJobs(catalog, (jobs) =>
        jobs.add({ bundle, rows: chosen, attributes: attributeNames, picturesPerJob, takeOverAfter }),
      );
      process.stdout.write(
        json
          ? `${JSON.stringify(added)}\n`
          : `${added.pictures.toLocaleString('en')} pictures in ${added.jobs.toLocaleString('en')} jobs. ` +
              'Now start semblance embed-worker on as many machines as you like\n',
      );
    });
}

interface StatusOptions {
  catalog: string;
  json?: true;
}

function statusCommand(): Command {
  return new Command('status')
    .description('say how far the workers are, and what they set aside')
    .requiredOption('--catalog <url>', 'postgres://user@host/database#name')
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ semblance embed-jobs status --catalog postgres://semblance@db/shop#clothes\n',
    )
    .action(async ({ catalog, json }: StatusOptions) => {
      const [progress, setAside] = await withJobs(
        catalog,
        async (jobs): Promise<[JobProgress, SetAside[]]> => [await jobs.progress(), await jobs.setAside()],
      );
      if (json) {
        process.stdout.write(`${JSON.stringify({ ...progress, pictures: setAside }, null, 2)}\n`);
        return;
      }
      for (const { id, reason } of setAside) process.stdout.write(`set aside: ${id}: ${reason}\n`);
      process.stdout.write(`${progressText(progress)}\n`);
    });
}

async function withJobs<T>(location: string, action: (jobs: EmbeddingJobs) => Promise<T>): Promise<T> {
  const jobs = await EmbeddingJobs.open(location);
  try {
    return await action(jobs);
  } finally {
    await jobs.close();
  }
}
