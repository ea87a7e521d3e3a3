/**
 * `semblance/react`: `<semblance-search>` as a component. Props become attributes, events callbacks, and the ref is
 * the element itself. React 18 and 19; rendering on a server gives the bare tag.
 */
import {
  createElement,
  type ForwardedRef,
  forwardRef,
  type HTMLAttributes,
  useEffect,
  useImperativeHandle,
  useRef,
} from 'react';
import 'semblance/element';
import type {
  ElementStrings,
  ErrorDetail,
  Filter,
  Hit,
  LevelName,
  ResultsDetail,
  SemblanceSearchElement,
} from 'semblance/element';

export type { SemblanceSearchElement };

export interface SemblanceSearchProps
  extends Pick<HTMLAttributes<HTMLElement>, 'className' | 'style' | 'id' | 'hidden' | 'title'> {
  /** Address of the API. Default: the document's folder. */
  readonly server?: string | undefined;
  /** From 0 (same item) to 1 (same kind), or a level's name. Default 0. The slider goes on from it. */
  readonly granularity?: number | LevelName | undefined;
  /** Hits a page, 1 to 200. Default 24. */
  readonly limit?: number | undefined;
  /** Conditions that hold whatever a visitor filters by. Default none. */
  readonly filter?: Filter | undefined;
  /** Sent as `Authorization: Bearer`. Default none. */
  readonly apiKey?: string | undefined;
  /** `item` shows one picture an item. Default `none`. */
  readonly groupBy?: 'item' | 'none' | undefined;
  /** Columns that visitors can filter by. Default: those that suit. */
  readonly facets?: readonly string[] | undefined;
  /** Texts that take the place of the English ones. */
  readonly strings?: ElementStrings | undefined;
  /** Default: as the system. */
  readonly theme?: 'light' | 'dark' | undefined;
  readonly onResults?: ((detail: ResultsDetail) => void) | undefined;
  /** A hit was chosen; `event.preventDefault()` keeps the element from searching with it. */
  readonly onSelect?: ((hit: Hit, event: CustomEvent<Hit>) => void) | undefined;
  readonly onError?: ((detail: ErrorDetail) => void) | undefined;
}

export const SemblanceSearch = forwardRef(function SemblanceSearch(
  props: SemblanceSearchProps,
  forwarded: ForwardedRef<SemblanceSearchElement>,
) {
  const { filter, apiKey, groupBy, facets, strings, className, onResults, onSelect, onError, ...rest } =
    props;
  const element = useRef<SemblanceSearchElement>(null);
  const listeners = useRef({ onResults, onSelect, onError });
  listeners.current = { onResults, onSelect, onError };
  useImperativeHandle(forwarded, () => element.current!, []);
  useEffect(() => {
    const target = element.current;
    if (target === null) return;
    const end = new AbortController();
    const { signal } = end;
    target.addEventListener('semblance-results', (e) => listeners.current.onResults?.(e.detail), { signal });
    target.addEventListener('semblance-select', (e) => listeners.current.onSelect?.(e.detail, e), { signal });
    target.addEventListener('semblance-error', (e) => listeners.current.onError?.(e.detail), { signal });
    return () => end.abort();
  }, []);
  useEffect(() => {
    if (element.current !== null) element.current.strings = strings ?? {};
  }, [strings]);
  // Attributes are text: a list that JSX makes anew at every rendering is still the same.
  return createElement('semblance-search', {
    ...rest,
    ref: element,
    class: className,
    filter: filter === undefined ? undefined : JSON.stringify(filter),
    'api-key': apiKey,
    'group-by': groupBy,
    facets: facets?.join(','),
  });
});
