/** `/health/live`: the process answers. `/health/ready`: it can search, at its full speed. */
import { z } from 'zod';
import type { Server, ServerContext } from '../context.js';
import { HttpError } from '../errors.js';

/** @param ready not ready before it has come true. */
export function healthRoutes(
  server: Server,
  shared: ServerContext,
  ready: Promise<unknown> | undefined,
): void {
  let isReady = ready === undefined;
  ready?.then(
    () => {
      isReady = true;
    },
    () => {},
  );
  const answer = z.strictObject({ status: z.literal('ok') });

  server.get(
    '/health/live',
    {
      schema: {
        operationId: 'live',
        tags: ['health'],
        summary: 'The process answers.',
        response: { 200: answer },
      },
    },
    async () => ({ status: 'ok' as const }),
  );

  server.get(
    '/health/ready',
    {
      schema: {
        operationId: 'ready',
        tags: ['health'],
        summary: 'The catalogue can be searched.',
        response: { 200: answer },
      },
    },
    async ({ log }) => {
      if (!isReady)
        throw new HttpError('unavailable', 'the catalogue is being read into memory', {
          headers: { 'retry-after': '1' },
        });
      try {
        await shared.withCatalog((catalog) => catalog.store.count());
      } catch (error) {
        log.error(error);
        throw new HttpError('unavailable', 'the catalogue cannot be read');
      }
      return { status: 'ok' as const };
    },
  );
}
