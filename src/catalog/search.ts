/**
 * Search by picture: embed it, weight its parts for the granularity asked for, take the largest dot products, and
 * say how each score came about.
 */
import type { Embedder, PictureSource } from '../bundle/index.js';
import { partScores, queryVector, storedVectors, weightsAt } from '../granularity/index.js';
import { DataError } from '../util/index.js';
import { BASE_COLUMNS, type Catalog } from './catalog.js';
import type { Filter } from './filter.js';

/** One picture found. */
export interface SearchHit {
  /** From 1. */
  readonly rank: number;
  readonly id: string;
  /** Of the picture's file, as it was when indexed. */
  readonly path: string;
  readonly itemId: string;
  readonly source: string | undefined;
  /** At most 1, for a picture with itself. */
  readonly score: number;
  /** Each part's share of the score: `embedding`, `attributes`, `level:<name>`. They add up to it. */
  readonly parts: Readonly<Record<string, number>>;
  /** The attributes that are known. */
  readonly attributes: Readonly<Record<string, readonly string[]>>;
}

/**
 * Finds the pictures most like the given one.
 * @param options.granularity γ from 0, the same item, to 1, the same kind. Default 0.
 * @param options.k how many at most. Default 10.
 * @param options.filter only among these. Default: all.
 * @throws DataError when the picture cannot be read, the catalogue was made with another model, or the filter names
 *   a column that is not there.
 */
export async function searchByPicture(options: {
  readonly catalog: Catalog;
  readonly embedder: Embedder;
  readonly picture: PictureSource;
  readonly granularity?: number;
  readonly k?: number;
  readonly filter?: Filter;
}): Promise<SearchHit[]> {
  const { catalog, embedder, picture, granularity = 0, k = 10, filter = [] } = options;
  const { description, layout, store } = catalog;
  if (embedder.bundle.vectorHash !== description.model.vectorHash)
    throw new DataError(
      `the catalogue was made with another model (${description.model.vectorHash.slice(0, 12)}…, not ` +
        `${embedder.bundle.vectorHash.slice(0, 12)}…). Search with that model, or index again`,
      { file: catalog.directory },
    );
  const weights = weightsAt(description.levelWeights, granularity);
  const { embedding, attributes } = await embedder.embedOne(picture);
  const own = storedVectors(description.schema, description.dimension, { embeddings: embedding, attributes });
  const query = queryVector(layout, own, weights);
  const hits = await store.search(query, { k, filter });
  return hits.map(({ score, record }, index) => ({
    rank: index + 1,
    id: record.id,
    path: record.fields.path?.[0] ?? record.id,
    itemId: record.fields.item_id?.[0] ?? '',
    source: record.fields.source?.[0],
    score,
    parts: partScores(layout, query, record.vector),
    attributes: Object.fromEntries(
      Object.entries(record.fields).filter(
        ([name, values]) => values.length > 0 && !(BASE_COLUMNS as readonly string[]).includes(name),
      ),
    ),
  }));
}
