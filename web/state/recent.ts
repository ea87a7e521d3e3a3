/** Recent searches on this device, newest first, as addresses of the page. */
import { effect, signal } from '@preact/signals';
import { type ExampleState, encode } from './location.js';
import { exampleKey, page } from './page.js';

export interface Recent {
  readonly address: string;
  readonly example: ExampleState;
}

const KEY = 'semblance.recent';
const KEPT = 12;

export const recent = signal<readonly Recent[]>(read());

export function clearRecent(): void {
  recent.value = [];
  write();
}

/** Begins to remember queries: one entry a first example, with the state it was last left in. */
export function startRemembering(): void {
  effect(() => {
    const state = page.value;
    const example = state.examples.find(({ weight }) => weight === 1);
    if (state.view !== 'search' || example === undefined) return;
    // Without a vector it could not be searched again once its picture is gone.
    if (example.kind === 'upload' && example.vector === undefined) return;
    const address = encode({ ...state, why: null });
    const others = recent.peek().filter((one) => exampleKey(one.example) !== exampleKey(example));
    recent.value = [{ address, example }, ...others].slice(0, KEPT);
    write();
  });
}

function write(): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(recent.peek()));
  } catch {
    // kept for this visit only
  }
}

function read(): readonly Recent[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept)
      ? kept.filter(
          (one): one is Recent => typeof one?.address === 'string' && typeof one?.example?.kind === 'string',
        )
      : [];
  } catch {
    return [];
  }
}
