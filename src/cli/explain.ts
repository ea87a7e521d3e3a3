/** `semblance explain`: why one picture is like another: shares of the score, reasons in words, heat maps on both. */
import CliTable from 'cli-table3';
import { Command } from 'commander';
import {
  type Bundle,
  type Embedder,
  openEmbedder,
  openExplainer,
  type PictureSource,
  sourceParts,
} from '../bundle/index.js';
import {
  type Catalog,
  type Explanation,
  explainHit,
  openCatalog,
  recordPicture,
  UnknownPictureError,
} from '../catalog/index.js';
import type { Region } from '../data/index.js';
import {
  defaultLevelWeights,
  queryVector,
  storedVectors,
  vectorLayout,
  weightsAt,
} from '../granularity/index.js';
import { CliError, DataError, writeFileAtomic } from '../util/index.js';
import { heatMapPicture } from './heat-map-picture.js';
import { interruptible } from './interruption.js';
import { positiveInteger } from './options.js';
import { BOX_HELP, boxOption, GRANULARITY_HELP, granularityOption } from './regions.js';

interface Options {
  model?: string;
  catalog?: string;
  granularity: number;
  box?: Region;
  hitBox?: Region;
  output?: string;
  values: number;
  threads?: number;
  json?: true;
}

export function explainCommand(): Command {
  return new Command('explain')
    .description('say why one picture is like another: parts of the score, attributes, and where in both')
    .argument('<query>', 'a JPEG, PNG, WebP, GIF, AVIF or TIFF, or with --catalog id:<id> of one in it')
    .argument('<hit>', 'another, or with --catalog an id, with or without id: before it')
    .option('--model <folder>', 'the model bundle (default: the one the catalogue was made with)')
    .option('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--granularity <how>', GRANULARITY_HELP, granularityOption, 0)
    .option('--box <box>', `only this part of the query: ${BOX_HELP}`, boxOption)
    .option('--hit-box <box>', 'only this part of the hit', boxOption)
    .option('--output <file.png>', 'draw both pictures with their heat maps')
    .option('--values <count>', 'attribute values to list', positiveInteger, 10)
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print everything as JSON, the maps included')
    .addHelpText(
      'after',
      '\nThe parts add up to the score. Where the model allows it, the cells of each heat map add up to the cosine of the\n' +
        'two embeddings (method exact); elsewhere a cell is what the cosine loses when it is painted over (occlusion).\n\n' +
        'Example:\n' +
        '  $ semblance explain cat.png dog.png --model runs/demo/model --granularity look --output why.png\n' +
        '  $ semblance explain cat.png noto/1f436.png --catalog runs/demo/catalog\n',
    )
    .action(run);
}

// --- internal ---

async function run(query: string, hit: string, options: Options): Promise<void> {
  if (options.model === undefined && options.catalog === undefined)
    throw new CliError('explain: --model or --catalog is required, got neither');
  if (options.output !== undefined && !/\.png$/i.test(options.output))
    throw new CliError(`explain: --output must end in .png, got '${options.output}'`);
  const catalog = options.catalog === undefined ? undefined : await openCatalog(options.catalog);
  try {
    const model = options.model ?? catalog?.description.model.directory ?? '';
    const threads = options.threads === undefined ? {} : { threads: options.threads };
    const embedder = await openEmbedder(model, { batchSize: 1, ...threads });
    try {
      await interruptible(
        async (signal) => {
          const pictures = {
            query: await pictureOf(query, catalog, options.box),
            hit: await pictureOf(hit, catalog, options.hitBox, { isIdLikely: true }),
          };
          const explained = await explainPair(embedder, pictures, { ...options, catalog, signal });
          if (options.output !== undefined && explained.heatMaps !== undefined)
            await writeFileAtomic(options.output, await heatMapPicture(explained.heatMaps, pictures));
          const { granularity } = options;
          process.stdout.write(
            options.json
              ? `${JSON.stringify({ query, hit, granularity, ...explained }, null, 2)}\n`
              : text(explained, options),
          );
        },
        { isResumable: false },
      );
    } finally {
      await embedder.close();
    }
  } finally {
    await catalog?.close();
  }
}

/** A file, or a picture of the catalogue: `id:<id>`, or its id alone where that is what is likely meant. */
async function pictureOf(
  text: string,
  catalog: Catalog | undefined,
  box: Region | undefined,
  { isIdLikely = false }: { isIdLikely?: boolean } = {},
): Promise<PictureSource> {
  const isId = text.startsWith('id:');
  if (isId && catalog === undefined)
    throw new CliError(`explain: an id needs the catalogue that it is of, got '${text}'. Give --catalog`);
  if (catalog !== undefined && (isId || isIdLikely)) {
    const id = isId ? text.slice('id:'.length) : text;
    const [record] = await catalog.store.get([id]);
    if (record !== undefined) {
      const picture = recordPicture(record);
      if (box === undefined) return picture;
      return { path: sourceParts(picture).source as string, box };
    }
    if (isId) throw new UnknownPictureError(id);
  }
  return box === undefined ? text : { path: text, box };
}

async function explainPair(
  embedder: Embedder,
  pictures: { readonly query: PictureSource; readonly hit: PictureSource },
  options: { catalog: Catalog | undefined; granularity: number; threads?: number; signal: AbortSignal },
): Promise<Explanation> {
  const { catalog, granularity, signal } = options;
  const { card } = embedder.bundle;
  const { schema, dimension } = card;
  const layout = vectorLayout(schema, dimension);
  const weights = weightsAt(levelWeightsOf(catalog, embedder.bundle), granularity);
  const vectorOf = async (picture: PictureSource) => {
    const { embedding, attributes } = await embedder.embedOne(picture);
    return storedVectors(schema, dimension, { embeddings: embedding, attributes });
  };
  const own = await vectorOf(pictures.query);
  const query = queryVector(layout, own, weights);
  const stored = await vectorOf(pictures.hit);
  const explainer = await openExplainer(
    embedder,
    options.threads === undefined ? {} : { threads: options.threads },
  );
  try {
    return await explainHit({ schema, layout, query, own, weights, stored, explainer, pictures, signal });
  } finally {
    await explainer.close();
  }
}

function levelWeightsOf(catalog: Catalog | undefined, { card, vectorHash, directory }: Bundle) {
  if (catalog === undefined)
    return card.levelWeights ?? defaultLevelWeights(card.schema, vectorLayout(card.schema, card.dimension));
  const { model, levelWeights } = catalog.description;
  if (model.vectorHash !== vectorHash)
    throw new DataError(
      `the catalogue was made with another model than ${directory}. Leave --model out, or index again`,
      { file: catalog.directory },
    );
  return levelWeights;
}

function text(
  { score, parts, attributes, words, heatMaps }: Explanation,
  { values, output }: Options,
): string {
  const number = (value: number) => value.toFixed(3).replace('-', '−');
  const lines = [`score ${number(score)}`];
  const shares = Object.entries(parts).filter(([, share]) => share !== 0);
  for (const [name, share] of shares) lines.push(`  ${name.padEnd(24)} ${number(share)}`);
  lines.push('', ...words);
  const listed = attributes.filter(({ contribution }) => contribution > 0.0005).slice(0, values);
  if (listed.length > 0) {
    const table = new CliTable({
      head: ['attribute', 'value', 'adds', 'lacks', 'query', 'hit'],
      colAligns: ['left', 'left', 'right', 'right', 'right', 'right'],
      style: { head: [], border: [], compact: true },
    });
    for (const { name, value, contribution, missing, query, hit } of listed)
      table.push([name, value, ...[contribution, missing].map(number), query.toFixed(2), hit.toFixed(2)]);
    lines.push('', table.toString());
  }
  if (heatMaps !== undefined) {
    const { method, note, cosine, remainder, query } = heatMaps;
    lines.push(
      '',
      `heat maps: ${method}${note === undefined ? '' : ` (${note})`}, ${query.height} × ${query.width} cells, cosine ` +
        `${number(cosine)}, of which ${Math.abs(remainder) < 0.0005 ? 'nothing' : number(remainder)} is not in them`,
    );
    if (output !== undefined) lines.push(`drawn in ${output}`);
  }
  return `${lines.join('\n')}\n`;
}
