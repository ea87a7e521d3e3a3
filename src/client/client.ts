/**
 * The client of the HTTP API, for browsers and Node: `openapi-fetch` with the types of the OpenAPI document, and on top what
 * every caller needs: pictures as Blobs, problems as errors, addresses of images, NDJSON line by line.
 */
import createFetchClient, { type Client } from 'openapi-fetch';
import type { components, operations, paths } from './schema.js';

type Schemas = components['schemas'];
export type SearchRequest = Schemas['SearchRequest'];
export type SearchResponse = Schemas['SearchResponse'];
export type Hit = Schemas['Hit'];
export type Example = Schemas['Example'];
export type Picture = Schemas['Picture'];
export type LevelName = Schemas['LevelName'];
export type Region = Schemas['Region'];
export type Edit = Schemas['Edit'];
export type FacetCounts = Schemas['FacetCounts'];
export type PredictedAttribute = Schemas['PredictedAttribute'];
export type Problem = Schemas['Problem'];
export type AttributesResponse = Schemas['AttributesResponse'];
export type ExplainRequest = Schemas['ExplainRequest'];
export type ExplainResponse = Schemas['ExplainResponse'];
export type FacetsRequest = Schemas['FacetsRequest'];
export type FacetsResponse = Schemas['FacetsResponse'];
export type CatalogResponse = Schemas['CatalogResponse'];
export type MapResponse = Schemas['MapResponse'];
export type PictureList = Schemas['PictureList'];
export type PictureContent = Schemas['PictureContent'];
export type PicturePatch = Schemas['PicturePatch'];
export type BulkOperation = Schemas['BulkOperation'];
export type BulkResult = Schemas['BulkResult'];
export type FeedbackInput = Schemas['Verdict'];
export type FeedbackEntry = Schemas['FeedbackEntry'];
export type FeedbackList = Schemas['FeedbackList'];
type Query<O extends keyof operations> = operations[O] extends { parameters: { query?: infer Q } }
  ? NonNullable<Q>
  : never;

export interface ClientOptions {
  /** Where the server is, e.g. `http://localhost:7700`. Default: where the page came from. */
  readonly baseUrl?: string;
  /** Default: the platform's. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface CallOptions {
  /** Aborted, the request is given up; the server stops its work as well. */
  readonly signal?: AbortSignal | undefined;
}

/** With a picture to upload: an example of the request says `{ upload: true }`. */
export interface UploadOptions extends CallOptions {
  readonly picture?: Blob | undefined;
}

/** A problem (RFC 9457) that the server answered with. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly problem: Problem;
  /** Seconds after which to try again, where the server says so. */
  readonly retryAfter: number | undefined;

  constructor(problem: Problem, retryAfter?: number) {
    super(problem.detail);
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  get code(): string {
    return this.problem.code;
  }

  get status(): number {
    return this.problem.status;
  }
}

export interface SemblanceClient {
  /** Every route as the document has it, for what has no method here. */
  readonly api: Client<paths>;
  /** @throws ProblemError, as all methods; what `fetch` throws when the server cannot be reached. */
  search(request: SearchRequest, options?: UploadOptions): Promise<SearchResponse>;
  attributes(example: Example, options?: UploadOptions): Promise<AttributesResponse>;
  explain(request: ExplainRequest, options?: UploadOptions): Promise<ExplainResponse>;
  facets(request: FacetsRequest, options?: CallOptions): Promise<FacetsResponse>;
  catalog(options?: CallOptions): Promise<CatalogResponse>;
  /** A place in the plane for each picture. @throws ProblemError `no-map` when none was made */
  map(query?: Query<'getMap'>, options?: CallOptions): Promise<MapResponse>;
  pictures(query?: Query<'listPictures'>, options?: CallOptions): Promise<PictureList>;
  picture(id: string, options?: CallOptions): Promise<Picture>;
  similar(id: string, query?: Query<'similarPictures'>, options?: CallOptions): Promise<SearchResponse>;
  /** Adds a picture, or replaces the one of this id with all that is known of it. */
  putPicture(id: string, content: PictureContent, options?: UploadOptions): Promise<Picture>;
  /** Changes what is known of a picture, not the picture. */
  patchPicture(id: string, patch: PicturePatch, options?: CallOptions): Promise<Picture>;
  deletePicture(id: string, options?: CallOptions): Promise<void>;
  /**
   * Any number of writes, carried out in order. They are sent a few megabytes at a time, so that no browser and no proxy
   * has to stream a request; `line` counts on from one such request to the next.
   */
  bulk(
    operations: Iterable<BulkOperation> | AsyncIterable<BulkOperation>,
    options?: CallOptions,
  ): AsyncGenerator<BulkResult>;
  /** The address of a picture, scaled to at most a width where one is given. */
  imageUrl(id: string, options?: { readonly width?: number }): string;
  /** The address of a picture of the web, fetched and scaled by the server where it allows that. */
  remotePictureUrl(url: string, options?: { readonly width?: number }): string;
  feedback(query?: Query<'listFeedback'>, options?: CallOptions): Promise<FeedbackList>;
  addFeedback(input: FeedbackInput, options?: UploadOptions): Promise<FeedbackEntry>;
  deleteFeedback(key: string, options?: CallOptions): Promise<void>;
}

/** Makes a client. Nothing is sent yet. */
export function createSemblanceClient(options: ClientOptions = {}): SemblanceClient {
  const baseUrl = (options.baseUrl ?? '').replace(/\/+$/, '');
  const send = options.fetch ?? ((request: Request) => globalThis.fetch(request));
  const headers = { ...options.headers };
  const api = createFetchClient<paths>({ baseUrl, fetch: send, headers });

  /** JSON, or multipart where there is a picture. */
  const post = async <T>(
    path: string,
    body: object,
    { picture, signal }: UploadOptions,
    method = 'POST',
  ): Promise<T> => {
    const form = picture === undefined ? undefined : new FormData();
    if (form !== undefined && picture !== undefined) {
      form.append('request', JSON.stringify(body));
      form.append('picture', picture);
    }
    const request = new Request(absolute(`${baseUrl}${path}`), {
      method,
      headers: form === undefined ? { ...headers, 'content-type': 'application/json' } : headers,
      body: form ?? JSON.stringify(body),
      signal: signal ?? null,
    });
    const response = await send(request);
    if (!response.ok) throw await problemOf(response);
    return (await response.json()) as T;
  };

  const sendLines = async (lines: readonly string[], { signal }: CallOptions): Promise<BulkResult[]> => {
    const response = await send(
      new Request(absolute(`${baseUrl}/v1/bulk`), {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/x-ndjson' },
        body: lines.join(''),
        signal: signal ?? null,
      }),
    );
    if (!response.ok) throw await problemOf(response);
    const text = await response.text();
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as BulkResult);
  };

  async function* bulk(
    operations: Iterable<BulkOperation> | AsyncIterable<BulkOperation>,
    options: CallOptions = {},
  ): AsyncGenerator<BulkResult> {
    let [lines, characters, sent]: [string[], number, number] = [[], 0, 0];
    const flush = async () => {
      const results = await sendLines(lines, options);
      const before = sent;
      sent += lines.length;
      [lines, characters] = [[], 0];
      return results.map((result) => ({ ...result, line: result.line + before }));
    };
    for await (const operation of operations) {
      const line = `${JSON.stringify(operation)}\n`;
      lines.push(line);
      characters += line.length;
      if (characters >= BULK_CHARACTERS || lines.length >= BULK_LINES) yield* await flush();
    }
    if (lines.length > 0) yield* await flush();
  }

  return {
    api,
    bulk,
    putPicture: (id, content, options = {}) =>
      post(`/v1/pictures/${encodeURIComponent(id)}`, content, options, 'PUT'),
    patchPicture: (id, patch, options = {}) =>
      post(`/v1/pictures/${encodeURIComponent(id)}`, patch, options, 'PATCH'),
    async deletePicture(id, options = {}) {
      const { error, response } = await api.DELETE('/v1/pictures/{id}', {
        params: { path: { id } },
        ...call(options),
      });
      if (!response.ok) throw new ProblemError(asProblem(error, response), retryAfter(response));
    },
    search: (request, options = {}) => post('/v1/search', request, options),
    attributes: (example, options = {}) => post('/v1/attributes', { example }, options),
    explain: (request, options = {}) => post('/v1/explain', request, options),
    facets: (request, options = {}) => post('/v1/facets', request, options),
    catalog: (options = {}) => unwrap(api.GET('/v1/catalog', call(options))),
    map: (query = {}, options = {}) => unwrap(api.GET('/v1/map', { params: { query }, ...call(options) })),
    pictures: (query = {}, options = {}) =>
      unwrap(api.GET('/v1/pictures', { params: { query }, ...call(options) })),
    picture: (id, options = {}) =>
      unwrap(api.GET('/v1/pictures/{id}', { params: { path: { id } }, ...call(options) })),
    similar: (id, query = {}, options = {}) =>
      unwrap(api.GET('/v1/pictures/{id}/similar', { params: { path: { id }, query }, ...call(options) })),
    imageUrl: (id, { width } = {}) =>
      `${baseUrl}/v1/pictures/${encodeURIComponent(id)}/image${width === undefined ? '' : `?width=${width}`}`,
    remotePictureUrl: (url, { width } = {}) =>
      `${baseUrl}/v1/remote-picture?url=${encodeURIComponent(url)}${width === undefined ? '' : `&width=${width}`}`,
    feedback: (query = {}, options = {}) =>
      unwrap(api.GET('/v1/feedback', { params: { query }, ...call(options) })),
    addFeedback: (input, options = {}) => post('/v1/feedback', input, options),
    async deleteFeedback(key, options = {}) {
      const { error, response } = await api.DELETE('/v1/feedback/{key}', {
        params: { path: { key } },
        ...call(options),
      });
      if (!response.ok) throw new ProblemError(asProblem(error, response), retryAfter(response));
    },
  };
}

// --- internal ---

/** Of one bulk request. */
const BULK_CHARACTERS = 8_000_000;
const BULK_LINES = 1000;

function call({ signal }: CallOptions): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** `Request` wants whole addresses where there is no page that they could be relative to. */
function absolute(url: string): string {
  const page = (globalThis as { location?: { href: string } }).location;
  return page === undefined ? url : new URL(url, page.href).href;
}

async function unwrap<T>(
  answer: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<NonNullable<T>> {
  const { data, error, response } = await answer;
  if (response.ok && data !== undefined && data !== null) return data;
  throw new ProblemError(asProblem(error, response), retryAfter(response));
}

async function problemOf(response: Response): Promise<ProblemError> {
  const body: unknown = await response.json().catch(() => undefined);
  return new ProblemError(asProblem(body, response), retryAfter(response));
}

/** What stands between client and server (a proxy, say) answers with other things than problems. */
function asProblem(body: unknown, { status, statusText }: Response): Problem {
  if (typeof body === 'object' && body !== null && 'code' in body && 'detail' in body) return body as Problem;
  const title = statusText === '' ? `HTTP ${status}` : statusText;
  return { type: 'about:blank', title, status, detail: title, code: 'unknown' };
}

function retryAfter(response: Response): number | undefined {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds : undefined;
}
