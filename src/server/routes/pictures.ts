/** Reading the catalogue's records: `GET /v1/pictures`, `/v1/pictures/{id}` and its image. */
import { z } from 'zod';
import { filterFormat, type StoredRecord } from '../../catalog/index.js';
import { parseGranularity } from '../../granularity/index.js';
import { errorMessage } from '../../util/index.js';
import type { Server, ServerContext } from '../context.js';
import { picture, pictureList, searchRequest, searchResponse } from '../contract.js';
import { HttpError, schemaProblem } from '../errors.js';
import type { Issue } from '../issues.js';
import { filterColumns, requireColumns, requireRecord, toPicture } from '../records.js';
import { search, searchProblem } from '../searching.js';

export const idParameter = z.strictObject({ id: z.string().min(1).max(1024) });

export function pictureRoutes(server: Server, shared: ServerContext): void {
  server.get(
    '/v1/pictures',
    {
      schema: {
        operationId: 'listPictures',
        tags: ['pictures'],
        summary: 'Lists the pictures that pass a filter, by id.',
        querystring: z.strictObject({
          limit: z.coerce.number().int().min(1).max(500).default(50),
          cursor: z.string().max(16_384).optional(),
          filter: z.string().max(65_536).optional().meta({ description: 'A filter as JSON.' }),
        }),
        response: { 200: pictureList },
      },
    },
    (request) =>
      shared.use(request, async (context) => {
        const { query } = request;
        const filter = filterOf(query.filter);
        requireColumns(context, filterColumns(filter));
        const after = query.cursor === undefined ? undefined : idOf(query.cursor);
        const { limit } = query;
        const options = { vectors: false, limit: limit + 1, batchSize: limit + 1, filter };
        const found: StoredRecord[] = [];
        const total = await context.catalog.store.count(filter).catch((error) => {
          throw searchProblem(error);
        });
        for await (const batch of context.catalog.store.scan(
          after === undefined ? options : { ...options, after },
        ))
          found.push(...batch);
        const page = found.slice(0, limit);
        return {
          pictures: page.map(toPicture),
          cursor: found.length > limit ? cursorOf(page.at(-1)?.id ?? '') : null,
          total,
        };
      }),
  );

  server.get(
    '/v1/pictures/:id',
    {
      schema: {
        operationId: 'getPicture',
        tags: ['pictures'],
        summary: 'One picture.',
        params: idParameter,
        response: { 200: picture },
      },
    },
    (request) =>
      shared.use(request, async (context) => toPicture(await requireRecord(context, request.params.id))),
  );

  server.get(
    '/v1/pictures/:id/image',
    {
      schema: {
        operationId: 'getPictureImage',
        tags: ['pictures'],
        summary: 'The picture itself, or a WebP of at most the width asked for.',
        params: idParameter,
        querystring: z.strictObject({ width: z.coerce.number().int().min(16).max(4096).optional() }),
      },
    },
    (request, reply) =>
      shared.use(request, async (context) => {
        const { width } = request.query;
        const record = await requireRecord(context, request.params.id);
        const hash = record.fields.content_hash?.[0];
        const caching =
          hash === undefined
            ? undefined
            : {
                etag: `"${hash.slice(0, 24)}-${width ?? 'original'}"`,
                'cache-control': 'private, max-age=60, stale-while-revalidate=86400',
              };
        if (caching !== undefined && request.headers['if-none-match'] === caching.etag)
          return reply.code(304).headers(caching).send();
        const { bytes, type } = await context.images.image(record, width);
        context.hold(bytes.length); // until the client has taken them
        // Not before: the problem of a picture that is gone must not be kept in its place.
        return reply
          .headers(caching ?? {})
          .type(type)
          .send(bytes);
      }),
  );

  server.get(
    '/v1/pictures/:id/similar',
    {
      schema: {
        operationId: 'similarPictures',
        tags: ['pictures'],
        summary: 'The pictures most like one of the catalogue.',
        params: idParameter,
        querystring: z.strictObject({
          granularity: z.string().max(32).default('0'),
          limit: z.coerce.number().int().min(1).max(200).default(24),
          cursor: z.string().max(16_384).optional(),
          filter: z.string().max(65_536).optional().meta({ description: 'A filter as JSON.' }),
        }),
        response: { 200: searchResponse },
      },
    },
    (request) =>
      shared.use(request, async (context) => {
        const { granularity, filter, ...paging } = request.query;
        const asked = searchRequest.parse({
          examples: [{ id: request.params.id }],
          granularity: granularityOf(granularity),
          filter: filterOf(filter),
          ...paging,
        });
        return await search(context, asked);
      }),
  );
}

// --- internal ---

function granularityOf(text: string): number {
  try {
    return parseGranularity(text);
  } catch (error) {
    throw new HttpError('invalid-request', errorMessage(error), { cause: error });
  }
}

/** The next page begins after an id: it stays right whatever comes and goes in between. */
function cursorOf(id: string): string {
  return Buffer.from(id, 'utf8').toString('base64url');
}

function idOf(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString('utf8');
  if (id !== '' && cursorOf(id) === cursor) return id;
  throw new HttpError('invalid-cursor', 'the cursor is not one that a list gave. Begin without');
}

function filterOf(text: string | undefined): z.output<typeof filterFormat> {
  if (text === undefined) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new HttpError('invalid-request', '/querystring/filter: must be JSON');
  }
  const result = filterFormat.safeParse(value);
  if (result.success) return result.data;
  throw schemaProblem('/querystring/filter', result.error.issues as readonly Issue[]);
}
