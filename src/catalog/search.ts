/**
 * Search: examples become one query vector, its parts weighted for the granularity asked for; the largest dot products
 * are put in order, grouped and cut into pages; each hit says how its score came about.
 *
 * Letters: S size of a stored vector, L levels.
 */
import type { Embedder, PictureSource } from '../bundle/index.js';
import { type LevelName, partScores, weightsAt } from '../granularity/index.js';
import { DataError, stopwatch } from '../util/index.js';
import { attributeDirections } from './attribute-directions.js';
import { type Catalog, isBaseColumn } from './catalog.js';
import {
  Certainty,
  checkMinimumProbability,
  likelyLevel,
  type MinimumProbability,
  type Probabilities,
} from './certainty.js';
import {
  type Condition,
  checkColumns,
  checkFilter,
  type Filter,
  literalsOf,
  splitLiteral,
} from './filter.js';
import { type Findings, type Found, likelyFindings, storeFindings } from './findings.js';
import { readCursor, searchMark, writeCursor } from './ordering.js';
import { PAGING_DEPTH, takePage } from './pages.js';
import {
  type AttributePrediction,
  combineExamples,
  type Edit,
  type Example,
  editedQueryVector,
  predictedAttributes,
  resolveExamples,
  silencedAttributes,
} from './query.js';
import type { FacetCount } from './store.js';
import { countValues } from './stores/memory.js';

/** What to search for, and how to show it. */
export interface SearchRequest {
  /** One for at least; records given by id are not among the hits. */
  readonly examples: readonly Example[];
  /** γ from 0, the same item, to 1, the same kind. Default 0. */
  readonly granularity?: number;
  /** Hits a page, from 1 to `PAGING_DEPTH`. Default 10. */
  readonly limit?: number;
  /** Of the page before; default: the first page. */
  readonly cursor?: string | undefined;
  /** Only among these. Default: all. */
  readonly filter?: Filter;
  readonly edits?: readonly Edit[];
  /** Only hits that are likely enough, `CUT_OFF_DEPTH` at most; of a calibrated catalogue. Default: all. */
  readonly minimumProbability?: MinimumProbability | undefined;
  /** `item`: the best picture of each item only. Default `none`. */
  readonly groupBy?: 'item' | 'none';
  /** From 0, the default, by score alone, to 1: what is least like the hits above it. */
  readonly diversity?: number;
  /** Orders the best `SORT_DEPTH` pictures by a column. */
  readonly sort?: { readonly column: string; readonly direction?: 'ascending' | 'descending' } | undefined;
  /** Columns whose values are counted over the best `FACET_DEPTH` pictures. */
  readonly facets?: readonly string[];
}

export interface SearchResult {
  readonly hits: readonly SearchHit[];
  /** For the next page; `undefined` when this is the last. */
  readonly cursor: string | undefined;
  /** [S] an example: given again as `vector` they spare the model. */
  readonly vectors: readonly Float32Array[];
  /** Of the first example that is a picture; none where there is none. */
  readonly attributes: readonly AttributePrediction[];
  /**
   * No picture that passes the filter is more likely than not to agree with the query at any level, whatever this page
   * shows. `undefined` when the catalogue is not calibrated.
   */
  readonly nothingSimilar?: boolean | undefined;
  /** A column that the filter names is counted without its conditions, so that its other values can be chosen. */
  readonly facets: Readonly<Record<string, readonly FacetCount[]>>;
  /** How many of the best pictures the facets were counted over, at most. */
  readonly facetScope: number;
  readonly timing: { readonly embedMs: number; readonly searchMs: number };
}

/** One picture found. */
export interface SearchHit {
  /** From 1. */
  readonly rank: number;
  readonly id: string;
  /** Of the picture's file, as it was when indexed. */
  readonly path: string;
  readonly itemId: string;
  readonly source: string | undefined;
  /** At most 1, for a picture with itself; each edit adds or takes `EDIT_STRENGTH` at most. */
  readonly score: number;
  /** That it agrees with what the examples show together, edits apart; `undefined`: the catalogue is not calibrated. */
  readonly probabilities?: Probabilities | undefined;
  /** The finest level at which it is more likely than not to agree; null: none. `undefined` as `probabilities`. */
  readonly level?: LevelName | null | undefined;
  /** Each part's share of the score: `embedding`, `attributes`, `level:<name>`. They add up to it. */
  readonly parts: Readonly<Record<string, number>>;
  /** The attributes that are known. */
  readonly attributes: Readonly<Record<string, readonly string[]>>;
  /** Ids of further pictures of the item, best first; only when grouped. */
  readonly variants: readonly string[];
}

/** How many of the best pictures facets are counted over. */
export const FACET_DEPTH = 1000;
/**
 * Searches a catalogue.
 * @throws DataError when a picture cannot be read, the catalogue was made with another model, or the request names
 *   what is not there; UnknownPictureError for an id.
 */
export async function search(
  catalog: Catalog,
  embedder: Embedder,
  request: SearchRequest,
): Promise<SearchResult> {
  const { description, layout, store } = catalog;
  const { granularity = 0, filter = [], edits = [], facets = [], limit = 10, sort, diversity = 0 } = request;
  const { minimumProbability } = request;
  checkModel(catalog, embedder);
  checkRequest(catalog, { limit, diversity, sort, facets, filter });
  if (minimumProbability !== undefined) checkMinimumProbability(catalog, minimumProbability);
  const weights = weightsAt(description.levelWeights, granularity);
  const embedding = stopwatch();
  const examples = await resolveExamples(request.examples, { description, layout, store, embedder });
  const embedMs = 1000 * embedding();
  const searching = stopwatch();
  const combined = combineExamples(layout, examples);
  const query = await vectorToSearch(catalog, combined, weights, edits);
  const excluded = new Set(examples.flatMap(({ id }) => id ?? []));
  const certainty = Certainty.of(catalog, combined);
  const found =
    minimumProbability === undefined || certainty === undefined
      ? storeFindings(catalog, { query, excluded })
      : likelyFindings(catalog, { query, excluded }, certainty, minimumProbability);
  const asked = [
    description.store,
    filter,
    request.groupBy,
    diversity,
    sort,
    minimumProbability,
    granularity,
    edits,
  ];
  const mark = searchMark(asked, query);
  const cursor = request.cursor === undefined ? undefined : readCursor(request.cursor, mark);
  const page = await takePage(found, { ...request, limit, filter, diversity }, cursor);
  const [first] = examples.filter(({ probabilities }) => probabilities !== undefined);
  const shown = cursor?.shown ?? 0;
  const hits = page.groups.map(({ best, others }, n) =>
    toHit(catalog, query, best, certainty, { rank: shown + n + 1, variants: others.map(({ id }) => id) }),
  );
  // Most often the page itself shows that there is something; otherwise the best of each level are looked at.
  const findsSimilar =
    hits.some(({ level }) => typeof level === 'string') ||
    (await certainty?.findsSimilar(filter, excluded)) === true;
  return {
    hits,
    ...(certainty === undefined ? {} : { nothingSimilar: !findsSimilar }),
    cursor: page.next === undefined ? undefined : writeCursor({ ...page.next, search: mark }),
    vectors: examples.map(({ vector }) => vector),
    attributes:
      first?.probabilities === undefined ? [] : predictedAttributes(description.schema, first.probabilities),
    facets: await countFacets(found, facets, filter),
    facetScope: FACET_DEPTH,
    timing: { embedMs, searchMs: 1000 * searching() },
  };
}

/**
 * Finds the pictures most like the given one: `search` with one example, one page, and nothing else.
 * @param options.k how many at most. Default 10.
 * @throws as `search`.
 */
export async function searchByPicture(options: {
  readonly catalog: Catalog;
  readonly embedder: Embedder;
  readonly picture: PictureSource;
  readonly granularity?: number;
  readonly k?: number;
  readonly filter?: Filter;
}): Promise<readonly SearchHit[]> {
  const { catalog, embedder, picture, granularity = 0, k = 10, filter = [] } = options;
  const request = { examples: [{ picture }], granularity, limit: k, filter };
  return (await search(catalog, embedder, request)).hits;
}

/**
 * The vector that `search` asks the store with.
 * @param vector [S], of the examples together.
 * @param weights P weights, from `weightsAt`.
 * @throws DataError when an edit names what the model has not learnt.
 */
export async function vectorToSearch(
  catalog: Catalog,
  vector: Float32Array,
  weights: readonly number[],
  edits: readonly Edit[] = [],
): Promise<Float32Array> {
  const { description, layout } = catalog;
  const directions = new Map<string, readonly Float32Array[]>();
  for (const attribute of silencedAttributes(description.schema, edits))
    directions.set(attribute, await attributeDirections(catalog, attribute));
  return editedQueryVector(description.schema, layout, vector, weights, edits, directions);
}

// --- internal ---

async function countFacets(
  found: Findings,
  columns: readonly string[],
  filter: Filter,
): Promise<Record<string, readonly FacetCount[]>> {
  const named = (column: string) => filter.some((condition) => asksOnlyOf(condition, column));
  const counts = (column: string, candidates: readonly Found[]) =>
    countValues(candidates.map(({ record }) => [...(record.fields[column] ?? [])]));
  const facets: Record<string, readonly FacetCount[]> = {};
  if (columns.length === 0) return facets;
  const { found: all } = columns.every(named) ? { found: [] } : await found.best(FACET_DEPTH, filter);
  for (const column of columns) {
    if (!named(column)) facets[column] = counts(column, all);
    else {
      const others = filter.filter((condition) => !asksOnlyOf(condition, column));
      facets[column] = counts(column, (await found.best(FACET_DEPTH, others)).found);
    }
  }
  return facets;
}

function asksOnlyOf(condition: Condition, column: string): boolean {
  return literalsOf(condition).every((literal) => splitLiteral(literal).test.column === column);
}

function toHit(
  { layout }: Catalog,
  query: Float32Array,
  { record, score, itemId, id }: Found,
  certainty: Certainty | undefined,
  place: { rank: number; variants: string[] },
): SearchHit {
  const { fields } = record;
  const probabilities = certainty?.probabilities(record.vector);
  return {
    rank: place.rank,
    id,
    path: fields.path?.[0] ?? id,
    itemId,
    source: fields.source?.[0],
    score,
    ...(probabilities === undefined ? {} : { probabilities, level: likelyLevel(probabilities) }),
    parts: partScores(layout, query, record.vector),
    attributes: Object.fromEntries(
      Object.entries(fields).filter(([name, values]) => values.length > 0 && !isBaseColumn(name)),
    ),
    variants: place.variants,
  };
}

function checkModel({ description, directory }: Catalog, embedder: Embedder): void {
  const [own, other] = [description.model.vectorHash, embedder.bundle.vectorHash];
  if (own !== other)
    throw new DataError(
      `the catalogue was made with another model (${own.slice(0, 12)}…, not ${other.slice(0, 12)}…). Search with ` +
        'that model, or index again',
      { file: directory },
    );
}

function checkRequest(
  { description }: Catalog,
  request: Required<Pick<SearchRequest, 'limit' | 'diversity' | 'facets' | 'filter'>> &
    Pick<SearchRequest, 'sort'>,
): void {
  const { limit, diversity, sort, facets, filter } = request;
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGING_DEPTH)
    throw new DataError(
      `search: limit must be a whole number from 1 to ${PAGING_DEPTH}, got ${limit}. Pages reach no deeper`,
    );
  if (!(diversity >= 0 && diversity <= 1))
    throw new DataError(`search: diversity must be from 0 to 1, got ${diversity}`);
  if (sort !== undefined && diversity > 0)
    throw new DataError(
      `search: sort must stand alone, got diversity ${diversity} as well. Leave one of them out`,
    );
  checkFilter(filter, description.columns, description.numericColumns);
  checkColumns('search', [...facets, ...(sort === undefined ? [] : [sort.column])], description.columns);
}
