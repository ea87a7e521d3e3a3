/** `POST /v1/search` and `POST /v1/facets`. */

import type { Server, ServerContext } from '../context.js';
import { facetsRequest, facetsResponse, searchRequest, searchResponse } from '../contract.js';
import { filterColumns, requireColumns } from '../records.js';
import { readMultipart } from '../request-body.js';
import { search, searchProblem } from '../searching.js';

export function searchRoutes(server: Server, shared: ServerContext): void {
  const { limits } = shared;

  server.post(
    '/v1/search',
    {
      preValidation: readMultipart({
        pictureBytes: limits.pictureBytes,
        absent: () => ({ examples: [{ upload: true }] }),
      }),
      schema: {
        operationId: 'search',
        tags: ['search'],
        summary: 'Finds the pictures most like the examples.',
        body: searchRequest,
        response: { 200: searchResponse },
      },
    },
    (request) => shared.use(request, (context) => search(context, request.body)),
  );

  server.post(
    '/v1/facets',
    {
      schema: {
        operationId: 'facets',
        tags: ['search'],
        summary: 'Counts the values of columns over the pictures that pass a filter.',
        body: facetsRequest,
        response: { 200: facetsResponse },
      },
    },
    (request) =>
      shared.use(request, async (context) => {
        const { columns, filter } = request.body;
        const { store } = context.catalog;
        requireColumns(context, [...columns, ...filterColumns(filter)]);
        const [facets, total] = await Promise.all([store.facets(columns, filter), store.count(filter)]).catch(
          (error) => {
            throw searchProblem(error);
          },
        );
        return { facets, total };
      }),
  );
}
