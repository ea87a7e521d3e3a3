/**
 * What `semblance/element` promises: the element's properties, methods and events. Types only; `index.ts` keeps the
 * promise. `docs/embedding.md` says the same in prose.
 */
import type { Hit, LevelName, Region, SearchRequest, SearchResponse } from 'semblance/client';
import type { strings } from '../strings.js';

export type { Hit, LevelName, Region, SearchResponse };
export type Filter = NonNullable<SearchRequest['filter']>;

/** Any part of the texts of `web/strings.ts`, in another language. */
export type ElementStrings = DeepPartial<typeof strings>;

/** What to search with; `weight` -1 asks for less like it, and needs another example with 1. */
export type QueryExample = { readonly weight?: 1 | -1 } & (
  | { readonly picture: Blob; readonly region?: Region }
  | { readonly id: string; readonly region?: Region }
  | { readonly url: string; readonly region?: Region }
  | { readonly vector: string }
);
export type Query = Blob | QueryExample | readonly (Blob | QueryExample)[];

export interface ResultsDetail {
  /** All hits that are shown, those of further pages included. */
  readonly hits: readonly Hit[];
  /** The server's answer as it came. */
  readonly response: SearchResponse;
}

export interface ErrorDetail {
  /** `offline`: the server does not answer; `problem`: it refused; `setting`: an attribute cannot be read. */
  readonly kind: 'offline' | 'problem' | 'setting';
  readonly message: string;
  /** Of the HTTP answer; 0: there was none. */
  readonly status: number;
  /** Of the server's problem, e.g. `not-found`; empty: there was none. */
  readonly code: string;
}

export interface SemblanceSearchEventMap {
  'semblance-results': CustomEvent<ResultsDetail>;
  /** A hit was chosen. `preventDefault()` keeps the element from searching with it. */
  'semblance-select': CustomEvent<Hit>;
  'semblance-error': CustomEvent<ErrorDetail>;
}

/** `<semblance-search>`. */
export interface SemblanceSearchElement extends HTMLElement {
  /** Address of the API, absolute or relative to the document. Default: the document's folder. Attribute `server`. */
  server: string;
  /** From 0 (same item) to 1 (same kind), or a level's name. Default 0. The slider changes it. Attribute `granularity`. */
  get granularity(): number;
  set granularity(value: number | LevelName);
  /** Hits a page, 1 to 200. Default 24. Attribute `limit`. */
  limit: number;
  /** Conditions that hold whatever a visitor filters by. Default none. Attribute `filter`, as JSON. */
  filter: Filter;
  /** Sent as `Authorization: Bearer`. Default none. Attribute `api-key`. */
  apiKey: string | null;
  /** `item` shows one picture an item. Default `none`. Attribute `group-by`. */
  groupBy: 'item' | 'none';
  /** Columns that visitors can filter by; null: those that suit. Default null. Attribute `facets`, with commas. */
  facets: readonly string[] | null;
  /** Texts that take the place of the English ones. */
  strings: ElementStrings;
  /** What is shown. */
  readonly hits: readonly Hit[];
  /** The last answer; null: there is none yet. */
  readonly response: SearchResponse | null;
  /**
   * Searches, and shows the hits.
   * @throws AbortError when another search takes its place; otherwise what `semblance-error` says as well.
   */
  search(query: Query): Promise<SearchResponse>;
  /** Back to the start: no query, no filters of the visitor's. */
  clear(): void;

  addEventListener<K extends keyof SemblanceSearchEventMap>(
    type: K,
    listener: (this: SemblanceSearchElement, event: SemblanceSearchEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: SemblanceSearchElement, event: HTMLElementEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    'semblance-search': SemblanceSearchElement;
  }
}

/**
 * Registers the element under a name. Importing `semblance/element` does so for `semblance-search`; where there is no
 * DOM, as in rendering on a server, it does nothing.
 */
export declare function defineSemblanceSearch(name?: string): void;

// --- internal ---

type DeepPartial<T> = T extends (...parameters: never[]) => unknown
  ? T
  : T extends string
    ? string
    : { readonly [K in keyof T]?: DeepPartial<T[K]> };
