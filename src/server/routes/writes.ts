/** Changing the catalogue while it is searched: `PUT`, `PATCH` and `DELETE` of `/v1/pictures/{id}`. */
import { z } from 'zod';
import type { Server, ServerContext } from '../context.js';
import { picture, pictureInput, picturePatch } from '../contract.js';
import { HttpError } from '../errors.js';
import { requireAttributes, toPicture } from '../records.js';
import { readMultipart } from '../request-body.js';
import { limitedPicture, requireWritable } from '../searching.js';
import { idParameter } from './pictures.js';

export function writeRoutes(server: Server, shared: ServerContext): void {
  const onRequest = async () => requireWritable(shared);

  server.put(
    '/v1/pictures/:id',
    {
      onRequest,
      preValidation: readMultipart({ pictureBytes: shared.limits.pictureBytes }),
      schema: {
        operationId: 'putPicture',
        tags: ['pictures'],
        summary: 'Adds a picture, or replaces the one of this id with all that is known of it.',
        params: idParameter,
        body: pictureInput,
        response: { 200: picture, 201: picture },
      },
    },
    (request, reply) =>
      shared.use(request, async (context) => {
        const { picture: base64, ...known } = request.body;
        const { id } = request.params;
        requireText(id);
        requireAttributes(context, Object.keys(known.attributes));
        const bytes = context.upload ?? (base64 === undefined ? undefined : Buffer.from(base64, 'base64'));
        if (bytes === undefined)
          throw new HttpError(
            'invalid-request',
            "the picture is missing: 'picture' in base64, or a multipart file",
          );
        const write = { id, picture: limitedPicture(context, bytes), ...known };
        const [outcome] = await context.queue.run(
          () =>
            shared.live.put([write], {
              signal: context.signal,
              maximumPixels: context.limits.picturePixels,
            }),
          context.signal,
        );
        if (outcome === undefined || outcome.status === 'failed')
          throw new HttpError('unreadable-picture', outcome?.reason ?? 'the picture was not stored');
        return reply.code(outcome.status === 'added' ? 201 : 200).send(toPicture(outcome.record));
      }),
  );

  server.patch(
    '/v1/pictures/:id',
    {
      onRequest,
      schema: {
        operationId: 'patchPicture',
        tags: ['pictures'],
        summary: 'Changes what is known of a picture, not the picture.',
        params: idParameter,
        body: picturePatch,
        response: { 200: picture },
      },
    },
    (request) =>
      shared.use(request, async (context) => {
        const { id } = request.params;
        requireAttributes(context, Object.keys(request.body.attributes ?? {}));
        const record = isText(id) ? await shared.live.change(id, request.body) : undefined;
        if (record === undefined) throw unknownPicture(id);
        return toPicture(record);
      }),
  );

  server.delete(
    '/v1/pictures/:id',
    {
      onRequest,
      schema: {
        operationId: 'deletePicture',
        tags: ['pictures'],
        summary:
          'Deletes a picture from the catalogue. A file that the catalogue does not keep itself stays.',
        params: idParameter,
        response: { 204: z.undefined() },
      },
    },
    async ({ params: { id } }, reply) => {
      const deleted = isText(id) ? await shared.live.delete([id]) : [];
      if (deleted.length === 0) throw unknownPicture(id);
      return reply.code(204).send();
    },
  );
}

// --- internal ---

/** Half of a surrogate pair is in no catalogue. */
function isText(id: string): boolean {
  return !/\p{Surrogate}/u.test(id);
}

function requireText(id: string): void {
  if (!isText(id)) throw new HttpError('invalid-request', 'the id must be well-formed Unicode');
}

function unknownPicture(id: string): HttpError {
  return new HttpError('unknown-picture', `there is no picture '${id.slice(0, 200)}'`);
}
