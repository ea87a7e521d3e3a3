/**
 * The search of one element: its settings, its query, and what came back. Everything is made anew by `createSearch`, so
 * that elements on one page share nothing. One request at a time: a newer one aborts the one before.
 */
import { batch, computed, signal } from '@preact/signals';
import type {
  CatalogResponse,
  Example,
  FacetCounts,
  Hit,
  SearchRequest,
  SearchResponse,
} from '../../src/client/index.js';
import { type Api, createApi, isAbort, RequestError } from '../api.js';
import { toFilter } from '../state/filter.js';
import type { Filters } from '../ui/facet.js';
import type { ErrorDetail, Filter, Query, QueryExample, ResultsDetail } from './public.js';

export interface Settings {
  readonly server: string;
  readonly apiKey: string | null;
  readonly limit: number;
  readonly filter: Filter;
  readonly groupBy: 'item' | 'none';
  readonly facets: readonly string[] | null;
}

export type WeighedExample = QueryExample & { readonly weight: 1 | -1 };
export type Status = 'idle' | 'loading' | 'more' | 'ready' | 'failed';
export type ElementSearch = ReturnType<typeof createSearch>;

interface Listeners {
  readonly onResults: (detail: ResultsDetail) => void;
  readonly onError: (detail: ErrorDetail) => void;
}

export const DEFAULT_SETTINGS: Settings = {
  server: '.',
  apiKey: null,
  limit: 24,
  filter: [],
  groupBy: 'none',
  facets: null,
};
/** Facets of a column with more values than this are of no help. */
const FACET_VALUES = 400;
/** So many columns are shown where none were named. */
const FACET_COLUMNS = 8;

export function createSearch({ onResults, onError }: Listeners) {
  const settings = signal<Settings>(DEFAULT_SETTINGS);
  const chosenGranularity = signal(0);
  /** The slider's value while it is held; null otherwise. */
  const live = signal<number | null>(null);
  const granularity = computed(() => live.value ?? chosenGranularity.value);
  const examples = signal<readonly WeighedExample[]>([]);
  const filters = signal<Filters>({});
  const catalog = signal<CatalogResponse | null>(null);
  const status = signal<Status>('idle');
  const failure = signal<RequestError | null>(null);
  const failures = signal(0);
  const hits = signal<readonly Hit[]>([]);
  const response = signal<SearchResponse | null>(null);
  const facets = signal<FacetCounts>({});
  const server = computed(() => settings.value.server);
  const key = computed(() => settings.value.apiKey);
  const api = computed(() => {
    const sent = key.value;
    return createApi(server.value, { current: () => sent, ask: async () => null });
  });
  /** Columns to filter by, those of numbers included. */
  const columns = computed(() => {
    const named = settings.value.facets;
    const all = (catalog.value?.attributes ?? []).filter(
      ({ numeric, distinct }) => numeric !== null || (distinct > 1 && distinct <= FACET_VALUES),
    );
    if (named === null) return all.slice(0, FACET_COLUMNS);
    return named.flatMap((name) => all.find((column) => column.name === name) ?? []);
  });

  /** base64 vectors of pictures in the query: sent in their place, they spare the upload and the model. */
  const vectors = new WeakMap<WeighedExample, string>();
  let running: AbortController | undefined;
  let isScheduled = false;
  let loading: Api | undefined;

  /** Asks for the first page, or for the one after a cursor. */
  async function ask(after: string | null = null): Promise<SearchResponse> {
    running?.abort();
    isScheduled = false;
    const controller = new AbortController();
    running = controller;
    batch(() => {
      failure.value = null;
      status.value = after === null ? 'loading' : 'more';
    });
    try {
      catalog.value ??= await api.value.catalog(controller.signal);
      const answer = await send(after, controller.signal);
      if (running !== controller) throw new DOMException('aborted', 'AbortError');
      onResults({ hits: hits.value, response: answer });
      return answer;
    } catch (thrown) {
      if (running === controller && !isAbort(thrown)) fail(thrown);
      throw thrown;
    }
  }

  async function send(after: string | null, signal: AbortSignal): Promise<SearchResponse> {
    const query = examples.peek();
    const isHeld = live.peek() !== null;
    // One file a request: vectors of further pictures are asked for first.
    const uploads = query.filter((example) => 'picture' in example && !vectors.has(example));
    for (const extra of uploads.slice(1)) {
      const { example, picture } = toSend(extra);
      vectors.set(extra, (await api.peek().attributes(example, signal, picture)).vector);
    }
    const sent = query.map(toSend);
    const counted = columns.peek().filter(({ numeric }) => numeric === null);
    const { limit, filter, groupBy } = settings.peek();
    const body: SearchRequest = {
      examples: sent.map(({ example }) => example),
      granularity: granularity.peek(),
      limit,
      filter: [...filter, ...toFilter(filters.peek())],
      groupBy,
      ...(after === null ? {} : { cursor: after }),
      ...(isHeld || after !== null ? {} : { facets: counted.map(({ name }) => name).slice(0, 32) }),
    };
    const picture = sent.find((one) => one.picture !== undefined)?.picture;
    const answer = await api.peek().search(body, signal, picture);
    query.forEach((example, i) => {
      const vector = answer.vectors[i];
      if (vector !== undefined && 'picture' in example) vectors.set(example, vector);
    });
    if (signal.aborted) throw new DOMException('aborted', 'AbortError');
    batch(() => {
      response.value = answer;
      hits.value = after === null ? answer.hits : [...hits.peek(), ...answer.hits];
      if (!isHeld && after === null) facets.value = answer.facets;
      failures.value = 0;
      status.value = 'ready';
    });
    return answer;
  }

  function toSend(example: WeighedExample): { example: Example; picture?: Blob } {
    const { weight } = example;
    const vector = vectors.get(example);
    if (vector !== undefined) return { example: { vector, weight } };
    if (!('picture' in example)) return { example };
    const { picture, region } = example;
    return { example: { upload: true, weight, ...(region === undefined ? {} : { region }) }, picture };
  }

  function fail(thrown: unknown): void {
    const error = thrown instanceof RequestError ? thrown : new RequestError('problem', String(thrown));
    batch(() => {
      failure.value = error;
      failures.value++;
      status.value = 'failed';
    });
    const { kind, message, status: code, code: name } = error;
    onError({ kind, message, status: code, code: name });
  }

  /** Asks; what goes wrong has been said by then. */
  function run(after: string | null = null): void {
    ask(after).catch(() => undefined);
  }

  /** Asks once for all changes that are made in one go. */
  function runSoon(): void {
    if (isScheduled) return;
    isScheduled = true;
    queueMicrotask(() => {
      // Whoever asked meanwhile has asked with the changes.
      if (!isScheduled) return;
      isScheduled = false;
      if (examples.peek().length > 0) run();
    });
  }

  function stop(): void {
    running?.abort();
    running = undefined;
  }

  function clear(): void {
    stop();
    batch(() => {
      examples.value = [];
      filters.value = {};
      hits.value = [];
      facets.value = {};
      response.value = null;
      failure.value = null;
      live.value = null;
      status.value = 'idle';
    });
  }

  function search(query: Query): Promise<SearchResponse> {
    examples.value = toExamples(query);
    return ask();
  }

  return {
    settings,
    granularity,
    examples,
    filters,
    catalog,
    status,
    failure,
    failures,
    hits,
    response,
    facets,
    columns,
    key,
    api,
    search,
    clear,
    stop,
    retry: () => run(),
    showMore() {
      const cursor = response.peek()?.cursor ?? null;
      if (cursor !== null && status.peek() === 'ready') run(cursor);
    },
    /** What a query is asked with; another server is another catalogue. */
    configure(change: Partial<Settings>): void {
      const next = { ...settings.peek(), ...change };
      if (next.server !== settings.peek().server || next.apiKey !== settings.peek().apiKey) {
        stop();
        catalog.value = null;
      }
      settings.value = next;
      runSoon();
    },
    /** The catalogue, for what depends on it before there is a query. */
    async loadCatalog(): Promise<void> {
      const asked = api.peek();
      if (catalog.peek() !== null || loading === asked) return;
      loading = asked;
      try {
        const found = await asked.catalog();
        if (api.peek() === asked) catalog.value ??= found;
      } finally {
        if (loading === asked) loading = undefined;
      }
    },
    searchWith(query: Query): void {
      search(query).catch(() => undefined);
    },
    add(example: WeighedExample): void {
      const others = examples.peek().filter((one) => !isSame(one, example));
      examples.value = [...others, example];
      run();
    },
    remove(example: WeighedExample): void {
      const others = examples.peek().filter((one) => one !== example);
      // A query of nothing but "less like this" asks for nothing.
      if (others.some(({ weight }) => weight === 1)) {
        examples.value = others;
        run();
      } else clear();
    },
    setFilters(next: Filters): void {
      filters.value = next;
      run();
    },
    setGranularity(value: number): void {
      batch(() => {
        chosenGranularity.value = value;
        live.value = null;
      });
      runSoon();
    },
    moveGranularity(value: number): void {
      live.value = value;
      run();
    },
    restGranularity(): void {
      if (live.peek() === null) return;
      chosenGranularity.value = live.peek()!;
      live.value = null;
      run();
    },
  };
}

// --- internal ---

function toExamples(query: Query): WeighedExample[] {
  const list = Array.isArray(query) ? (query as readonly (Blob | QueryExample)[]) : [query as Blob];
  const examples = list.map((one) =>
    one instanceof Blob ? { picture: one, weight: 1 as const } : { ...one, weight: one.weight ?? 1 },
  );
  if (!examples.some(({ weight }) => weight === 1))
    throw new TypeError(
      'semblance-search: a query must have an example with weight 1, got none. Give a File or { id }.',
    );
  return examples;
}

function isSame(a: WeighedExample, b: WeighedExample): boolean {
  return 'id' in a && 'id' in b && a.id === b.id && a.region === undefined && b.region === undefined;
}
