/** Thumbs on the hits of the query that is open. */
import { effect, signal } from '@preact/signals';
import { levelAt } from '../state/location.js';
import { exampleKey, granularity, page } from '../state/page.js';
import { api, toPictureExample } from '../state/search.js';
import { strings as t } from '../strings.js';
import { notify } from '../ui/announce.js';

interface Verdict {
  readonly verdict: 'up' | 'down';
  readonly key: string;
}

/** By the hit's id. */
export const verdicts = signal<ReadonlyMap<string, Verdict>>(new Map());

/** Keeps a verdict; the same once more takes it back. */
export async function giveVerdict(id: string, verdict: 'up' | 'down'): Promise<void> {
  const before = verdicts.peek().get(id);
  try {
    if (before !== undefined) {
      await api.removeFeedback(before.key);
      change(id, undefined);
      if (before.verdict === verdict) {
        notify(t.results.taken);
        return;
      }
    }
    const main = page.peek().examples.find(({ weight }) => weight === 1);
    const sent = main === undefined ? null : await toPictureExample(main);
    if (sent === null) {
      notify(`${t.results.noFeedback} ${t.query.elsewhere}`);
      return;
    }
    const level = levelAt(granularity.peek());
    const { key } = await api.giveFeedback(
      { example: sent.example, id, verdict, level },
      undefined,
      sent.picture,
    );
    change(id, { verdict, key });
    notify(verdict === 'up' ? t.results.thanksUp : t.results.thanksDown, {
      label: t.undo,
      run: () => void giveVerdict(id, verdict),
    });
  } catch (error) {
    notify(`${t.results.noFeedback} ${error instanceof Error ? error.message : ''}`);
  }
}

// --- internal ---

function change(id: string, verdict: Verdict | undefined): void {
  const next = new Map(verdicts.peek());
  if (verdict === undefined) next.delete(id);
  else next.set(id, verdict);
  verdicts.value = next;
}

let query = '';
effect(() => {
  const main = page.value.examples.find(({ weight }) => weight === 1);
  const key = main === undefined ? '' : exampleKey(main);
  if (key === query) return;
  query = key;
  verdicts.value = new Map();
});
