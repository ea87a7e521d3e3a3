/** `GET /v1/catalog`: what is searched, for a page or a person that has just come. */
import { catalogStatistics } from '../../catalog/index.js';
import type { RequestContext, Server, ServerContext } from '../context.js';
import { type CatalogResponse, catalogResponse } from '../contract.js';

export function catalogRoutes(server: Server, shared: ServerContext): void {
  server.get(
    '/v1/catalog',
    {
      schema: {
        operationId: 'getCatalog',
        tags: ['catalog'],
        summary:
          'The catalogue: size, model, levels, columns with their values, and what this server allows.',
        response: { 200: catalogResponse },
      },
    },
    (request) => shared.use(request, describeCatalog),
  );
}

/** The answer of the route. */
export async function describeCatalog(context: RequestContext): Promise<CatalogResponse> {
  const { catalog, embedder } = context;
  const { pictures, items, columns, model, vectorSize, levels, bytes, hasMap } =
    await catalogStatistics(catalog);
  return {
    generation: context.generation,
    pictures,
    items,
    model: {
      dimension: model.dimension,
      vectorSize,
      inputSize: embedder.bundle.preprocessing.size,
      hash: model.vectorHash,
    },
    levels: [...levels],
    attributes: columns.map((column) => ({
      ...column,
      values: column.values.slice(0, MAXIMUM_VALUES).map(({ value, count }) => ({ value, count })),
    })),
    bytes,
    capabilities: {
      calibrated: catalog.description.calibration !== undefined,
      writable: !context.readOnly,
      url: context.remote !== undefined,
      map: hasMap,
      heatMaps: true,
    },
  };
}

// --- internal ---

const MAXIMUM_VALUES = 500;
