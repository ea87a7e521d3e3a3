/** The verdicts that were collected, each with a way to take it back, and how to train with them. */
import { useCallback, useEffect, useState } from 'preact/hooks';
import type { FeedbackEntry } from '../../src/client/index.js';
import { isAbort, RequestError } from '../api.js';
import { api } from '../state/search.js';
import { strings as t } from '../strings.js';
import { announce, notify } from '../ui/announce.js';
import { Icon } from '../ui/icon.js';
import { LevelMark } from '../ui/level-mark.js';
import { Failure, forgetFailures, Message, Skeleton } from '../ui/states.js';

export function Feedback() {
  const [entries, setEntries] = useState<readonly FeedbackEntry[] | null>(null);
  const [total, setTotal] = useState(0);
  const [cursor, setCursor] = useState<string | null>(null);
  const [error, setError] = useState<RequestError | null>(null);
  const load = useCallback(async (after: string | null, signal?: AbortSignal) => {
    try {
      const list = await api.feedback(after, signal);
      forgetFailures();
      setError(null);
      setEntries((before) =>
        after === null || before === null ? list.entries : [...before, ...list.entries],
      );
      setTotal(list.total);
      setCursor(list.cursor);
    } catch (failed) {
      if (!isAbort(failed))
        setError(failed instanceof RequestError ? failed : new RequestError('problem', String(failed)));
    }
  }, []);
  useEffect(() => {
    document.title = `${t.feedback.title} · ${t.name}`;
    const controller = new AbortController();
    void load(null, controller.signal);
    return () => controller.abort();
  }, [load]);
  const remove = async (entry: FeedbackEntry) => {
    try {
      await api.removeFeedback(entry.key);
      setEntries((before) => before?.filter(({ key }) => key !== entry.key) ?? null);
      setTotal((before) => before - 1);
      announce(t.feedback.removed);
      document.getElementById('feedback-count')?.focus();
    } catch (failed) {
      notify(failed instanceof Error ? failed.message : String(failed));
    }
  };
  return (
    <div class="feedback">
      <div class="page-head">
        <h1>{t.feedback.title}</h1>
        <p class="lead">{t.feedback.lead}</p>
      </div>
      {error !== null && <Failure error={error} retry={() => void load(null)} />}
      {entries === null && error === null && <Skeleton count={6} />}
      {entries !== null && entries.length === 0 && (
        <Message icon="search" title={t.feedback.empty}>
          <p>{t.feedback.emptyDetail}</p>
        </Message>
      )}
      {entries !== null && entries.length > 0 && (
        <>
          <section class="train">
            <div>
              <h2 id="feedback-count" tabIndex={-1}>
                {t.feedback.collected(total)}
              </h2>
              <p class="muted">{t.feedback.train}</p>
            </div>
            <code>{t.feedback.command}</code>
            <button
              type="button"
              class="button"
              onClick={() =>
                void navigator.clipboard?.writeText(t.feedback.command).then(() => notify(t.feedback.copied))
              }
            >
              {t.feedback.copy}
            </button>
          </section>
          <ul class="verdicts">
            {entries.map((entry) => (
              <li key={entry.key} class="verdict">
                <figure>
                  <Thumb id={entry.query.id} />
                  <figcaption>
                    <span class="muted">{t.feedback.query}</span>
                    <span class="verdict-name">{entry.query.id ?? t.query.yourPicture}</span>
                  </figcaption>
                </figure>
                <span class={`verdict-sign verdict-${entry.verdict}`}>
                  <Icon name={entry.verdict} />
                  {entry.verdict === 'up' ? t.feedback.up : t.feedback.down}
                </span>
                <figure>
                  <Thumb id={entry.hit.id} />
                  <figcaption>
                    <span class="muted">{t.feedback.hit}</span>
                    <span class="verdict-name">{entry.hit.id}</span>
                  </figcaption>
                </figure>
                <span class="verdict-about muted">
                  <span class="verdict-level">
                    <LevelMark level={entry.level} /> {t.level[entry.level]}
                  </span>
                  <time dateTime={entry.at}>{t.date(entry.at)}</time>
                </span>
                <button
                  type="button"
                  class="icon-button"
                  aria-label={t.feedback.remove(entry.hit.id)}
                  title={t.remove}
                  onClick={() => void remove(entry)}
                >
                  <Icon name="trash" />
                </button>
              </li>
            ))}
          </ul>
          {cursor !== null && (
            <div class="more">
              <button type="button" class="button" onClick={() => void load(cursor)}>
                {t.feedback.more}
              </button>
            </div>
          )}
        </>
      )}
    </div>
  );
}

// --- internal ---

function Thumb({ id }: { id: string | undefined }) {
  return (
    <span class="thumbnail thumbnail-large">
      {id === undefined ? (
        <Icon name="upload" />
      ) : (
        <img src={api.imageUrl(id, 160)} alt="" width="88" height="88" loading="lazy" />
      )}
    </span>
  );
}
