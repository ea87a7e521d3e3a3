/**
 * Runs the query that the page's state asks for, and keeps what came back. One request at a time: a newer query aborts
 * the one before. Once an example's vector is known it is sent in place of the picture, so that moving the slider
 * neither uploads nor runs the model.
 */
import { batch, computed, effect, signal } from '@preact/signals';
import type {
  CatalogResponse,
  Example,
  FacetCounts,
  Hit,
  Picture,
  SearchRequest,
  SearchResponse,
} from '../../src/client/index.js';
import { createApi, isAbort, RequestError } from '../api.js';
import { askForKey, currentKey } from './key.js';
import { type ExampleState, levelAt, packVector, unpackVector } from './location.js';
import { exampleKey, filter, granularity, live, navigate, page } from './page.js';
import { findPicture } from './pictures.js';

export const api = createApi('.', { current: currentKey, ask: askForKey });
const PAGE_SIZE = 48;
/** Facets of a column with more values than this are of no help. */
const FACET_VALUES = 400;

export type Status = 'idle' | 'loading' | 'more' | 'ready' | 'failed';

export const catalog = signal<CatalogResponse | null>(null);
export const status = signal<Status>('idle');
export const failure = signal<RequestError | null>(null);
export const hits = signal<readonly Hit[]>([]);
export const response = signal<SearchResponse | null>(null);
/** The catalogue itself, where there is no query. */
export const browsed = signal<readonly Picture[]>([]);
export const total = signal<number | null>(null);
export const facets = signal<FacetCounts>({});
export const cursor = signal<string | null>(null);
export const isSearching = computed(() => page.value.examples.length > 0);

/** Columns that facets are worth counting of. */
export const facetColumns = computed(() =>
  (catalog.value?.attributes ?? [])
    .filter(({ distinct, numeric }) => numeric === null && distinct > 1 && distinct <= FACET_VALUES)
    .map(({ name }) => name)
    .slice(0, 32),
);

/** base64 vectors of examples in this session, under `exampleKey`. */
const vectors = new Map<string, string>();
let running: AbortController | undefined;

/** What decides the result; whatever else changes in the state, no search is run. */
const question = computed(() => {
  const { view, examples, edits, cut, group, diversity, sort } = page.value;
  const asks = view === 'search' || (view === 'map' && examples.length > 0);
  if (!asks || catalog.value === null) return null;
  return JSON.stringify({
    examples: examples.map((example) => [exampleKey(example), example.weight]),
    filter: filter.value,
    ...(examples.length === 0
      ? {}
      : {
          granularity: granularity.value,
          edits,
          hide: cut.hide ? cut.probability : null,
          group,
          diversity,
          sort,
        }),
    held: live.value !== null,
  });
});

/** Begins to follow the state. */
export function startSearching(): void {
  void loadCatalog();
  let before: string | null = null;
  effect(() => {
    const now = question.value;
    if (now === null || now === before) return;
    before = now;
    void run();
  });
}

/** Asks again after a failure. */
export async function retry(): Promise<void> {
  if (catalog.peek() === null) await loadCatalog();
  else await run();
}

/** Appends the next page. */
export async function showMore(): Promise<void> {
  if (cursor.peek() === null || status.peek() !== 'ready') return;
  await run(cursor.peek());
}

/** How an example is sent: by vector where it is known, by id, by URL, or as the file beside the request. */
export async function toExample(example: ExampleState): Promise<{ example: Example; picture?: Blob }> {
  const { weight } = example;
  const region = example.region === undefined ? {} : { region: example.region };
  if (example.kind === 'id' && example.region === undefined) return { example: { id: example.id, weight } };
  const known =
    vectors.get(exampleKey(example)) ??
    (example.kind === 'upload' && example.vector !== undefined ? unpackVector(example.vector) : undefined);
  if (known !== undefined) return { example: { vector: known, weight } };
  return toPictureExample(example).then((sent) => {
    if (sent === null) throw new RequestError('problem', '', 0, 'picture-gone');
    return { ...sent, example: { ...sent.example, ...region, weight } as Example };
  });
}

/** An example as something that shows a picture, for reasons and subjects; null when only its vector is left. */
export async function toPictureExample(
  example: ExampleState,
): Promise<{ example: Example; picture?: Blob } | null> {
  const region = example.region === undefined ? {} : { region: example.region };
  if (example.kind === 'id') return { example: { id: example.id, ...region } };
  if (example.kind === 'url') return { example: { url: example.url, ...region } };
  const picture = await findPicture(example.key);
  return picture === null ? null : { example: { upload: true, ...region }, picture };
}

// --- internal ---

async function loadCatalog(): Promise<void> {
  status.value = 'loading';
  failure.value = null;
  try {
    catalog.value = await api.catalog();
  } catch (error) {
    fail(error);
  }
}

async function run(after: string | null = null): Promise<void> {
  running?.abort();
  const controller = new AbortController();
  running = controller;
  batch(() => {
    failure.value = null;
    status.value = after === null ? 'loading' : 'more';
  });
  try {
    if (page.peek().examples.length === 0) await browse(after, controller.signal);
    else await search(after, controller.signal);
  } catch (error) {
    if (running !== controller || isAbort(error)) return;
    fail(error);
  }
}

async function browse(after: string | null, signal: AbortSignal): Promise<void> {
  const columns = facetColumns.peek();
  const conditions = filter.peek();
  const [list, counted] = await Promise.all([
    api.pictures({ limit: PAGE_SIZE, cursor: after, filter: conditions }, signal),
    after !== null || columns.length === 0
      ? null
      : api.facets({ columns, filter: conditions }, signal).catch((error) => {
          if (isAbort(error)) throw error;
          return null; // the pictures are worth showing without
        }),
  ]);
  batch(() => {
    browsed.value = after === null ? list.pictures : [...browsed.peek(), ...list.pictures];
    total.value = list.total;
    cursor.value = list.cursor;
    if (counted !== null) facets.value = counted.facets;
    response.value = null;
    hits.value = [];
    status.value = 'ready';
  });
}

async function search(after: string | null, signal: AbortSignal): Promise<void> {
  const state = page.peek();
  const isHeld = live.peek() !== null;
  const level = levelAt(granularity.peek());
  const sent = await Promise.all(state.examples.map(toExample));
  const uploads = sent.filter(({ picture }) => picture !== undefined);
  // One file a request: vectors of further pictures are asked for first.
  for (const extra of uploads.slice(1)) {
    const { vector } = await api.attributes(extra.example, signal, extra.picture);
    vectors.set(exampleKey(state.examples[sent.indexOf(extra)]!), vector);
  }
  if (uploads.length > 1) return search(after, signal);

  const body: SearchRequest = {
    examples: sent.map(({ example }) => example),
    granularity: granularity.peek(),
    limit: PAGE_SIZE,
    filter: filter.peek(),
    edits: [...state.edits],
    groupBy: state.group ? 'item' : 'none',
    diversity: state.sort === null ? state.diversity : 0,
    ...(after === null ? {} : { cursor: after }),
    ...(state.cut.hide && catalog.peek()?.capabilities.calibrated
      ? { minimumProbability: { level, probability: state.cut.probability } }
      : {}),
    ...(state.sort === null ? {} : { sort: state.sort }),
    ...(isHeld || after !== null ? {} : { facets: facetColumns.peek() }),
  };
  const answer = await api.search(body, signal, uploads[0]?.picture);
  answer.vectors.forEach((vector, i) => {
    const example = state.examples[i];
    if (example !== undefined) vectors.set(exampleKey(example), vector);
  });
  batch(() => {
    response.value = answer;
    hits.value = after === null ? answer.hits : [...hits.peek(), ...answer.hits];
    cursor.value = answer.cursor;
    if (!isHeld && after === null) facets.value = answer.facets;
    total.value = null;
    status.value = 'ready';
  });
  keepVectors();
}

/** Puts vectors of uploads into the address, so that it can be shared. */
function keepVectors(): void {
  const { examples } = page.peek();
  if (!examples.some((example) => example.kind === 'upload' && example.vector === undefined)) return;
  navigate(
    {
      examples: examples.map((example) => {
        const vector = vectors.get(exampleKey(example));
        return example.kind === 'upload' && example.vector === undefined && vector !== undefined
          ? { ...example, vector: packVector(vector) }
          : example;
      }),
    },
    'replace',
  );
}

function fail(error: unknown): void {
  batch(() => {
    failure.value = error instanceof RequestError ? error : new RequestError('problem', String(error));
    status.value = 'failed';
  });
}
