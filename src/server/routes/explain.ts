/** What the model sees in a picture, and why a picture is a hit: `POST /v1/attributes`, `POST /v1/explain`. */
import { type HeatMap, type PictureSource, proposeSubjects, sourceParts } from '../../bundle/index.js';
import {
  Certainty,
  explainHit,
  predictedAttributes,
  resolveExamples,
  vectorToSearch,
} from '../../catalog/index.js';
import { pictureSize, readPictureBytes } from '../../data/index.js';
import { parseGranularity, storedVectors, weightsAt } from '../../granularity/index.js';
import type { Server, ServerContext } from '../context.js';
import {
  attributesResponse,
  type ExplainResponse,
  explainRequest,
  explainResponse,
  pictureRequest,
} from '../contract.js';
import { pictureFile, requireRecord } from '../records.js';
import { readMultipart } from '../request-body.js';
import {
  queuedEmbedder,
  searchProblem,
  toCatalogExample,
  toPictureSource,
  unreadable,
} from '../searching.js';
import { encodeVector } from '../vectors.js';

export function explainRoutes(server: Server, shared: ServerContext): void {
  const { pictureBytes } = shared.limits;

  server.post(
    '/v1/attributes',
    {
      preValidation: readMultipart({ pictureBytes, absent: () => ({ example: { upload: true } }) }),
      schema: {
        operationId: 'predictAttributes',
        tags: ['search'],
        summary: 'What the model sees in a picture: attributes, the vector, and where its subjects may be.',
        body: pictureRequest,
        response: { 200: attributesResponse },
      },
    },
    (request) =>
      shared.use(request, async (context) => {
        const { catalog } = context;
        const { example } = request.body;
        const picture = await toPictureSource(context, example);
        const { width, height } = await sizeOf(picture);
        const { embedding, attributes } = await queuedEmbedder(context).embedOne(picture);
        const subjects = await context.queue.run(
          () =>
            proposeSubjects(context.embedder, picture).catch((error) => {
              throw unreadable(error);
            }),
          context.signal,
        );
        const { schema, dimension } = catalog.description;
        const vector = storedVectors(schema, dimension, { embeddings: embedding, attributes });
        return {
          attributes: predictedAttributes(schema, attributes).map(({ values, ...attribute }) => ({
            ...attribute,
            values: [...values],
          })),
          subjects,
          vector: encodeVector(vector),
          width,
          height,
        };
      }),
  );

  server.post(
    '/v1/explain',
    {
      preValidation: readMultipart({ pictureBytes }),
      schema: {
        operationId: 'explain',
        tags: ['search'],
        summary: 'Why a picture of the catalogue is a hit: its score taken apart, in words, and heat maps.',
        body: explainRequest,
        response: { 200: explainResponse },
      },
    },
    (request) =>
      shared.use(request, async (context): Promise<ExplainResponse> => {
        const { catalog, queue, signal } = context;
        const { description, layout, store } = catalog;
        const { body } = request;
        const record = await requireRecord(context, body.id);
        const example = await toCatalogExample(context, body.example);
        const pictures =
          'vector' in body.example
            ? undefined
            : { query: await toPictureSource(context, body.example), hit: pictureFile(record) };
        const weights = weightsAt(description.levelWeights, parseGranularity(body.granularity));
        const from = { description, layout, store, embedder: queuedEmbedder(context) };
        const asked = [{ ...example, weight: 1 as const }];
        const [resolved] = await resolveExamples(asked, from).catch((error) => {
          throw searchProblem(error);
        });
        const own = resolved?.vector ?? new Float32Array(layout.size);
        const query = await vectorToSearch(catalog, own, weights, body.edits).catch((error) => {
          throw searchProblem(error);
        });
        const explainer = pictures === undefined ? undefined : await context.explainer();
        const why = { schema: description.schema, layout, query, weights, stored: record.vector };
        const explained = await queue.run(
          () =>
            explainHit({ ...why, explainer, pictures, signal }).catch((error) => {
              throw unreadable(error);
            }),
          signal,
        );
        const { heatMaps, score, parts: shares, attributes, words } = explained;
        const probabilities = Certainty.of(catalog, own)?.probabilities(record.vector);
        return {
          score,
          ...(probabilities === undefined ? {} : { probabilities }),
          parts: { ...shares },
          attributes: [...attributes],
          words: [...words],
          ...(heatMaps === undefined
            ? {}
            : {
                heatMaps: {
                  ...heatMaps,
                  query: toWire(heatMaps.query),
                  hit: toWire(heatMaps.hit),
                },
              }),
        };
      }),
  );

  async function sizeOf(picture: PictureSource): Promise<{ width: number; height: number }> {
    try {
      const { source } = sourceParts(picture);
      return await pictureSize(typeof source === 'string' ? await readPictureBytes(source) : source);
    } catch (error) {
      throw unreadable(error);
    }
  }
}

// --- internal ---

function toWire({ values, area, picture, ...map }: HeatMap) {
  return { ...map, values: [...values], area: { ...area }, picture: { ...picture } };
}
