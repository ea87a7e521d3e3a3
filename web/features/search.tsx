/** The search view: the start when there is no query, the query beside its results when there is one. */
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { countConditions } from '../state/filter.js';
import type { ExampleState } from '../state/location.js';
import { page } from '../state/page.js';
import { clearRecent, recent } from '../state/recent.js';
import { catalog, isSearching, total } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Dialog } from '../ui/dialog.js';
import { Icon } from '../ui/icon.js';
import { ExampleThumbnail, exampleLabel } from './example-picture.js';
import { ActiveFilters, Facets } from './facets.js';
import { Intake } from './intake.js';
import { isSeen, QueryPanel } from './query-panel.js';
import { Refine } from './refine.js';
import { Browse, Results } from './results.js';
import { GranularitySlider } from './slider.js';
import { Tools } from './tools.js';
import { Why } from './why.js';

/** Wide enough for filters beside the pictures. */
const wide = window.matchMedia('(min-width: 64rem)');
const isWide = signal(wide.matches);
wide.addEventListener('change', () => (isWide.value = wide.matches));
const isSheetOpen = signal(false);

export function Search() {
  useEffect(() => {
    document.title = t.name;
  }, []);
  return isSearching.value ? <Found /> : <Start />;
}

// --- internal ---

function Start() {
  const count = catalog.value?.pictures ?? 0;
  return (
    <div class="start">
      <section class="hero">
        <h1>{t.start.title}</h1>
        <p class="lead">{t.start.lead}</p>
        <div class="drop-zone">
          <Icon name="upload" size={32} />
          <p class="drop-title">{t.start.drop}</p>
          <p class="muted">{t.start.paste}</p>
          <Intake />
        </div>
      </section>
      {recent.value.length > 0 && <Recent />}
      <section class="catalog" aria-labelledby="catalog-title">
        <div class="section-head">
          <h2 id="catalog-title">{t.results.catalog}</h2>
          <span class="muted">{count > 0 && t.results.of(total.value ?? count)}</span>
          {!isWide.value && <SheetButton />}
        </div>
        <ActiveFilters />
        <div class="columns">
          {isWide.value && (
            <aside class="side" aria-label={t.facets.title}>
              <Facets />
            </aside>
          )}
          <div class="results-column" id="results" tabIndex={-1}>
            <Browse />
          </div>
        </div>
      </section>
      <Sheet />
    </div>
  );
}

function Found() {
  return (
    <div class="found">
      <h1 class="visually-hidden">{t.results.title}</h1>
      <div class="columns">
        <aside class="side" aria-label={t.query.title}>
          <QueryPanel />
          {isWide.value && isSeen.value && (
            <>
              <Refine />
              <Facets />
            </>
          )}
        </aside>
        <div class="results-column">
          <GranularitySlider />
          <div class="tool-row">{isWide.value ? <Tools /> : <SheetButton />}</div>
          <ActiveFilters />
          <div id="results" tabIndex={-1}>
            <Results />
          </div>
        </div>
      </div>
      <Sheet />
      {page.value.why !== null && <Why id={page.value.why} />}
    </div>
  );
}

function SheetButton() {
  const { filters, edits } = page.value;
  return (
    <button type="button" class="button" onClick={() => (isSheetOpen.value = true)}>
      <Icon name="filter" />
      {t.facets.open(countConditions(filters) + edits.length)}
    </button>
  );
}

function Sheet() {
  if (!isSheetOpen.value || isWide.value) return null;
  const close = () => (isSheetOpen.value = false);
  return (
    <Dialog title={t.facets.title} kind="sheet" onClose={close}>
      <div class="sheet-body">
        {isSearching.value && (
          <>
            <Tools />
            <Refine />
          </>
        )}
        <Facets />
      </div>
      <div class="dialog-actions">
        <button type="button" class="button button-primary" onClick={close}>
          {t.facets.show}
        </button>
      </div>
    </Dialog>
  );
}

function Recent() {
  return (
    <section class="recent" aria-labelledby="recent-title">
      <div class="section-head">
        <h2 id="recent-title">{t.start.recent}</h2>
        <button type="button" class="link-button" onClick={clearRecent}>
          {t.start.clearRecent}
        </button>
      </div>
      <ul class="strip">
        {recent.value.map(({ address, example }) => (
          <li key={address}>
            <RecentLink address={address} example={example} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function RecentLink({ address, example }: { address: string; example: ExampleState }) {
  return (
    <a
      href={address}
      class="strip-link"
      aria-label={t.start.recentOf(exampleLabel(example))}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        history.pushState(null, '', address);
        window.dispatchEvent(new PopStateEvent('popstate'));
        window.scrollTo(0, 0);
      }}
    >
      <ExampleThumbnail example={example} size={72} />
    </a>
  );
}
