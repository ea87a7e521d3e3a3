/** The pictures: hits of a query, or the catalogue itself, in a grid that is walked with the arrow keys. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Hit } from '../../src/server/contract.js';
import { levelAt } from '../state/location.js';
import { granularity, live, navigate, page, searchWith } from '../state/page.js';
import {
  browsed,
  catalog,
  cursor,
  failure,
  hits,
  response,
  retry,
  showMore,
  status,
} from '../state/search.js';
import { strings as t } from '../strings.js';
import { announce } from '../ui/announce.js';
import { Icon } from '../ui/icon.js';
import { Failure, forgetFailures, Message, Skeleton } from '../ui/states.js';
import { slide } from './slide.js';
import { CatalogTile, HitTile } from './tile.js';

export function Results() {
  const found = hits.value;
  const state = status.value;
  const answer = response.value;
  const { cut, sort } = page.value;
  const gamma = granularity.value;
  const level = levelAt(gamma);
  const isHeld = live.value !== null;
  const first = found[0]?.itemId;
  useEffect(() => {
    if (state !== 'ready') return;
    forgetFailures();
    if (first !== undefined) announce(t.results.updated(found.length, t.level[level], first));
    else announce(t.states.noHits);
  }, [state, answer, level, first, found.length]);

  if (state === 'failed' && failure.value !== null)
    return <Failure error={failure.value} retry={() => void retry()} />;
  if (answer === null) return <Skeleton count={18} />;
  if (found.length === 0) return <NoHits />;
  const below =
    sort !== null || cut.hide
      ? -1
      : found.findIndex(
          ({ probabilities }) => probabilities !== undefined && probabilities[level] < cut.probability,
        );
  return (
    <>
      {answer.nothingSimilar && (
        <Message icon="search" title={t.states.nothingSimilar}>
          <p>{t.states.nothingSimilarDetail}</p>
        </Message>
      )}
      <p class="found-line muted">
        <span>{t.results.found(found.length, cursor.value !== null)}</span>
        <span class="timing">{t.results.timing(answer.timing.embedMs + answer.timing.searchMs)}</span>
      </p>
      <Grid label={t.results.grid} isBusy={state === 'loading' && !isHeld} order={found}>
        {(active, setActive) => (
          <>
            {found.map((hit, i) => [
              i === below && !answer.nothingSimilar && (
                <li key="cut" class="cut">
                  <span>{t.results.cutLine(t.percent(cut.probability), t.levelThings[level])}</span>
                </li>
              ),
              <HitTile
                key={hit.id}
                hit={hit}
                level={level}
                isActive={active === i}
                isBelow={below !== -1 && i >= below}
                onFocus={() => setActive(i)}
              />,
            ])}
          </>
        )}
      </Grid>
      <More count={found.length} />
    </>
  );
}

export function Browse() {
  const pictures = browsed.value;
  const state = status.value;
  useEffect(() => {
    if (state === 'ready') forgetFailures();
  }, [state]);
  if (state === 'failed' && failure.value !== null)
    return <Failure error={failure.value} retry={() => void retry()} />;
  if (pictures.length === 0 && state !== 'ready') return <Skeleton count={24} />;
  if (catalog.value?.pictures === 0)
    return (
      <Message icon="search" title={t.states.emptyCatalog}>
        <p>{t.states.emptyCatalogDetail}</p>
        <code>{t.states.emptyCatalogCommand}</code>
      </Message>
    );
  if (pictures.length === 0) return <NoHits />;
  return (
    <>
      <Grid label={t.results.catalogGrid} isBusy={state === 'loading'} order={pictures}>
        {(active, setActive) =>
          pictures.map((picture, i) => (
            <CatalogTile
              key={picture.id}
              picture={picture}
              isActive={active === i}
              onFocus={() => setActive(i)}
              onOpen={() => searchWith({ kind: 'id', id: picture.id, weight: 1 })}
            />
          ))
        }
      </Grid>
      <More count={pictures.length} />
    </>
  );
}

// --- internal ---

interface GridProps {
  readonly label: string;
  readonly isBusy: boolean;
  /** Changes when the tiles do. */
  readonly order: readonly (Hit | { id: string })[];
  readonly children: (active: number, setActive: (index: number) => void) => preact.ComponentChildren;
}

/** One tile is in the tab order; arrow keys go by what is seen, whatever the number of columns. */
function Grid({ label, isBusy, order, children }: GridProps) {
  const list = useRef<HTMLOListElement>(null);
  const [active, setActive] = useState(0);
  const places = useRef(new Map<string, { left: number; top: number }>());
  useLayoutEffect(() => {
    if (list.current !== null) places.current = slide(list.current, places.current);
  }, [order]);
  const keyDown = (event: KeyboardEvent) => {
    if (!(event.target instanceof HTMLElement) || !event.target.matches('.tile-picture')) return;
    const tiles = [...(list.current?.querySelectorAll<HTMLElement>('.tile-picture') ?? [])];
    const index = tiles.indexOf(event.target);
    const next = neighbour(tiles, index, event.key);
    if (next === undefined) return;
    event.preventDefault();
    setActive(next);
    tiles[next]?.focus();
    tiles[next]?.scrollIntoView({ block: 'nearest' });
  };
  const shown = Math.min(active, Math.max(order.length - 1, 0));
  return (
    <ol ref={list} class="grid" aria-label={label} aria-busy={isBusy} onKeyDown={keyDown}>
      {children(shown, setActive)}
    </ol>
  );
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

/** The next page comes when its place is near, and by a button for those who do not scroll. */
function More({ count }: { count: number }) {
  const mark = useRef<HTMLDivElement>(null);
  const hasMore = cursor.value !== null;
  useEffect(() => {
    const element = mark.current;
    if (element === null || !hasMore) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting && live.peek() === null) void showMore();
      },
      { rootMargin: '600px' },
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, [hasMore, count]);
  return (
    <div ref={mark} class="more">
      {hasMore ? (
        <button
          type="button"
          class="button"
          onClick={() => void showMore()}
          disabled={status.value === 'more'}
        >
          {status.value === 'more' ? t.loading : t.results.more}
        </button>
      ) : (
        <p class="muted">{t.results.end}</p>
      )}
    </div>
  );
}

function NoHits() {
  const { filters, cut } = page.value;
  const hasFilters = Object.keys(filters).length > 0;
  return (
    <Message icon="search" title={t.states.noHits}>
      {hasFilters && <p>{t.states.noHitsFiltered}</p>}
      {!hasFilters && cut.hide && <p>{t.states.noHitsCut(t.percent(cut.probability))}</p>}
      <div class="message-actions">
        {hasFilters && (
          <button type="button" class="button button-primary" onClick={() => navigate({ filters: {} })}>
            <Icon name="filter" />
            {t.states.clearFilters}
          </button>
        )}
        {cut.hide && (
          <button type="button" class="button" onClick={() => navigate({ cut: { ...cut, hide: false } })}>
            {t.states.showBelow}
          </button>
        )}
      </div>
    </Message>
  );
}
