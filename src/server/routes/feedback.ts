/** Thumbs up and down: `GET` and `POST /v1/feedback`, `DELETE /v1/feedback/{key}`, and the query's picture of an entry. */
import { join } from 'node:path';
import { z } from 'zod';
import { type PictureSource, sourceParts } from '../../bundle/index.js';
import { catalogFolder } from '../../catalog/index.js';
import {
  decodePicture,
  processPicture,
  readPictureBytes,
  regionPixels,
  sniffContent,
  uprightSize,
} from '../../data/index.js';
import { presentTime } from '../../util/index.js';
import type { Server, ServerContext } from '../context.js';
import { type FeedbackEntry, feedbackEntry, feedbackInput, feedbackList } from '../contract.js';
import { HttpError } from '../errors.js';
import { FeedbackLog } from '../feedback-log.js';
import { pictureFile, requireRecord } from '../records.js';
import { readMultipart } from '../request-body.js';
import { requireWritable, toPictureSource, unreadable } from '../searching.js';

const keyParameter = z.strictObject({ key: z.string().regex(/^[0-9a-f]{24}$/) });

export function feedbackRoutes(server: Server, shared: ServerContext): void {
  const log = () => shared.feedback();

  server.get(
    '/v1/feedback',
    {
      schema: {
        operationId: 'listFeedback',
        tags: ['feedback'],
        summary: 'What was said of hits, the last word first.',
        querystring: z.strictObject({
          limit: z.coerce.number().int().min(1).max(500).default(50),
          cursor: z.string().max(1024).optional(),
        }),
        response: { 200: feedbackList },
      },
    },
    async ({ query: { limit, cursor } }) => {
      const feedback = await log();
      const page = feedback.page(limit + 1, cursor === undefined ? undefined : placeOf(cursor));
      const entries = page.slice(0, limit);
      const last = entries.at(-1);
      return {
        entries: entries.map(toWire),
        cursor: page.length > limit && last !== undefined ? cursorOf(last) : null,
        total: feedback.size,
      };
    },
  );

  server.post(
    '/v1/feedback',
    {
      preValidation: [
        async () => requireWritable(shared),
        readMultipart({ pictureBytes: shared.limits.pictureBytes }),
      ],
      schema: {
        operationId: 'addFeedback',
        tags: ['feedback'],
        summary:
          'Says that a hit is right or wrong for a query, at a level; said again, it replaces what was said.',
        body: feedbackInput,
        response: { 201: feedbackEntry },
      },
    },
    (request, reply) =>
      shared.use(request, async (context) => {
        const { example, id, verdict, level } = request.body;
        const hit = await requireRecord(context, id);
        const feedback = await log();
        let query: FeedbackEntry['query'];
        let kept: Uint8Array | undefined;
        if ('id' in example && example.region === undefined) {
          const record = await requireRecord(context, example.id);
          query = { id: record.id, path: pictureFile(record).path };
        } else {
          const picture = await toPictureSource(context, example);
          const { bytes, extension } = await context.queue.run(
            () => keptPicture(picture, context.limits.picturePixels),
            context.signal,
          );
          kept = bytes;
          const whole = 'id' in example ? await requireRecord(context, example.id) : undefined;
          query = {
            path: FeedbackLog.pictureName(bytes, extension),
            ...(whole === undefined ? {} : { of: { id: whole.id, path: pictureFile(whole).path } }),
          };
        }
        const entry: FeedbackEntry = {
          key: FeedbackLog.key(query.id ?? query.path, hit.id, level),
          query,
          hit: { id: hit.id, path: pictureFile(hit).path },
          verdict,
          level,
          at: presentTime(),
        };
        await feedback.add(entry, kept);
        return reply.code(201).send(toWire(entry));
      }),
  );

  server.delete(
    '/v1/feedback/:key',
    {
      preValidation: async () => requireWritable(shared),
      schema: {
        operationId: 'deleteFeedback',
        tags: ['feedback'],
        summary: 'Takes back what was said.',
        params: keyParameter,
        response: { 204: z.undefined() },
      },
    },
    async ({ params }, reply) => {
      const wasThere = await (await log()).delete(params.key, presentTime());
      if (!wasThere) throw new HttpError('unknown-feedback', `there is no feedback '${params.key}'`);
      return reply.code(204).send();
    },
  );

  server.get(
    '/v1/feedback/:key/image',
    {
      schema: {
        operationId: 'getFeedbackImage',
        tags: ['feedback'],
        summary: "The query's picture.",
        params: keyParameter,
        querystring: z.strictObject({ width: z.coerce.number().int().min(16).max(4096).optional() }),
      },
    },
    (request, reply) =>
      shared.use(request, async (context) => {
        const entry = (await log()).get(request.params.key);
        if (entry === undefined)
          throw new HttpError('unknown-feedback', `there is no feedback '${request.params.key}'`);
        const { id, path } = entry.query;
        const record =
          id === undefined
            ? { id: entry.key, fields: { path: [join(catalogFolder(context.catalog.directory), path)] } }
            : await requireRecord(context, id);
        const { bytes, type } = await context.images.image(record, request.query.width);
        context.hold(bytes.length);
        return reply.type(type).header('cache-control', 'private, max-age=60').send(bytes);
      }),
  );
}

// --- internal ---

/** The bytes of a query's picture to keep: as they came, or its region as a PNG. @throws HttpError when it cannot be read */
async function keptPicture(
  picture: PictureSource,
  maximumPixels: number,
): Promise<{ bytes: Uint8Array; extension: string }> {
  try {
    const { source, box } = sourceParts(picture);
    const bytes = typeof source === 'string' ? await readPictureBytes(source) : source;
    const limits = { maximumPixels };
    await decodePicture(bytes, { ...limits, size: 64 });
    if (box === undefined) {
      const content = sniffContent(bytes);
      return { bytes, extension: content.readable ? content.format.toLowerCase() : 'bin' };
    }
    const part = await processPicture(bytes, limits, async (opened) => {
      const picture = opened.autoOrient();
      const { left, top, right, bottom } = regionPixels(box, await uprightSize(picture));
      return await picture
        .extract({ left, top, width: right - left, height: bottom - top })
        .png()
        .toBuffer();
    });
    return { bytes: part, extension: 'png' };
  } catch (error) {
    throw unreadable(error);
  }
}

/** Where a record lies on the server is no client's business: it has the id. */
function toWire(entry: FeedbackEntry): FeedbackEntry {
  const { query, hit } = entry;
  return {
    ...entry,
    query: {
      ...(query.id === undefined ? { path: query.path } : { id: query.id, path: query.id }),
      ...(query.of === undefined ? {} : { of: { id: query.of.id, path: query.of.id } }),
    },
    hit: { id: hit.id, path: hit.id },
  };
}

function cursorOf({ at, key }: FeedbackEntry): string {
  return Buffer.from(JSON.stringify([at, key])).toString('base64url');
}

function placeOf(cursor: string): { at: string; key: string } {
  try {
    const [at, key] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as unknown[];
    if (typeof at === 'string' && typeof key === 'string') return { at, key };
  } catch {}
  throw new HttpError('invalid-cursor', 'the cursor is not one that a list gave. Begin without');
}
