/**
 * `semblance/element`: the custom element `<semblance-search>`. Importing it registers it; without a DOM it does nothing.
 * Attributes are read into properties, which take
 * their text as well; what a visitor changes is never written back to an attribute.
 */
import { h, render } from 'preact';
import type { Hit, LevelName, SearchResponse } from '../../src/client/index.js';
import { strings } from '../strings.js';
import { type Strings, Texts } from '../ui/texts.js';
import type { ElementStrings, ErrorDetail, Filter, Query, SemblanceSearchElement } from './public.js';
import { createSearch, DEFAULT_SETTINGS } from './search.js';
import { elementSheet } from './styles.js';
import { View } from './view.js';

const ATTRIBUTES = {
  server: 'server',
  granularity: 'granularity',
  limit: 'limit',
  filter: 'filter',
  'api-key': 'apiKey',
  'group-by': 'groupBy',
  facets: 'facets',
} as const;
const PROPERTIES = [...Object.values(ATTRIBUTES), 'strings'] as const;
const LEVELS: Readonly<Record<LevelName, number>> = { item: 0, look: 0.5, category: 1 };
const MOST_HITS = 200;

/** `HTMLElement`, or a stand-in that can be extended where there is no DOM. */
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

class SemblanceSearch extends Base implements SemblanceSearchElement {
  static readonly observedAttributes = Object.keys(ATTRIBUTES);

  readonly #search = createSearch({
    onResults: (detail) => this.#tell('semblance-results', detail),
    onError: (detail) => this.#tell('semblance-error', detail),
  });
  #changes: ElementStrings = {};
  #texts: Strings = strings;

  get server(): string {
    return this.#search.settings.peek().server;
  }
  set server(value: string | null) {
    this.#search.configure({ server: value ?? DEFAULT_SETTINGS.server });
    this.#loadCatalog();
  }

  get granularity(): number {
    return this.#search.granularity.peek();
  }
  set granularity(value: number | string | null) {
    const isEmpty = typeof value === 'string' && value.trim() === '';
    const number = LEVELS[value as LevelName] ?? (isEmpty ? Number.NaN : Number(value ?? 0));
    if (number >= 0 && number <= 1) this.#search.setGranularity(number);
    else this.#refuse('granularity', 'from 0 to 1, or item, look or category', value);
  }

  get limit(): number {
    return this.#search.settings.peek().limit;
  }
  set limit(value: number | string | null) {
    const limit = Number(value ?? DEFAULT_SETTINGS.limit);
    if (Number.isInteger(limit) && limit >= 1 && limit <= MOST_HITS) this.#search.configure({ limit });
    else this.#refuse('limit', `a whole number from 1 to ${MOST_HITS}`, value);
  }

  get filter(): Filter {
    return this.#search.settings.peek().filter;
  }
  set filter(value: Filter | string | null) {
    const filter = typeof value === 'string' ? parsed(value) : (value ?? []);
    if (Array.isArray(filter)) this.#search.configure({ filter });
    else this.#refuse('filter', 'a list of conditions, as JSON', value);
  }

  get apiKey(): string | null {
    return this.#search.settings.peek().apiKey;
  }
  set apiKey(value: string | null) {
    this.#search.configure({ apiKey: value || null });
    this.#loadCatalog();
  }

  get groupBy(): 'item' | 'none' {
    return this.#search.settings.peek().groupBy;
  }
  set groupBy(value: string | null) {
    const groupBy = value ?? DEFAULT_SETTINGS.groupBy;
    if (groupBy === 'item' || groupBy === 'none') this.#search.configure({ groupBy });
    else this.#refuse('group-by', 'item or none', value);
  }

  get facets(): readonly string[] | null {
    return this.#search.settings.peek().facets;
  }
  set facets(value: readonly string[] | string | null) {
    const columns = typeof value === 'string' ? value.split(',') : (value ?? null);
    const facets = columns?.map((column) => column.trim()).filter((column) => column !== '') ?? null;
    this.#search.configure({ facets });
  }

  get strings(): ElementStrings {
    return this.#changes;
  }
  set strings(value: ElementStrings) {
    this.#changes = value ?? {};
    this.#texts = withChanges(strings, this.#changes);
    if (this.isConnected) this.#render();
  }

  get hits(): readonly Hit[] {
    return this.#search.hits.peek();
  }
  get response(): SearchResponse | null {
    return this.#search.response.peek();
  }

  search(query: Query): Promise<SearchResponse> {
    return this.#search.search(query);
  }

  clear(): void {
    this.#search.clear();
  }

  connectedCallback(): void {
    // What was set before the element was known stands in the way of its properties.
    for (const name of PROPERTIES) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete (this as Partial<Record<typeof name, unknown>>)[name];
      (this as Record<typeof name, unknown>)[name] = value;
    }
    if (this.shadowRoot === null) {
      const root = this.attachShadow({ mode: 'open' });
      root.adoptedStyleSheets = [elementSheet()];
    }
    this.#render();
    this.#loadCatalog();
  }

  disconnectedCallback(): void {
    this.#search.stop();
    render(null, this.shadowRoot!);
  }

  attributeChangedCallback(name: keyof typeof ATTRIBUTES, _: string | null, text: string | null): void {
    Object.assign(this, { [ATTRIBUTES[name]]: text });
  }

  // --- internal ---

  #render(): void {
    const view = h(View, {
      search: this.#search,
      onSelect: (hit: Hit) => !this.#tell('semblance-select', hit, true),
    });
    render(h(Texts.Provider, { value: this.#texts, children: view }), this.shadowRoot!);
  }

  /** Asks for what the first search needs, once all attributes are set. If it fails now, the search says so. */
  #loadCatalog(): void {
    queueMicrotask(() => {
      if (this.isConnected) this.#search.loadCatalog().catch(() => undefined);
    });
  }

  /** @returns false: a listener has prevented the default. */
  #tell(name: string, detail: unknown, cancelable = false): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable }));
  }

  #refuse(name: string, requirement: string, value: unknown): void {
    const message = `semblance-search: ${name} must be ${requirement}, got ${JSON.stringify(value)}. It stays as it was.`;
    console.error(message);
    this.#tell('semblance-error', { kind: 'setting', message, status: 0, code: '' } satisfies ErrorDetail);
  }
}

export function defineSemblanceSearch(name = 'semblance-search'): void {
  const registry = globalThis.customElements;
  if (registry === undefined || registry.get(name) !== undefined) return;
  // A class has one name: a second one gets a class of its own.
  registry.define(name, name === 'semblance-search' ? SemblanceSearch : class extends SemblanceSearch {});
}

defineSemblanceSearch();

// --- internal ---

function parsed(text: string): unknown {
  if (text.trim() === '') return [];
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function withChanges<T extends object>(texts: T, changes: object): T {
  const merged = { ...texts } as Record<string, unknown>;
  for (const [name, change] of Object.entries(changes)) {
    const before = merged[name];
    const isGroup = typeof before === 'object' && before !== null && typeof change === 'object';
    merged[name] = isGroup ? withChanges(before, change) : (change ?? before);
  }
  return merged as T;
}
