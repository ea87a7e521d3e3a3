/** `GET /v1/remote-picture`: a picture of the web as the page shows it, whose policy lets it load nothing from elsewhere. */
import { z } from 'zod';
import type { Server, ServerContext } from '../context.js';
import { remotePicture } from '../searching.js';

export function remoteRoutes(server: Server, shared: ServerContext): void {
  server.get(
    '/v1/remote-picture',
    {
      schema: {
        operationId: 'getRemotePicture',
        tags: ['search'],
        summary: 'The picture behind a URL, as a WebP of at most a width; only where examples may be URLs.',
        querystring: z.strictObject({
          url: z.url({ protocol: /^https?$/ }).max(2048),
          width: z.coerce.number().int().min(16).max(2048).default(640),
        }),
      },
    },
    (request, reply) =>
      shared.use(request, async (context) => {
        const { url, width } = request.query;
        const fetched = await remotePicture(context, url);
        const { bytes, type } = await context.queue.run(
          () => context.images.rescaled(fetched, width),
          context.signal,
        );
        return reply.type(type).header('cache-control', 'private, max-age=300').send(bytes);
      }),
  );
}
