/**
 * The page's state: one signal, mirrored in the address. `navigate` changes both; back and forward come in by
 * `popstate`. While the slider is held its value lives in `live`, and goes into the address when it is let go.
 */
import { computed, signal } from '@preact/signals';
import type { FilterInput } from './filter.js';
import { toFilter } from './filter.js';
import { decode, type ExampleState, encode, type PageState } from './location.js';

export const page = signal<PageState>(decode(location.hash));
/** The slider's value while it is held; null otherwise. */
export const live = signal<number | null>(null);
export const granularity = computed(() => live.value ?? page.value.granularity);
export const filter = computed<FilterInput>(() => toFilter(page.value.filters));

/** Changes the state. `replace` for what is no step of its own: Back goes over it. */
export function navigate(change: Partial<PageState>, how: 'push' | 'replace' = 'push'): void {
  const next = { ...page.peek(), ...change };
  const address = encode(next);
  const scrollsUp = how === 'push' && next.view !== page.peek().view;
  if (address !== location.hash)
    if (how === 'push') history.pushState(null, '', address);
    else history.replaceState(history.state, '', address);
  page.value = next;
  if (scrollsUp) window.scrollTo(0, 0);
}

/** Starts a query of its own; the one before becomes a step of the trail. */
export function searchWith(example: ExampleState): void {
  const { examples, trail } = page.peek();
  const first = examples.find(({ weight }) => weight === 1);
  const steps =
    first === undefined
      ? []
      : [...trail.filter((step) => exampleKey(step) !== exampleKey(first)), { ...first, weight: 1 as const }];
  navigate({
    view: 'search',
    examples: [example],
    trail: steps.filter((step) => exampleKey(step) !== exampleKey(example)).slice(-8),
    edits: [],
    why: null,
    compare: [],
  });
  window.scrollTo(0, 0);
}

/** Goes back to a step of the trail and forgets those after it. */
export function returnTo(step: ExampleState): void {
  const { trail } = page.peek();
  const index = trail.indexOf(step);
  navigate({ examples: [step], trail: trail.slice(0, Math.max(index, 0)), edits: [], why: null });
}

/** Adds an example to the query: more, or less, like this one. The same picture is never in it twice. */
export function addExample(example: ExampleState): void {
  const others = page.peek().examples.filter((one) => exampleKey(one) !== exampleKey(example));
  navigate({ view: 'search', examples: [...others, example], why: null });
}

export function removeExample(example: ExampleState): void {
  const examples = page.peek().examples.filter((one) => one !== example);
  // A query of nothing but "less like this" asks for nothing.
  if (examples.some(({ weight }) => weight === 1)) navigate({ examples });
  else navigate({ examples: [], edits: [], why: null });
}

/** Names an example, whether or not its vector is known yet. */
export function exampleKey(example: ExampleState): string {
  const { region } = example;
  const box = region === undefined ? '' : `${region.left},${region.top},${region.right},${region.bottom}`;
  if (example.kind === 'id') return `id:${box}:${example.id}`;
  if (example.kind === 'url') return `url:${box}:${example.url}`;
  return `up:${box}:${example.key === '' ? example.vector : example.key}`;
}

window.addEventListener('popstate', () => {
  live.value = null;
  page.value = decode(location.hash);
});
