/** What screen readers are told, and the short notices that everybody sees. */
import { signal } from '@preact/signals';
import { strings as t } from '../strings.js';
import { Icon } from './icon.js';

const spoken = signal('');
interface Notice {
  readonly text: string;
  readonly action?: { readonly label: string; readonly run: () => void };
}
const notice = signal<Notice | null>(null);
let speaking: ReturnType<typeof setTimeout> | undefined;
let showing: ReturnType<typeof setTimeout> | undefined;

/** Says it once the page has been quiet for a moment, so that a moving slider is not read out at every step. */
export function announce(text: string): void {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    spoken.value = text;
  }, 500);
}

/** Shows a notice for a while; one with an action stays longer. */
export function notify(text: string, action?: Notice['action']): void {
  clearTimeout(showing);
  notice.value = action === undefined ? { text } : { text, action };
  showing = setTimeout(() => (notice.value = null), action === undefined ? 5000 : 10_000);
}

export function Announcements() {
  const shown = notice.value;
  return (
    <>
      <div class="visually-hidden" role="status" aria-live="polite" aria-atomic="true">
        {spoken.value}
      </div>
      <div class="notices" role="status" aria-live="polite">
        {shown !== null && (
          <div class="notice">
            <span>{shown.text}</span>
            {shown.action !== undefined && (
              <button
                type="button"
                class="link-button"
                onClick={() => {
                  shown.action?.run();
                  notice.value = null;
                }}
              >
                {shown.action.label}
              </button>
            )}
            <button
              type="button"
              class="icon-button"
              aria-label={t.close}
              onClick={() => (notice.value = null)}
            >
              <Icon name="close" size={16} />
            </button>
          </div>
        )}
      </div>
    </>
  );
}
