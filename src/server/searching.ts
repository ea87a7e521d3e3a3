/** From a request on the wire to the catalogue's search, and back to the wire. */
import type { z } from 'zod';
import type { Embedder, PictureSource } from '../bundle/index.js';
import {
  type Example as CatalogExample,
  search as searchCatalog,
  UnknownPictureError,
} from '../catalog/index.js';
import { parseGranularity } from '../granularity/index.js';
import { DataError } from '../util/index.js';
import type { RequestContext, ServerContext } from './context.js';
import type { Example, Region, SearchResponse, searchRequest } from './contract.js';
import { clientMessage, HttpError } from './errors.js';
import { filterColumns, pictureFile, requireColumns, requireRecord } from './records.js';
import { fetchPicture } from './remote-picture.js';
import { decodeVector, encodeVector } from './vectors.js';

/** A request after validation. */
export type SearchQuery = z.output<typeof searchRequest>;

/** Searches the catalogue. @throws HttpError */
export async function search(context: RequestContext, query: SearchQuery): Promise<SearchResponse> {
  const { catalog } = context;
  const { examples, granularity, sort, ...rest } = query;
  requireColumns(context, [...query.facets, ...filterColumns(query.filter), ...(sort ? [sort.column] : [])]);
  const gamma = parseGranularity(granularity);
  const request = {
    ...rest,
    granularity: gamma,
    sort,
    examples: await Promise.all(examples.map((example) => toCatalogExample(context, example))),
  };
  const found = await context
    .trace('search', () => searchCatalog(catalog, queuedEmbedder(context), request))
    .catch((error) => {
      throw searchProblem(error);
    });
  context.signal.throwIfAborted();
  context.metrics.observeSearch(found.timing);
  return {
    hits: found.hits.map(({ path: _, source, attributes, probabilities, level = null, ...hit }) => ({
      ...hit,
      ...(probabilities === undefined ? {} : { probabilities }),
      ...(source === undefined ? {} : { source }),
      attributes: mutable(attributes),
      level,
      parts: { ...hit.parts },
      variants: [...hit.variants],
    })),
    cursor: found.cursor ?? null,
    granularity: gamma,
    vectors: found.vectors.map(encodeVector),
    attributes: found.attributes.map(({ values, ...attribute }) => ({ ...attribute, values: [...values] })),
    nothingSimilar: found.nothingSimilar ?? false,
    facets: Object.fromEntries(
      Object.entries(found.facets).map(([name, counts]) => [name, counts.slice(0, MAXIMUM_FACET_VALUES)]),
    ),
    facetScope: found.facetScope,
    generation: context.generation,
    timing: found.timing,
  };
}

/** An example of the wire as the catalogue takes it. @throws HttpError */
export async function toCatalogExample(context: RequestContext, example: Example): Promise<CatalogExample> {
  const weight = example.weight ?? 1;
  if ('vector' in example)
    return { vector: decodeVector(example.vector, context.catalog.layout.size), weight };
  if ('id' in example && example.region === undefined) return { id: example.id, weight };
  return { picture: await toPictureSource(context, example), weight };
}

/** The picture that an example shows. @throws HttpError when it shows none */
export async function toPictureSource(context: RequestContext, example: Example): Promise<PictureSource> {
  if ('vector' in example)
    throw new HttpError('invalid-request', 'the example must show a picture, not a vector');
  const box: { box?: Region } = example.region === undefined ? {} : { box: example.region as Region };
  if ('id' in example) return { ...pictureFile(await requireRecord(context, example.id)), ...box };
  if ('url' in example) return { ...uploaded(context, await remotePicture(context, example.url)), ...box };
  if ('picture' in example) return { ...uploaded(context, Buffer.from(example.picture, 'base64')), ...box };
  const { upload } = context;
  if (upload === undefined)
    throw new HttpError('invalid-multipart', "an example says 'upload', but there is no file part 'picture'");
  return { ...uploaded(context, upload), ...box };
}

/** The picture behind a URL. @throws HttpError `url-not-allowed`, `unreachable-url`, `too-large` */
export async function remotePicture(context: RequestContext, url: string): Promise<Uint8Array> {
  const { remote, limits, signal, hold } = context;
  if (remote === undefined)
    throw new HttpError('url-not-allowed', 'the server does not fetch pictures. Send the picture itself');
  return await fetchPicture(url, { ...remote, maximumBytes: limits.pictureBytes, signal, onBytes: hold });
}

/** @throws HttpError `read-only` */
export function requireWritable({ readOnly }: ServerContext): void {
  if (readOnly) throw new HttpError('read-only', 'this server was started read-only');
}

/** The model, one of a few at a time; what cannot be decoded is the client's problem. */
export function queuedEmbedder({ embedder, queue, signal, trace }: RequestContext): Embedder {
  return {
    ...embedder,
    async embedOne(picture) {
      let begin = () => {};
      const turn = new Promise<void>((resolve) => {
        begin = resolve;
      });
      void trace('wait for the model', () => turn);
      try {
        return await queue.run(async () => {
          begin();
          return await embedder.embedOne(picture).catch((error) => {
            throw unreadable(error);
          });
        }, signal);
      } finally {
        begin();
      }
    },
  };
}

/** The problem of a picture that could not be decoded. */
export function unreadable(error: unknown): unknown {
  if (!(error instanceof DataError)) return error;
  return new HttpError('unreadable-picture', clientMessage(error, 'picture'), { cause: error });
}

/** What the catalogue refuses: the request was at fault, and the catalogue says how. */
export function searchProblem(error: unknown): unknown {
  if (!(error instanceof DataError)) return error;
  const code =
    error instanceof UnknownPictureError
      ? 'unknown-picture'
      : error.message.startsWith('cursor: ')
        ? 'invalid-cursor'
        : 'unprocessable';
  return new HttpError(code, clientMessage(error), { cause: error });
}

/** @throws HttpError `too-large` */
export function limitedPicture({ limits }: ServerContext, bytes: Uint8Array): Uint8Array {
  if (bytes.length > limits.pictureBytes)
    throw new HttpError(
      'too-large',
      `a picture may have ${limits.pictureBytes} bytes, got ${bytes.length}. Scale it down`,
    );
  return bytes;
}

// --- internal ---

const MAXIMUM_FACET_VALUES = 200;

/** A picture of a client's, within this server's limits. */
function uploaded(context: RequestContext, bytes: Uint8Array): { bytes: Uint8Array; maximumPixels: number } {
  return { bytes: limitedPicture(context, bytes), maximumPixels: context.limits.picturePixels };
}

function mutable(attributes: Readonly<Record<string, readonly string[]>>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(attributes).map(([name, values]) => [name, [...values]]));
}
