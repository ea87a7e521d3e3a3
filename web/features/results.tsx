/** The pictures: hits of a query, or the catalogue itself, in a grid that is walked with the arrow keys. */
import { useEffect, useRef } from 'preact/hooks';
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
import { Grid } from '../ui/grid.js';
import { Icon } from '../ui/icon.js';
import { Failure, forgetFailures, Message, Skeleton } from '../ui/states.js';
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
            {found.flatMap((hit, i) => [
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
  const level = levelAt(granularity.value);
  const isNothingSimilar = response.value?.nothingSimilar === true;
  const hasFilters = Object.keys(filters).length > 0;
  return (
    <Message icon="search" title={isNothingSimilar ? t.states.nothingSimilar : t.states.noHits}>
      {hasFilters && <p>{t.states.noHitsFiltered}</p>}
      {!hasFilters && cut.hide && (
        <p>{t.states.noHitsCut(t.percent(cut.probability), t.levelThings[level])}</p>
      )}
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
