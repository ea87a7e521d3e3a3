/**
 * The HTTP API in types: every request and answer as a zod schema. The server validates and serialises by them, and
 * the OpenAPI document is made of them, of which the types of the client are made in turn.
 *
 * A *picture* is one record of the catalogue; an *item* is what several pictures may show. Vectors travel as base64 of
 * little-endian float32. γ, the granularity, runs from 0 (same item) to 1 (same kind).
 */
import { z } from 'zod';
import { filterFormat } from '../catalog/index.js';
import { GRANULARITY_NAMES } from '../granularity/index.js';

const granularityNames = Object.keys(GRANULARITY_NAMES) as (keyof typeof GRANULARITY_NAMES)[];

/** The three questions that every hit is answered for; a schema of fewer levels answers the coarser with its last. */
export const levelName = z.enum(granularityNames).meta({ id: 'LevelName' });

export const granularity = z
  .union([z.number().min(0).max(1), levelName], {
    error: 'must be item, look, category, or a number from 0 (same item) to 1 (same kind)',
  })
  .meta({ id: 'Granularity', description: 'From 0 (same item) to 1 (same kind), or item, look, category.' });

/** A part of an upright picture. */
export const region = z
  .strictObject({
    left: z.number().min(0),
    top: z.number().min(0),
    right: z.number().positive(),
    bottom: z.number().positive(),
    unit: z.enum(['fraction', 'pixel']).default('fraction'),
  })
  .refine(({ left, top, right, bottom }) => left < right && top < bottom, {
    error: 'must have left below right and top below bottom',
  })
  .meta({
    id: 'Region',
    description:
      'A box of the upright picture, in fractions of its sides or in pixels. What lies beyond the picture is cut off.',
  });

const weight = z
  .union([z.literal(1), z.literal(-1)])
  .default(1)
  .meta({ description: '1: more like this; -1: less like this.' });

/** What to search with: exactly one of a picture in base64, the uploaded file, a URL, a record's id, or a vector. */
export const example = z
  .union(
    [
      z.strictObject({ picture: z.base64().min(1), region: region.optional(), weight }),
      z.strictObject({ upload: z.literal(true), region: region.optional(), weight }),
      z.strictObject({ url: z.url({ protocol: /^https?$/ }).max(2048), region: region.optional(), weight }),
      z.strictObject({ id: z.string().min(1).max(1024), region: region.optional(), weight }),
      z.strictObject({ vector: z.base64().min(1), weight }),
    ],
    { error: 'must have exactly one of picture (base64), upload (true), url, id and vector (base64)' },
  )
  .meta({ id: 'Example', description: '`upload` is the file part `picture` of a multipart request.' });

export const filter = filterFormat.meta({
  id: 'Filter',
  description: 'Conditions that must all hold: each a test of a column, its negation, or an OR of such.',
});

/** Changes what the query asks of an attribute, whatever the picture shows. */
export const edit = z
  .union(
    [
      z.strictObject({ attribute: z.string(), value: z.string(), want: z.boolean() }),
      z.strictObject({ attribute: z.string(), any: z.literal(true) }),
    ],
    { error: 'must be { attribute, value, want: true or false } or { attribute, any: true }' },
  )
  .meta({ id: 'Edit', description: 'Ask for a value (want), against it, or for any value of an attribute.' });

export const searchRequest = z
  .strictObject({
    examples: z.array(example).min(1).max(32),
    granularity: granularity.default(0),
    limit: z.int().min(1).max(200).default(24),
    cursor: z.string().max(16_384).optional(),
    filter: filter.default([]),
    edits: z.array(edit).max(64).default([]),
    minimumProbability: z
      .strictObject({ level: levelName, probability: z.number().min(0).max(1) })
      .optional()
      .meta({
        description:
          'Only hits that agree at this level with at least this probability; needs a calibrated catalogue.',
      }),
    groupBy: z.enum(['item', 'none']).default('none'),
    diversity: z.number().min(0).max(1).default(0),
    sort: z
      .strictObject({
        column: z.string(),
        direction: z.enum(['ascending', 'descending']).default('ascending'),
      })
      .optional()
      .meta({ description: 'Order the best pictures by a column instead of by score.' }),
    facets: z.array(z.string()).max(32).default([]),
  })
  .meta({ id: 'SearchRequest' });

export const facetCounts = z
  .record(z.string(), z.array(z.strictObject({ value: z.string(), count: z.int() })))
  .meta({ id: 'FacetCounts' });

const attributes = z.record(z.string(), z.array(z.string()));

/** A record, as lists and hits show it. */
export const picture = z
  .strictObject({
    id: z.string(),
    itemId: z.string(),
    source: z.string().optional(),
    attributes,
  })
  .meta({ id: 'Picture' });

const probabilities = z.strictObject({ item: z.number(), look: z.number(), category: z.number() });

export const hit = picture
  .extend({
    rank: z.int().min(1),
    score: z.number(),
    probabilities: probabilities
      .optional()
      .meta({ description: 'Calibrated; absent when the model was not calibrated.' }),
    level: levelName
      .nullable()
      .meta({ description: 'The finest level that is more likely than not; null: none, or not calibrated.' }),
    parts: z.record(z.string(), z.number()).meta({ description: 'Shares of the score; they add up to it.' }),
    variants: z.array(z.string()).meta({ description: 'Ids of further pictures of the item, best first.' }),
  })
  .meta({ id: 'Hit' });

export const predictedAttribute = z
  .strictObject({
    name: z.string(),
    kind: z.enum(['single', 'multi']),
    values: z.array(z.strictObject({ value: z.string(), probability: z.number() })),
  })
  .meta({ id: 'PredictedAttribute', description: 'The likeliest values, likeliest first.' });

export const searchResponse = z
  .strictObject({
    hits: z.array(hit),
    cursor: z.string().nullable().meta({ description: 'For the next page; null: this is the last.' }),
    granularity: z.number(),
    vectors: z
      .array(z.string())
      .meta({ description: 'One an example. Sent again as `vector` they spare the upload and the model.' }),
    attributes: z.array(predictedAttribute).meta({ description: "Of the query, the model's own." }),
    nothingSimilar: z.boolean().meta({
      description:
        'No picture that passes the filter is likelier than not to agree at any level; false when not calibrated.',
    }),
    facets: facetCounts,
    facetScope: z.int().meta({ description: 'How many of the best pictures the facets were counted over.' }),
    generation: z.string().meta({ description: 'Changes when the catalogue moves to another model.' }),
    timing: z.strictObject({ embedMs: z.number(), searchMs: z.number() }),
  })
  .meta({ id: 'SearchResponse' });

/** One picture, for routes that take no other than it. */
export const pictureRequest = z.strictObject({ example }).meta({ id: 'PictureRequest' });

export const attributesResponse = z
  .strictObject({
    attributes: z.array(predictedAttribute),
    subjects: z.array(z.strictObject({ region, score: z.number() })),
    vector: z.string(),
    width: z.int().meta({ description: 'Of the upright picture, pixels.' }),
    height: z.int(),
  })
  .meta({ id: 'AttributesResponse' });

export const explainRequest = z
  .strictObject({
    example,
    id: z.string().min(1).max(1024),
    granularity: granularity.default(0),
    edits: z.array(edit).max(64).default([]),
  })
  .meta({
    id: 'ExplainRequest',
    description: 'Why is the picture `id` a hit for the example? For a vector there are no heat maps.',
  });

const heatMap = z.strictObject({
  width: z.int(),
  height: z.int(),
  values: z.array(z.number()).meta({ description: 'Row by row.' }),
  area: z.strictObject({ left: z.number(), top: z.number(), right: z.number(), bottom: z.number() }).meta({
    description:
      'The part of the upright picture that the map lies over, in fractions of its sides; beyond 0 to 1 where the ' +
      'model sees a background around the picture.',
  }),
  picture: z.strictObject({ width: z.int(), height: z.int() }).meta({ description: 'Pixels, upright.' }),
});

export const explainResponse = z
  .strictObject({
    score: z.number(),
    parts: z.record(z.string(), z.number()),
    probabilities: probabilities.optional(),
    attributes: z.array(
      z.strictObject({
        name: z.string(),
        value: z.string(),
        contribution: z.number(),
        missing: z.number().meta({ description: 'What the score lacks because the two differ in it.' }),
        query: z.number(),
        hit: z.number(),
      }),
    ),
    words: z.array(z.string()),
    heatMaps: z
      .strictObject({
        method: z.enum(['exact', 'occlusion']),
        note: z.string().optional().meta({ description: 'Why not exact.' }),
        cosine: z.number(),
        remainder: z.number(),
        query: heatMap,
        hit: heatMap,
      })
      .optional(),
  })
  .meta({ id: 'ExplainResponse' });

export const facetsRequest = z
  .strictObject({ columns: z.array(z.string()).min(1).max(32), filter: filter.default([]) })
  .meta({ id: 'FacetsRequest' });

export const facetsResponse = z
  .strictObject({ facets: facetCounts, total: z.int() })
  .meta({ id: 'FacetsResponse' });

export const pictureList = z
  .strictObject({ pictures: z.array(picture), cursor: z.string().nullable(), total: z.int() })
  .meta({ id: 'PictureList' });

/** Half a surrogate pair has no UTF-8, and would be stored as another text. */
const storedText = z.string().refine((text) => !/\p{Surrogate}/u.test(text), {
  error: 'must be well-formed Unicode',
});
const storedAttributes = z.record(z.string(), z.array(storedText.min(1)));

/** What is stored with a picture's bytes. */
export const pictureInput = z
  .strictObject({
    itemId: storedText.min(1).max(1024),
    source: storedText.max(1024).optional(),
    attributes: storedAttributes.default({}),
    picture: z
      .base64()
      .min(1)
      .optional()
      .meta({ description: 'The bytes, where the request is not multipart.' }),
  })
  .meta({ id: 'PictureContent' });

export const picturePatch = z
  .strictObject({
    itemId: storedText.min(1).max(1024).optional(),
    source: storedText.max(1024).optional().meta({ description: 'Empty: unknown.' }),
    attributes: storedAttributes
      .optional()
      .meta({ description: 'Those named are replaced, an empty list makes unknown.' }),
  })
  .meta({ id: 'PicturePatch' });

/** One line of a bulk request (NDJSON). */
export const bulkOperation = z
  .union(
    [
      z.strictObject({ put: z.string().min(1).max(1024), ...pictureInput.shape }),
      z.strictObject({ patch: z.string().min(1).max(1024), ...picturePatch.shape }),
      z.strictObject({ delete: z.string().min(1).max(1024) }),
    ],
    { error: 'must have exactly one of put, patch and delete, each with the id of a picture' },
  )
  .meta({ id: 'BulkOperation' });

export const bulkResult = z
  .strictObject({
    line: z.int().min(1),
    id: z.string().nullable(),
    status: z.enum(['stored', 'changed', 'deleted', 'not-found', 'failed']),
    detail: z.string().optional(),
  })
  .meta({ id: 'BulkResult' });

export const catalogResponse = z
  .strictObject({
    generation: z.string(),
    pictures: z.int(),
    items: z.int(),
    model: z.strictObject({ dimension: z.int(), vectorSize: z.int(), inputSize: z.int(), hash: z.string() }),
    levels: z.array(z.string()),
    attributes: z.array(
      z.strictObject({
        name: z.string(),
        kind: z
          .enum(['single', 'multi'])
          .nullable()
          .meta({ description: 'null: a column that the model did not learn.' }),
        values: z.array(z.strictObject({ value: z.string(), count: z.int() })),
        distinct: z.int(),
        unknown: z.int(),
        numeric: z.strictObject({ minimum: z.number(), maximum: z.number() }).nullable(),
      }),
    ),
    bytes: z.int(),
    capabilities: z.strictObject({
      calibrated: z.boolean(),
      writable: z.boolean(),
      url: z.boolean(),
      map: z.boolean(),
      heatMaps: z.boolean(),
    }),
  })
  .meta({ id: 'CatalogResponse' });

export const mapResponse = z
  .strictObject({
    ids: z.array(z.string()),
    positions: z.string().meta({ description: 'base64 of float32 x, y in [0, 1], a pair an id.' }),
    column: z.string().nullable(),
    values: z.array(z.string()).meta({ description: 'Of the column asked for, one an id; empty: unknown.' }),
    stale: z.boolean().meta({ description: 'The catalogue has changed since the map was made.' }),
  })
  .meta({ id: 'MapResponse' });

export const feedbackInput = z
  .strictObject({
    example,
    id: z.string().meta({ description: 'Of the hit.' }),
    verdict: z.enum(['up', 'down']),
    level: levelName.default('item'),
  })
  .meta({ id: 'Verdict' });

export const feedbackEntry = z
  .strictObject({
    key: z.string(),
    query: z.strictObject({
      id: z.string().optional(),
      path: z.string(),
      of: z
        .strictObject({ id: z.string(), path: z.string() })
        .optional()
        .meta({ description: 'The record that the picture is a region of.' }),
    }),
    hit: z.strictObject({ id: z.string(), path: z.string() }),
    verdict: z.enum(['up', 'down']),
    level: levelName,
    at: z.iso.datetime(),
  })
  .meta({ id: 'FeedbackEntry' });

export const feedbackList = z
  .strictObject({ entries: z.array(feedbackEntry), cursor: z.string().nullable(), total: z.int() })
  .meta({ id: 'FeedbackList' });

/** RFC 9457. */
export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    instance: z.string().optional(),
    code: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });

export type LevelName = z.infer<typeof levelName>;
export type Region = z.infer<typeof region>;
export type Example = z.input<typeof example>;
export type Edit = z.infer<typeof edit>;
export type SearchRequest = z.input<typeof searchRequest>;
export type SearchResponse = z.infer<typeof searchResponse>;
export type Picture = z.infer<typeof picture>;
export type Hit = z.infer<typeof hit>;
export type FacetCounts = z.infer<typeof facetCounts>;
export type PredictedAttribute = z.infer<typeof predictedAttribute>;
export type AttributesResponse = z.infer<typeof attributesResponse>;
export type ExplainRequest = z.input<typeof explainRequest>;
export type ExplainResponse = z.infer<typeof explainResponse>;
export type FacetsRequest = z.input<typeof facetsRequest>;
export type FacetsResponse = z.infer<typeof facetsResponse>;
export type PictureList = z.infer<typeof pictureList>;
export type PictureInput = z.input<typeof pictureInput>;
export type PicturePatch = z.infer<typeof picturePatch>;
export type BulkOperation = z.input<typeof bulkOperation>;
export type BulkResult = z.infer<typeof bulkResult>;
export type CatalogResponse = z.infer<typeof catalogResponse>;
export type MapResponse = z.infer<typeof mapResponse>;
export type FeedbackInput = z.input<typeof feedbackInput>;
export type FeedbackEntry = z.infer<typeof feedbackEntry>;
export type FeedbackList = z.infer<typeof feedbackList>;
export type Problem = z.infer<typeof problem>;

/**
 * The routes. An id is one path segment, percent-encoded.
 *
 * | route | asks | answers |
 * |---|---|---|
 * | POST /v1/search | `SearchRequest`, or multipart: file `picture` and field `request` | `SearchResponse` |
 * | POST /v1/attributes | `PictureRequest`, or multipart as above | `AttributesResponse` |
 * | POST /v1/explain | `ExplainRequest`, or multipart as above | `ExplainResponse` |
 * | POST /v1/facets | `FacetsRequest` | `FacetsResponse` |
 * | GET /v1/catalog | | `CatalogResponse` |
 * | GET /v1/map?column= | | `MapResponse` |
 * | GET /v1/pictures?limit=&cursor=&filter= | filter as JSON | `PictureList` |
 * | GET, PUT, PATCH, DELETE /v1/pictures/{id} | `PictureInput` (JSON or multipart), `PicturePatch` | `Picture` |
 * | GET /v1/pictures/{id}/image?width= | | the picture, or a WebP of at most that width |
 * | GET /v1/pictures/{id}/similar?granularity=&limit= | | `SearchResponse` |
 * | GET /v1/remote-picture?url=&width= | where URLs are allowed | a WebP of at most that width |
 * | POST /v1/bulk | NDJSON of `BulkOperation` | NDJSON of `BulkResult` |
 * | GET, POST /v1/feedback; DELETE /v1/feedback/{key} | `FeedbackInput` | `FeedbackList`, `FeedbackEntry` |
 * | GET /health/live, /health/ready, /metrics, /openapi.json | | |
 */
export const API_VERSION = 'v1';
