/**
 * Requests to the server that serves the page, by `semblance/client`. Every call takes a signal; what goes wrong is a
 * `RequestError` that says whether trying again can help.
 */
import {
  type CallOptions,
  createSemblanceClient,
  type Example,
  type ExplainRequest,
  type FacetsRequest,
  type FeedbackInput,
  ProblemError,
  type SearchRequest,
} from '../src/client/index.js';

/** `offline`: no answer of the server's; otherwise its own problem. */
export class RequestError extends Error {
  override name = 'RequestError';
  constructor(
    readonly kind: 'offline' | 'problem',
    message: string,
    readonly status = 0,
    readonly code = '',
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export type Api = ReturnType<typeof createApi>;

/** Where the key comes from that a server may want. */
export interface KeySource {
  current(): string | null;
  /** Asks for another; null: there is none. */
  ask(): Promise<string | null>;
}

/**
 * @param server address of the server with or without a path, absolute or relative to the document.
 * @param keys asked when the server wants a key. Default: it is a problem like others.
 */
export function createApi(server = '.', keys?: KeySource) {
  const base = new URL(server.endsWith('/') ? server : `${server}/`, document.baseURI);
  const client = createSemblanceClient({
    baseUrl: base.href,
    fetch(request) {
      const key = keys?.current() ?? null;
      if (key !== null) request.headers.set('authorization', `Bearer ${key}`);
      return fetch(request);
    },
  });

  /** Sends, and says what went wrong as the page understands it. */
  async function ask<T>(
    signal: AbortSignal | undefined,
    send: (options: CallOptions) => Promise<T>,
  ): Promise<T> {
    const key = keys?.current() ?? null;
    let refused: RequestError;
    try {
      return await send(signal === undefined ? {} : { signal });
    } catch (error) {
      if (isAbort(error) || signal?.aborted) throw new DOMException('aborted', 'AbortError');
      refused = toRequestError(error);
      if (keys === undefined || refused.status !== 401) throw refused;
    }
    // Another request may have asked, and been given one, since this one was sent.
    const other = keys?.current() === key ? await keys?.ask() : keys?.current();
    if (signal?.aborted) throw new DOMException('aborted', 'AbortError');
    if (other == null) throw refused;
    return await ask(signal, send);
  }

  return {
    catalog: (signal?: AbortSignal) => ask(signal, (options) => client.catalog(options)),
    search: (body: SearchRequest, signal?: AbortSignal, picture?: Blob) =>
      ask(signal, (options) => client.search(body, { ...options, picture })),
    attributes: (example: Example, signal?: AbortSignal, picture?: Blob) =>
      ask(signal, (options) => client.attributes(example, { ...options, picture })),
    explain: (body: ExplainRequest, signal?: AbortSignal, picture?: Blob) =>
      ask(signal, (options) => client.explain(body, { ...options, picture })),
    facets: (body: FacetsRequest, signal?: AbortSignal) =>
      ask(signal, (options) => client.facets(body, options)),
    pictures: (
      { limit, cursor, filter }: { limit: number; cursor?: string | null; filter?: unknown[] },
      signal?: AbortSignal,
    ) =>
      ask(signal, (options) =>
        client.pictures(
          {
            limit,
            ...(cursor ? { cursor } : {}),
            ...(filter !== undefined && filter.length > 0 ? { filter: JSON.stringify(filter) } : {}),
          },
          options,
        ),
      ),
    picture: (id: string, signal?: AbortSignal) => ask(signal, (options) => client.picture(id, options)),
    map: (column: string | null, signal?: AbortSignal) =>
      ask(signal, (options) => client.map(column === null ? {} : { column }, options)),
    feedback: (cursor: string | null, signal?: AbortSignal) =>
      ask(signal, (options) => client.feedback(cursor === null ? {} : { cursor }, options)),
    giveFeedback: (body: FeedbackInput, signal?: AbortSignal, picture?: Blob) =>
      ask(signal, (options) => client.addFeedback(body, { ...options, picture })),
    removeFeedback: (key: string) => ask(undefined, () => client.deleteFeedback(key)),
    /** Address of a picture of the web, which the server fetches: the page's policy lets it load nothing from elsewhere. */
    remotePictureUrl: (url: string, width = 1280) => client.remotePictureUrl(url, { width }),
    /** Address of a picture; `width` asks for a smaller WebP. */
    imageUrl: (id: string, width?: number) => client.imageUrl(id, width === undefined ? {} : { width }),
  };
}

// --- internal ---

function toRequestError(error: unknown): RequestError {
  const cause = { cause: error };
  if (!(error instanceof ProblemError)) return new RequestError('offline', String(error), 0, '', cause);
  const { title, detail, status, code } = error.problem;
  // A proxy before a server that is down answers with pages of its own.
  if (code === 'unknown' && status >= 502)
    return new RequestError('offline', `status ${status}`, 0, '', cause);
  return new RequestError('problem', title === detail ? title : `${title}: ${detail}`, status, code, cause);
}
