/** What an element shows: a place for a picture, and below it the query, the slider, filters and hits. */
import { useEffect, useState } from 'preact/hooks';
import type { Hit } from '../../src/client/index.js';
import { countConditions } from '../state/filter.js';
import { levelAt } from '../state/location.js';
import { Badge, spokenBadge } from '../ui/badge.js';
import { FacetRange, FacetValues, FilterChips } from '../ui/facet.js';
import { GranularityRange } from '../ui/granularity-range.js';
import { Grid } from '../ui/grid.js';
import { Icon } from '../ui/icon.js';
import { Failure, Message, Skeleton } from '../ui/states.js';
import { useTexts } from '../ui/texts.js';
import { TileAction } from '../ui/tile-action.js';
import { FileImage, RemoteImage } from './images.js';
import { Intake, useDrop } from './intake.js';
import type { ElementSearch, WeighedExample } from './search.js';

interface Props {
  readonly search: ElementSearch;
  /** A hit was chosen; true: the host page does what is to be done. */
  readonly onSelect: (hit: Hit) => boolean;
}

export function View({ search, onSelect }: Props) {
  const t = useTexts();
  const [notice, setNotice] = useState('');
  const { isOver, ...targets } = useDrop(search, setNotice);
  const isSearching = search.examples.value.length > 0;
  return (
    <div class="search" part="search" tabIndex={-1} {...targets}>
      {isSearching ? (
        <>
          <QueryRow search={search} onNotice={setNotice} />
          <GranularityRange
            value={search.granularity.value}
            onMove={search.moveGranularity}
            onRest={search.restGranularity}
            onChoose={search.setGranularity}
          />
          <div class={search.columns.value.length > 0 ? 'body body-filtered' : 'body'}>
            <Filters search={search} />
            <Results search={search} onSelect={onSelect} />
          </div>
        </>
      ) : (
        <div class="start" part="start">
          <Icon name="upload" size={32} />
          <p class="start-title">{t.start.drop}</p>
          <p class="muted">{t.start.paste}</p>
          <Intake search={search} onNotice={setNotice} />
        </div>
      )}
      {notice !== '' && (
        <p role="alert" part="notice">
          {notice}
        </p>
      )}
      {isOver && (
        <div class="drop-veil" aria-hidden="true">
          <Icon name="upload" size={40} />
          <p>{t.start.dropNow}</p>
        </div>
      )}
      <Spoken search={search} />
    </div>
  );
}

// --- internal ---

function QueryRow({ search, onNotice }: { search: ElementSearch; onNotice: (text: string) => void }) {
  const t = useTexts();
  const examples = search.examples.value;
  return (
    <div class="query-row" part="query">
      <ul class="examples" aria-label={t.query.title}>
        {examples.map((example, i) => {
          const label = labelOf(example, t.query);
          const isLess = example.weight === -1;
          return (
            <li key={keyOf(example, i)} class={isLess ? 'example example-less' : 'example'}>
              <span class="thumbnail">
                {'picture' in example ? (
                  <FileImage file={example.picture} label={t.query.pictureOf(label)} />
                ) : 'id' in example ? (
                  <RemoteImage search={search} id={example.id} width={160} label={t.query.pictureOf(label)} />
                ) : (
                  <Icon name="search" />
                )}
              </span>
              {(isLess || examples.length > 1) && (
                <span class="example-sign">
                  <span class="visually-hidden">{isLess ? t.query.less : t.query.more}</span>
                  <Icon name={isLess ? 'minus' : 'plus'} size={12} />
                </span>
              )}
              <button
                type="button"
                class="example-remove"
                aria-label={t.query.removeExample(label)}
                onClick={() => search.remove(example)}
              >
                <Icon name="close" size={12} />
              </button>
            </li>
          );
        })}
      </ul>
      <Intake search={search} onNotice={onNotice} isCompact />
    </div>
  );
}

function Filters({ search }: { search: ElementSearch }) {
  const t = useTexts();
  const columns = search.columns.value;
  const filters = search.filters.value;
  const [isOpen, setOpen] = useState(false);
  const [place, setPlace] = useState<HTMLElement | null>(null);
  useEffect(() => {
    // Beside the hits they are open, above them they would push them away.
    if (place !== null) setOpen(place.clientWidth * 2 < place.parentElement!.clientWidth);
  }, [place]);
  if (columns.length === 0) return null;
  return (
    <details
      ref={setPlace}
      class="filters"
      part="filters"
      open={isOpen}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>
        <Icon name="filter" size={18} />
        {t.facets.open(countConditions(filters))}
      </summary>
      {columns.map((column, i) =>
        column.numeric === null ? (
          <FacetValues
            key={column.name}
            column={column}
            counts={search.facets.value[column.name] ?? []}
            filters={filters}
            isOpen={i < 3}
            onChange={search.setFilters}
          />
        ) : (
          <FacetRange key={column.name} column={column} filters={filters} onChange={search.setFilters} />
        ),
      )}
    </details>
  );
}

function Results({ search, onSelect }: Props) {
  const t = useTexts();
  const state = search.status.value;
  const hits = search.hits.value;
  const answer = search.response.value;
  const failure = search.failure.value;
  const filters = search.filters.value;
  const level = levelAt(search.granularity.value);
  const hasFilters = Object.keys(filters).length > 0;
  if (state === 'failed' && failure !== null)
    return <Failure error={failure} retry={search.retry} attempt={search.failures.value - 1} />;
  if (answer === null) return <Skeleton count={8} />;
  return (
    <div class="results" part="results">
      <FilterChips filters={filters} onChange={search.setFilters} />
      {answer.nothingSimilar && hits.length > 0 && (
        <Message icon="search" title={t.states.nothingSimilar}>
          <p>{t.states.nothingSimilarDetail}</p>
        </Message>
      )}
      {hits.length === 0 ? (
        <Message icon="search" title={t.states.noHits}>
          {hasFilters && <p>{t.states.noHitsFiltered}</p>}
        </Message>
      ) : (
        <>
          <p class="found-line muted">{t.results.found(hits.length, answer.cursor !== null)}</p>
          <Grid label={t.results.embeddedGrid} isBusy={false} order={hits}>
            {(active, setActive) =>
              hits.map((hit, i) => (
                <Tile
                  key={hit.id}
                  hit={hit}
                  search={search}
                  level={level}
                  isActive={active === i}
                  onFocus={() => setActive(i)}
                  onSelect={onSelect}
                />
              ))
            }
          </Grid>
          {answer.cursor !== null && (
            <div class="more">
              <button
                type="button"
                class="button"
                part="button"
                onClick={search.showMore}
                disabled={state === 'more'}
              >
                {state === 'more' ? t.loading : t.results.more}
              </button>
            </div>
          )}
        </>
      )}
    </div>
  );
}

interface TileProps extends Props {
  readonly hit: Hit;
  readonly level: ReturnType<typeof levelAt>;
  readonly isActive: boolean;
  readonly onFocus: () => void;
}

function Tile({ hit, search, level, isActive, onFocus, onSelect }: TileProps) {
  const t = useTexts();
  const tab = isActive ? 0 : -1;
  const example = { id: hit.id } as const;
  const searchWith = () => search.searchWith(example);
  return (
    <li class="tile" part="tile" data-id={hit.id}>
      <button
        type="button"
        class="tile-picture"
        part="picture"
        tabIndex={tab}
        aria-label={`${t.results.rank(hit.rank)}: ${hit.itemId}. ${spokenBadge(t, hit, level)}.`}
        onFocus={onFocus}
        onClick={() => {
          if (!onSelect(hit)) searchWith();
        }}
      >
        <RemoteImage search={search} id={hit.id} width={400} label="" isLazy={hit.rank > 8} />
      </button>
      <div class="tile-caption" part="caption">
        <Badge hit={hit} level={level} />
        <span class="tile-name" part="name" title={hit.id}>
          {hit.itemId}
        </span>
        {hit.variants.length > 0 && (
          <span class="tile-variants muted">{t.results.variants(hit.variants.length)}</span>
        )}
      </div>
      <div class="tile-actions" part="actions">
        <TileAction icon="search" label={t.results.searchWith} tab={tab} run={searchWith} />
        <TileAction
          icon="plus"
          label={t.results.moreLike}
          tab={tab}
          run={() => search.add({ ...example, weight: 1 })}
        />
        <TileAction
          icon="minus"
          label={t.results.lessLike}
          tab={tab}
          run={() => search.add({ ...example, weight: -1 })}
        />
      </div>
    </li>
  );
}

/** Tells screen readers what came, once it has been quiet for a moment. */
function Spoken({ search }: { search: ElementSearch }) {
  const t = useTexts();
  const [text, setText] = useState('');
  const hits = search.hits.value;
  const state = search.status.value;
  const level = levelAt(search.granularity.value);
  useEffect(() => {
    if (state !== 'ready') return;
    const first = hits[0]?.itemId;
    const next =
      first === undefined ? t.states.noHits : t.results.updated(hits.length, t.level[level], first);
    const timer = setTimeout(() => setText(next), 500);
    return () => clearTimeout(timer);
  }, [hits, state, level]);
  return (
    <div class="visually-hidden" role="status" aria-live="polite" aria-atomic="true">
      {text}
    </div>
  );
}

function labelOf(example: WeighedExample, t: { yourPicture: string; urlPicture: string }): string {
  if ('id' in example) return example.id;
  return 'url' in example ? t.urlPicture : t.yourPicture;
}

function keyOf(example: WeighedExample, i: number): string {
  return 'id' in example ? `id:${example.id}` : `${i}`;
}
