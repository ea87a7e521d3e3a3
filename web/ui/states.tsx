/** What is shown where there is nothing to show: waiting, empty, failed. */
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { RequestError } from '../api.js';
import { Icon } from './icon.js';
import { useTexts } from './texts.js';

/** Grey tiles where pictures will be. */
export function Skeleton({ count = 12 }: { count?: number }) {
  const t = useTexts();
  return (
    <div class="grid" aria-busy="true">
      <span class="visually-hidden">{t.loading}</span>
      {Array.from({ length: count }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
        <div key={i} class="tile tile-skeleton" aria-hidden="true">
          <div class="tile-picture" />
          <div class="tile-caption">
            <span class="skeleton-line" />
          </div>
        </div>
      ))}
    </div>
  );
}

export function Message({
  title,
  children,
  icon,
  role,
}: {
  title: string;
  children?: ComponentChildren;
  icon?: 'warning' | 'search';
  role?: 'alert';
}) {
  return (
    <div class="message" part="message" role={role}>
      {icon !== undefined && <Icon name={icon} size={28} />}
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** A failure with a way on; a server that does not answer is asked again by itself, less and less often. */
export function Failure({
  error,
  retry,
  attempt,
}: {
  error: RequestError;
  retry: () => void;
  /** How often it has failed in a row before. Default: as counted for the page. */
  attempt?: number;
}) {
  const t = useTexts();
  const isOffline = error.kind === 'offline';
  const isGone = error.code === 'picture-gone';
  return (
    <Message
      icon="warning"
      role="alert"
      title={isOffline ? t.states.offline : isGone ? t.states.pictureGone : t.states.failed}
    >
      <p>{isOffline ? t.states.offlineDetail : isGone ? t.states.pictureGoneDetail : error.message}</p>
      <div class="message-actions">
        {!isGone && (
          <button type="button" class="button button-primary" onClick={retry}>
            {t.retry}
          </button>
        )}
        {isOffline && <RetryClock retry={retry} attempt={attempt ?? failures++} />}
      </div>
    </Message>
  );
}

// --- internal ---

let failures = 0;

function RetryClock({ retry, attempt }: { retry: () => void; attempt: number }) {
  const t = useTexts();
  const [left, setLeft] = useState(() => Math.min(30, 3 * 2 ** Math.min(attempt, 4)));
  useEffect(() => {
    if (left <= 0) {
      retry();
      return;
    }
    const timer = setTimeout(() => setLeft(left - 1), 1000);
    return () => clearTimeout(timer);
  }, [left, retry]);
  return (
    <p class="muted" aria-hidden="true">
      {t.states.retrying(Math.max(left, 0))}
    </p>
  );
}

/** After an answer the next failure begins with a short wait again. */
export function forgetFailures(): void {
  failures = 0;
}
