/** `semblance attributes`: what the model sees in pictures, with probabilities. */
import CliTable from 'cli-table3';
import { Command } from 'commander';
import { openEmbedder, type PictureSource, proposeSubjects, type SubjectProposal } from '../bundle/index.js';
import { type AttributePrediction, openCatalog, predictedAttributes } from '../catalog/index.js';
import type { Region } from '../data/index.js';
import { CliError, DataError } from '../util/index.js';
import { interruptible } from './interruption.js';
import { positiveInteger } from './options.js';
import { BOX_HELP, boxOption } from './regions.js';

interface Options {
  model?: string;
  catalog?: string;
  box?: Region;
  subjects?: true;
  values: number;
  threads?: number;
  json?: true;
}

interface Seen {
  readonly picture: string;
  readonly attributes: readonly AttributePrediction[];
  readonly subjects?: readonly SubjectProposal[];
}

export function attributesCommand(): Command {
  return new Command('attributes')
    .description('say what the model sees in pictures: its attributes, with probabilities')
    .argument('<picture...>', 'JPEG, PNG, WebP, GIF, AVIF or TIFF')
    .option('--model <folder>', 'the model bundle')
    .option('--catalog <folder>', 'the model that this catalogue was made with')
    .option('--box <box>', `only this part of the picture: ${BOX_HELP}`, boxOption)
    .option('--subjects', 'also propose boxes of what the picture may be of')
    .option('--values <count>', 'values of an attribute to list', positiveInteger, 5)
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print everything as JSON')
    .addHelpText(
      'after',
      '\nThe values of a single-valued attribute share a probability of 1; those of a multi-valued one have each their own.\n\n' +
        'Example:\n' +
        '  $ semblance attributes cat.png --model runs/demo/model\n' +
        '  $ semblance attributes cat.png dog.png --catalog runs/demo/catalog --json\n',
    )
    .action(run);
}

// --- internal ---

async function run(pictures: readonly string[], options: Options): Promise<void> {
  const model = await modelOf(options);
  const embedder = await openEmbedder(model, {
    batchSize: 1,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  try {
    const { schema } = embedder.bundle.card;
    if (schema.attributes.length === 0) {
      throw new DataError(
        'the model has learnt no attributes. Train one on a manifest with attribute columns and attributeWeight over 0',
        { file: model },
      );
    }
    await interruptible(
      async (signal) => {
        const seen: Seen[] = [];
        for (const picture of pictures) {
          signal.throwIfAborted();
          const source: PictureSource =
            options.box === undefined ? picture : { path: picture, box: options.box };
          const { attributes } = await embedder.embedOne(source);
          const one = {
            picture,
            attributes: predictedAttributes(schema, attributes, options.values),
            ...(options.subjects ? { subjects: await proposeSubjects(embedder, source) } : {}),
          };
          if (options.json) seen.push(one);
          else process.stdout.write(text(one, pictures.length > 1));
        }
        if (options.json) process.stdout.write(`${JSON.stringify(seen, null, 2)}\n`);
      },
      { isResumable: false },
    );
  } finally {
    await embedder.close();
  }
}

async function modelOf({ model, catalog: folder }: Options): Promise<string> {
  if (model !== undefined) return model;
  if (folder === undefined) throw new CliError('attributes: --model or --catalog is required, got neither');
  const catalog = await openCatalog(folder);
  try {
    return catalog.description.model.directory;
  } finally {
    await catalog.close();
  }
}

function text({ picture, attributes, subjects }: Seen, isOneOfMany: boolean): string {
  const table = new CliTable({
    head: ['attribute', 'value', 'probability'],
    colAligns: ['left', 'left', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, values } of attributes)
    values.forEach(({ value, probability }, n) => {
      table.push([n === 0 ? name : '', value, probability.toFixed(3)]);
    });
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`;
  const boxes = subjects?.map(
    ({ region: { left, top, right, bottom }, score }) =>
      `subject: --box ${[left, top, right, bottom].map(percent).join(',')} (${score.toFixed(2)})\n`,
  );
  return (
    `${isOneOfMany ? `${picture}\n` : ''}${table.toString()}\n` +
    `${boxes === undefined ? '' : boxes.length === 0 ? 'nothing stands out as a subject\n' : boxes.join('')}` +
    `${isOneOfMany ? '\n' : ''}`
  );
}
