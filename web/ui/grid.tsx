/** A grid of pictures that is walked with the arrow keys. */
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { focusedBeside } from './focus.js';
import { slide } from './slide.js';

/** What of a tile takes the focus. */
const TILE = '.tile-picture';

interface Props {
  readonly label: string;
  readonly isBusy: boolean;
  /** Changes when the tiles do. */
  readonly order: readonly { readonly id: string }[];
  readonly children: (active: number, setActive: (index: number) => void) => ComponentChildren;
}

/** One tile is in the tab order; arrow keys go by what is seen, whatever the number of columns. */
export function Grid({ label, isBusy, order, children }: Props) {
  const list = useRef<HTMLOListElement>(null);
  const [active, setActive] = useState(0);
  const places = useRef(new Map<string, { left: number; top: number }>());
  const shown = Math.min(active, Math.max(order.length - 1, 0));
  const focused = focusWithin(list.current);
  useLayoutEffect(() => {
    if (list.current === null) return;
    places.current = slide(list.current, places.current);
    if (focused === undefined || focusWithin(list.current) !== undefined) return;
    // A browser takes the focus from what is moved in the document; who walks by keys would start again from the top.
    const stays = focused.isConnected ? focused : list.current.querySelectorAll<HTMLElement>(TILE)[shown];
    stays?.focus({ preventScroll: true });
  }, [order]);
  const keyDown = (event: KeyboardEvent) => {
    if (!(event.target instanceof HTMLElement) || !event.target.matches(TILE)) return;
    const tiles = [...(list.current?.querySelectorAll<HTMLElement>(TILE) ?? [])];
    const index = tiles.indexOf(event.target);
    const next = neighbour(tiles, index, event.key);
    if (next === undefined) return;
    event.preventDefault();
    setActive(next);
    tiles[next]?.focus();
    tiles[next]?.scrollIntoView({ block: 'nearest' });
  };
  return (
    <ol ref={list} class="grid" part="grid" aria-label={label} aria-busy={isBusy} onKeyDown={keyDown}>
      {children(shown, setActive)}
    </ol>
  );
}

// --- internal ---

/** The element of the list that has the focus. */
function focusWithin(list: HTMLElement | null): HTMLElement | undefined {
  if (list === null) return undefined;
  const element = focusedBeside(list);
  return element instanceof HTMLElement && list.contains(element) ? element : undefined;
}

function neighbour(tiles: readonly HTMLElement[], index: number, key: string): number | undefined {
  if (key === 'ArrowRight') return Math.min(index + 1, tiles.length - 1);
  if (key === 'ArrowLeft') return Math.max(index - 1, 0);
  if (key === 'Home') return 0;
  if (key === 'End') return tiles.length - 1;
  if (key !== 'ArrowUp' && key !== 'ArrowDown') return undefined;
  const from = tiles[index]?.getBoundingClientRect();
  if (from === undefined) return undefined;
  const isDown = key === 'ArrowDown';
  let best: number | undefined;
  let bestCost = Number.POSITIVE_INFINITY;
  tiles.forEach((tile, i) => {
    const to = tile.getBoundingClientRect();
    const rows = isDown ? to.top - from.top : from.top - to.top;
    if (rows < from.height / 2) return;
    const cost = rows * 1000 + Math.abs(to.left - from.left);
    if (cost < bestCost) {
      bestCost = cost;
      best = i;
    }
  });
  return best ?? index;
}
