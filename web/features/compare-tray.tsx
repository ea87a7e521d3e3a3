/** The picture that was picked to be compared waits at the foot of the page for the other. */
import { navigate, page } from '../state/page.js';
import { api } from '../state/search.js';
import { strings as t } from '../strings.js';
import { announce } from '../ui/announce.js';
import { Icon } from '../ui/icon.js';

export function pickToCompare(id: string): void {
  const { compare } = page.peek();
  const waiting = compare.length === 1 ? compare[0] : undefined;
  if (waiting === id) navigate({ compare: [] }, 'replace');
  else if (waiting === undefined) {
    navigate({ compare: [id] }, 'replace');
    announce(t.compare.picked(id));
  } else navigate({ view: 'compare', compare: [waiting, id], why: null });
}

export function CompareTray() {
  const { compare, view } = page.value;
  const [waiting] = compare;
  if (view === 'compare' || compare.length !== 1 || waiting === undefined) return null;
  return (
    <section class="tray" aria-label={t.compare.title}>
      <img src={api.imageUrl(waiting, 160)} alt="" width="44" height="44" />
      <p>{t.compare.picked(waiting)}</p>
      <button
        type="button"
        class="icon-button"
        aria-label={t.compare.clear}
        onClick={() => navigate({ compare: [] }, 'replace')}
      >
        <Icon name="close" />
      </button>
    </section>
  );
}
