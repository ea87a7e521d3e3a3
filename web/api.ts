/**
 * Requests to the server that serves the page (or, embedded, to the one named). Every call takes a signal; what goes
 * wrong is a `RequestError` that says whether trying again can help.
 */
import type {
  AttributesResponse,
  CatalogResponse,
  Example,
  ExplainRequest,
  ExplainResponse,
  FacetsRequest,
  FacetsResponse,
  FeedbackEntry,
  FeedbackInput,
  FeedbackList,
  MapResponse,
  Picture,
  PictureList,
  Problem,
  SearchRequest,
  SearchResponse,
} from '../src/server/contract.js';

/** `offline`: no answer at all; otherwise the server's own problem. */
export class RequestError extends Error {
  override name = 'RequestError';
  constructor(
    readonly kind: 'offline' | 'problem',
    message: string,
    readonly status = 0,
    readonly code = '',
  ) {
    super(message);
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export type Api = ReturnType<typeof createApi>;

/** @param server address of the server with or without a path, absolute or relative to the document. */
export function createApi(server = '.') {
  const base = new URL(server.endsWith('/') ? server : `${server}/`, document.baseURI);

  async function request<T>(path: string, init: RequestInit, signal?: AbortSignal): Promise<T> {
    let response: Response;
    try {
      response = await fetch(new URL(path, base), { ...init, ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      if (isAbort(error) || signal?.aborted) throw new DOMException('aborted', 'AbortError');
      throw new RequestError('offline', String(error));
    }
    const isJson = /\bjson\b/.test(response.headers.get('content-type') ?? '');
    // A proxy before a server that is down answers with pages of its own.
    if (!response.ok && !isJson && response.status >= 502)
      throw new RequestError('offline', `status ${response.status}`);
    if (!response.ok) {
      const problem = isJson ? ((await response.json()) as Partial<Problem>) : {};
      const text = [problem.title, problem.detail].filter(Boolean).join(': ') || `status ${response.status}`;
      throw new RequestError('problem', text, response.status, problem.code ?? '');
    }
    if (response.status === 204) return undefined as T;
    if (!isJson) throw new RequestError('offline', `an answer that is not JSON, of ${response.url}`);
    try {
      return (await response.json()) as T;
    } catch (error) {
      if (isAbort(error) || signal?.aborted) throw new DOMException('aborted', 'AbortError');
      throw new RequestError('offline', String(error));
    }
  }

  function post<T>(path: string, body: unknown, signal?: AbortSignal, picture?: Blob): Promise<T> {
    const text = JSON.stringify(body);
    if (picture === undefined)
      return request(
        path,
        { method: 'POST', body: text, headers: { 'content-type': 'application/json' } },
        signal,
      );
    const form = new FormData();
    form.append('request', text);
    form.append('picture', picture, 'picture');
    return request(path, { method: 'POST', body: form }, signal);
  }

  return {
    catalog: (signal?: AbortSignal) => request<CatalogResponse>('v1/catalog', {}, signal),
    search: (body: SearchRequest, signal?: AbortSignal, picture?: Blob) =>
      post<SearchResponse>('v1/search', body, signal, picture),
    attributes: (example: Example, signal?: AbortSignal, picture?: Blob) =>
      post<AttributesResponse>('v1/attributes', { example }, signal, picture),
    explain: (body: ExplainRequest, signal?: AbortSignal, picture?: Blob) =>
      post<ExplainResponse>('v1/explain', body, signal, picture),
    facets: (body: FacetsRequest, signal?: AbortSignal) => post<FacetsResponse>('v1/facets', body, signal),
    pictures: (
      { limit, cursor, filter }: { limit: number; cursor?: string | null; filter?: unknown[] },
      signal?: AbortSignal,
    ) => {
      const search = new URLSearchParams({ limit: String(limit) });
      if (cursor) search.set('cursor', cursor);
      if (filter !== undefined && filter.length > 0) search.set('filter', JSON.stringify(filter));
      return request<PictureList>(`v1/pictures?${search}`, {}, signal);
    },
    picture: (id: string, signal?: AbortSignal) =>
      request<Picture>(`v1/pictures/${encodeURIComponent(id)}`, {}, signal),
    map: (column: string | null, signal?: AbortSignal) =>
      request<MapResponse>(
        `v1/map${column === null ? '' : `?column=${encodeURIComponent(column)}`}`,
        {},
        signal,
      ),
    feedback: (cursor: string | null, signal?: AbortSignal) =>
      request<FeedbackList>(
        `v1/feedback${cursor === null ? '' : `?cursor=${encodeURIComponent(cursor)}`}`,
        {},
        signal,
      ),
    giveFeedback: (body: FeedbackInput, signal?: AbortSignal, picture?: Blob) =>
      post<FeedbackEntry>('v1/feedback', body, signal, picture),
    removeFeedback: (key: string) =>
      request<unknown>(`v1/feedback/${encodeURIComponent(key)}`, { method: 'DELETE' }),
    /** Address of a picture; `width` asks for a smaller WebP. */
    imageUrl: (id: string, width?: number) =>
      new URL(
        `v1/pictures/${encodeURIComponent(id)}/image${width === undefined ? '' : `?width=${width}`}`,
        base,
      ).href,
  };
}
