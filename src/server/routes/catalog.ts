/** `GET /v1/catalog`: what is searched, for a page or a person that has just come. */
import { BASE_COLUMNS, mapVersion } from '../../catalog/index.js';
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
  const { description, layout, store } = catalog;
  const { schema } = description;
  const names = [
    ...description.columns.filter((column) => !(BASE_COLUMNS as readonly string[]).includes(column)),
    'source',
  ];
  const [pictures, counts] = await Promise.all([store.count(), store.facets([...names, 'item_id'])]);
  return {
    generation: context.generation,
    pictures,
    items: counts.item_id?.length ?? 0,
    model: {
      dimension: description.dimension,
      vectorSize: layout.size,
      inputSize: embedder.bundle.preprocessing.size,
      hash: description.model.vectorHash,
    },
    levels: [...schema.levels],
    attributes: names.map((name) => {
      const values = counts[name] ?? [];
      return {
        name,
        kind: schema.attributes.find((attribute) => attribute.name === name)?.kind ?? null,
        values: values.slice(0, MAXIMUM_VALUES).map(({ value, count }) => ({ value, count })),
        distinct: values.length,
        unknown: 0,
        numeric: rangeOf(values.map(({ value }) => value)),
      };
    }),
    bytes: 0,
    capabilities: {
      calibrated: false,
      writable: !context.readOnly,
      url: context.allowUrls,
      map: (await mapVersion(catalog.directory)) !== undefined,
      heatMaps: true,
    },
  };
}

// --- internal ---

const MAXIMUM_VALUES = 500;

function rangeOf(values: readonly string[]): { minimum: number; maximum: number } | null {
  const numbers = values.map((value) => (value.trim() === '' ? Number.NaN : Number(value)));
  if (numbers.length === 0 || !numbers.every(Number.isFinite)) return null;
  let [minimum, maximum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const x of numbers) [minimum, maximum] = [Math.min(minimum, x), Math.max(maximum, x)];
  return { minimum, maximum };
}
