/** `GET /v1/map`: the catalogue in the plane, as `semblance catalog map` laid it out. */
import { z } from 'zod';
import { type CatalogMap, fingerprint, isMapOf, mapVersion, readMap } from '../../catalog/index.js';
import type { RequestContext, Server, ServerContext } from '../context.js';
import { type MapResponse, mapResponse } from '../contract.js';
import { clientMessage, HttpError } from '../errors.js';
import { requireColumns } from '../records.js';

export function mapRoutes(server: Server, shared: ServerContext): void {
  const answers = new Map<string, Promise<MapResponse>>();
  server.get(
    '/v1/map',
    {
      schema: {
        operationId: 'getMap',
        tags: ['catalog'],
        summary: 'A place in the plane for each picture, and its first value of a column to colour it by.',
        querystring: z.strictObject({
          column: z
            .string()
            .min(1)
            .max(1024)
            .optional()
            .meta({ description: 'An attribute, source or item_id.' }),
        }),
        response: { 200: mapResponse },
      },
    },
    (request) =>
      shared.use(request, async (context) => {
        const { column } = request.query;
        if (column !== undefined) requireColumns(context, [column]);
        const version = await mapVersion(context.catalog.directory);
        if (version === undefined)
          throw new HttpError('no-map', 'the catalogue has no map. Make one: semblance catalog map');
        const key = JSON.stringify([
          context.generation,
          await context.catalog.store.version(),
          version,
          column ?? null,
        ]);
        const known = answers.get(key);
        if (known !== undefined) return await known;
        const answer = describeMap(context, column);
        answers.set(key, answer);
        answer.catch(() => answers.delete(key));
        for (const old of [...answers.keys()].slice(0, -KEPT_ANSWERS)) answers.delete(old);
        return await answer;
      }),
  );
}

// --- internal ---

const KEPT_ANSWERS = 4;

/** Pictures that are gone are left out; those that came since have no place yet. */
async function describeMap({ catalog }: RequestContext, column: string | undefined): Promise<MapResponse> {
  const map = await readMap(catalog.directory).catch((error) => {
    throw new HttpError('no-map', clientMessage(error, 'the map'), { cause: error });
  });
  if (map === undefined)
    throw new HttpError('no-map', 'the catalogue has no map. Make one: semblance catalog map');
  const values = new Map<string, string>();
  const print = fingerprint();
  const columns = ['content_hash', ...(column === undefined ? [] : [column])];
  for await (const batch of catalog.store.scan({ vectors: false, columns, batchSize: 10_000 }))
    for (const { id, fields } of batch) {
      print.add(id, fields.content_hash?.[0]);
      values.set(id, column === undefined ? '' : (fields[column]?.[0] ?? ''));
    }
  const now = { vectorHash: catalog.description.model.vectorHash, fingerprint: print.digest() };
  const { ids, positions } = present(map, values);
  return {
    ids,
    positions: Buffer.from(positions.buffer, positions.byteOffset, positions.byteLength).toString('base64'),
    column: column ?? null,
    values: column === undefined ? [] : ids.map((id) => values.get(id) ?? ''),
    stale: !isMapOf(map, now),
  };
}

/** The part of a map whose pictures are still there. */
function present(
  { ids, positions }: CatalogMap,
  there: ReadonlyMap<string, string>,
): { ids: string[]; positions: Float32Array } {
  const kept = Int32Array.from(ids.keys()).filter((n) => there.has(ids[n] ?? ''));
  const places = new Float32Array(2 * kept.length);
  kept.forEach((n, to) => void places.set(positions.subarray(2 * n, 2 * n + 2), 2 * to));
  return { ids: Array.from(kept, (n) => ids[n] ?? ''), positions: places };
}
