/** Tiles that change places slide there: transforms only, so nothing is laid out again and nothing else shifts. */
const DURATION_MS = 220;

type Places = Map<string, { left: number; top: number }>;

/**
 * Starts the movement from the places before to those that the tiles have. Movements add up, so that one that is under
 * way goes on from where it is seen.
 * @returns the places that the tiles have.
 */
export function slide(list: HTMLElement, before: Places): Places {
  const after: Places = new Map();
  const tiles = list.querySelectorAll<HTMLElement>('[data-id]');
  // All places are read before any style is written.
  for (const tile of tiles) after.set(tile.dataset.id!, { left: tile.offsetLeft, top: tile.offsetTop });
  if (before.size === 0 || window.matchMedia('(prefers-reduced-motion: reduce)').matches) return after;
  const height = window.innerHeight;
  const origin = list.getBoundingClientRect().top;
  for (const tile of tiles) {
    const from = before.get(tile.dataset.id!);
    const to = after.get(tile.dataset.id!)!;
    const isSeen = (top: number) => origin + top > -300 && origin + top < height + 300;
    if (from === undefined) {
      if (isSeen(to.top))
        tile.animate([{ opacity: 0 }, { opacity: 1 }], { duration: DURATION_MS, easing: 'ease-out' });
      continue;
    }
    const dx = from.left - to.left;
    const dy = from.top - to.top;
    if ((dx === 0 && dy === 0) || !(isSeen(from.top) || isSeen(to.top))) continue;
    tile.animate([{ transform: `translate(${dx}px, ${dy}px)` }, { transform: 'translate(0, 0)' }], {
      duration: DURATION_MS,
      easing: 'cubic-bezier(0.2, 0, 0, 1)',
      composite: 'add',
    });
  }
  return after;
}
