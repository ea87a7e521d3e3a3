/** The frame: header, the view that the address names, what is said and shown above all of it. */

import { Compare } from './features/compare.js';
import { CompareTray } from './features/compare-tray.js';
import { Feedback } from './features/feedback.js';
import { DropTarget } from './features/intake.js';
import { KeyQuestion } from './features/key-question.js';
import { MapView } from './features/map-view.js';
import { Search } from './features/search.js';
import { encode, START, type View } from './state/location.js';
import { navigate, page } from './state/page.js';
import { nextTheme, theme } from './state/theme.js';
import { strings as t } from './strings.js';
import { Announcements } from './ui/announce.js';
import { Icon } from './ui/icon.js';

export function App() {
  const { view } = page.value;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {t.nav.skip}
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        {view === 'search' && <Search />}
        {view === 'compare' && <Compare />}
        {view === 'map' && <MapView />}
        {view === 'feedback' && <Feedback />}
      </main>
      <CompareTray />
      <DropTarget />
      <KeyQuestion />
      <Announcements />
    </>
  );
}

// --- internal ---

/** The address is the page's state, so a jump inside the page is made by hand. */
function skip(event: MouseEvent): void {
  event.preventDefault();
  const target = document.getElementById('results') ?? document.getElementById('main');
  target?.focus();
  target?.scrollIntoView();
}

function Header() {
  const { view } = page.value;
  const current = theme.value;
  return (
    <header class="header">
      <a class="brand" href={encode(START)} onClick={(event) => go(event, () => navigate({ ...START }))}>
        <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
          <rect class="brand-ground" width="32" height="32" rx="9" />
          <circle class="brand-ring" cx="12.5" cy="16" r="6.5" />
          <circle class="brand-ring brand-second" cx="19.5" cy="16" r="6.5" />
        </svg>
        <span>{t.name}</span>
      </a>
      <nav aria-label={t.nav.label}>
        <NavLink to="search" current={view} label={t.nav.search} />
        <NavLink to="map" current={view} label={t.nav.map} />
        <NavLink to="feedback" current={view} label={t.nav.feedback} />
      </nav>
      <button
        type="button"
        class="icon-button"
        onClick={nextTheme}
        aria-label={t.theme[current]}
        title={t.theme[current]}
      >
        <Icon name={current === 'auto' ? 'auto' : current === 'light' ? 'sun' : 'moon'} />
      </button>
    </header>
  );
}

function NavLink({ to, current, label }: { to: View; current: View; label: string }) {
  // The query is kept while another view is open.
  const address = encode({ ...page.value, view: to, why: null });
  const isCurrent = current === to || (to === 'search' && current === 'compare');
  return (
    <a
      href={address}
      aria-current={isCurrent ? 'page' : undefined}
      onClick={(event) => go(event, () => navigate({ view: to, why: null }))}
    >
      {label}
    </a>
  );
}

/** A plain click stays on the page; with a modifier the browser does what it does with links. */
function go(event: MouseEvent, run: () => void): void {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return;
  event.preventDefault();
  run();
}
