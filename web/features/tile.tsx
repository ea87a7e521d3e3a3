/** One picture of a grid, with what is known of it and what can be done with it. */
import { memo } from 'preact/compat';
import { useState } from 'preact/hooks';
import type { Hit, LevelName, Picture } from '../../src/client/index.js';
import { addExample, navigate, page, searchWith } from '../state/page.js';
import { api } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Badge, spokenBadge } from '../ui/badge.js';
import { TileAction as Action } from '../ui/tile-action.js';
import { pickToCompare } from './compare-tray.js';
import { giveVerdict, verdicts } from './verdicts.js';

const IMAGE_WIDTH = 400;

interface HitProps {
  readonly hit: Hit;
  readonly level: LevelName;
  readonly isActive: boolean;
  readonly isBelow: boolean;
  readonly onFocus: () => void;
}

export function HitTile({ hit, level, isActive, isBelow, onFocus }: HitProps) {
  // What can be done with a hit is made when a pointer or the focus comes: of all hits it is most of the page's nodes.
  const [isOver, setOver] = useState(false);
  const tab = isActive ? 0 : -1;
  const verdict = verdicts.value.get(hit.id)?.verdict;
  const isPicked = page.value.compare.includes(hit.id);
  const example = { kind: 'id', id: hit.id } as const;
  const keyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '+') addExample({ ...example, weight: 1 });
    else if (event.key === '-') addExample({ ...example, weight: -1 });
    else return;
    event.preventDefault();
  };
  return (
    <li
      class={isBelow ? 'tile tile-below' : 'tile'}
      data-id={hit.id}
      onPointerEnter={() => setOver(true)}
      onPointerLeave={() => setOver(false)}
    >
      <button
        type="button"
        class="tile-picture"
        tabIndex={tab}
        aria-label={`${t.results.rank(hit.rank)}: ${hit.itemId}. ${spokenBadge(t, hit, level)}. ${t.results.why}`}
        onFocus={onFocus}
        onKeyDown={keyDown}
        onClick={() => navigate({ why: hit.id })}
      >
        <TileImage id={hit.id} isEager={hit.rank <= 12} />
      </button>
      <div class="tile-caption">
        <Badge hit={hit} level={level} />
        <span class="tile-name" title={hit.id}>
          {hit.itemId}
        </span>
        {hit.variants.length > 0 && (
          <span class="tile-variants muted">{t.results.variants(hit.variants.length)}</span>
        )}
      </div>
      {(isActive || isOver || isPicked || verdict !== undefined) && (
        <TileActions id={hit.id} tab={tab} isPicked={isPicked} verdict={verdict} />
      )}
    </li>
  );
}

interface CatalogProps {
  readonly picture: Picture;
  readonly isActive: boolean;
  readonly onFocus: () => void;
  readonly onOpen: () => void;
}

export function CatalogTile({ picture, isActive, onFocus, onOpen }: CatalogProps) {
  const tab = isActive ? 0 : -1;
  return (
    <li class="tile" data-id={picture.id}>
      <button
        type="button"
        class="tile-picture"
        tabIndex={tab}
        aria-label={`${picture.itemId}. ${t.results.searchWith}`}
        onFocus={onFocus}
        onClick={onOpen}
      >
        <TileImage id={picture.id} isEager={false} />
      </button>
      <div class="tile-caption">
        <span class="tile-name" title={picture.id}>
          {picture.itemId}
        </span>
      </div>
      <div class="tile-actions">
        <Action
          icon="compare"
          label={t.results.compare}
          tab={tab}
          isPressed={page.value.compare.includes(picture.id)}
          run={() => pickToCompare(picture.id)}
        />
      </div>
    </li>
  );
}

// --- internal ---

/** Apart, and drawn again only when its own state changes: while the slider moves, scores and places do. */
const TileActions = memo(
  ({
    id,
    tab,
    isPicked,
    verdict,
  }: {
    id: string;
    tab: number;
    isPicked: boolean;
    verdict: 'up' | 'down' | undefined;
  }) => {
    const example = { kind: 'id', id } as const;
    return (
      <div class="tile-actions">
        <Action
          icon="search"
          label={t.results.searchWith}
          tab={tab}
          run={() => searchWith({ ...example, weight: 1 })}
        />
        <Action
          icon="plus"
          label={t.results.moreLike}
          tab={tab}
          run={() => addExample({ ...example, weight: 1 })}
        />
        <Action
          icon="minus"
          label={t.results.lessLike}
          tab={tab}
          run={() => addExample({ ...example, weight: -1 })}
        />
        <Action
          icon="compare"
          label={t.results.compare}
          tab={tab}
          isPressed={isPicked}
          run={() => pickToCompare(id)}
        />
        <Action
          icon="up"
          label={t.results.up}
          tab={tab}
          isPressed={verdict === 'up'}
          run={() => void giveVerdict(id, 'up')}
        />
        <Action
          icon="down"
          label={t.results.down}
          tab={tab}
          isPressed={verdict === 'down'}
          run={() => void giveVerdict(id, 'down')}
        />
      </div>
    );
  },
);

const TileImage = memo(({ id, isEager }: { id: string; isEager: boolean }) => (
  <img
    src={api.imageUrl(id, IMAGE_WIDTH)}
    alt=""
    width={IMAGE_WIDTH}
    height={IMAGE_WIDTH}
    loading={isEager ? 'eager' : 'lazy'}
    decoding="async"
    draggable={false}
    onError={(event) => event.currentTarget.classList.add('image-missing')}
  />
));
