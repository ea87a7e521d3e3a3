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
  /** The address of a picture, scaled to at most a width where one is given. */
  imageUrl(id: string, options?: { readonly width?: number }): string;
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
  const post = async <T>(path: string, body: object, { picture, signal }: UploadOptions): Promise<T> => {
    const form = picture === undefined ? undefined : new FormData();
    if (form !== undefined && picture !== undefined) {
      form.append('request', JSON.stringify(body));
      form.append('picture', picture);
    }
    const request = new Request(absolute(`${baseUrl}${path}`), {
      method: 'POST',
      headers: form === undefined ? { ...headers, 'content-type': 'application/json' } : headers,
      body: form ?? JSON.stringify(body),
      signal: signal ?? null,
    });
    const response = await send(request);
    if (!response.ok) throw await problemOf(response);
    return (await response.json()) as T;
  };

  return {
    api,
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
