/**
 * The key that the server wants, where it wants one: asked for once, kept for the tab. Pictures are shown by elements that send no
 * headers, so for their addresses it is in a cookie as well, which the server takes for nothing else.
 */
import { signal } from '@preact/signals';

/** The question that is open; `isWrong`: the key that was given does not open. */
export const asked = signal<{ readonly isWrong: boolean; answer(key: string | null): void } | null>(null);

export function currentKey(): string | null {
  return sessionStorage.getItem(NAME);
}

/**
 * Asks for a key; however many requests want one, it is one question.
 * @returns null when none is given
 */
export function askForKey(): Promise<string | null> {
  question ??= new Promise<string | null>((resolve) => {
    asked.value = { isWrong: currentKey() !== null, answer: resolve };
  }).then((key) => {
    asked.value = null;
    question = undefined;
    keepKey(key);
    return key;
  });
  return question;
}

// --- internal ---

const NAME = 'semblance-key';
let question: Promise<string | null> | undefined;

function keepKey(key: string | null): void {
  const path = new URL('v1/', document.baseURI).pathname;
  const flags = `path=${path}; SameSite=Strict${location.protocol === 'https:' ? '; Secure' : ''}`;
  if (key === null) sessionStorage.removeItem(NAME);
  else sessionStorage.setItem(NAME, key);
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store is not in every browser, nor without https
  document.cookie = key === null ? `${NAME}=; ${flags}; Max-Age=0` : `${NAME}=${key}; ${flags}`;
}

// A tab that was restored still has the key, and the cookie went with the browser.
const kept = currentKey();
if (kept !== null) keepKey(kept);
