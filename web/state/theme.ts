/** Light, dark, or as the system is; the choice is kept on this device. */
import { computed, effect, signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';
const KEY = 'semblance.theme';

export const theme = signal<Theme>(read());

const dark = window.matchMedia('(prefers-color-scheme: dark)');
const isDark = signal(dark.matches);
dark.addEventListener('change', () => (isDark.value = dark.matches));
/** What is seen, for colours that style sheets do not reach. */
export const colourScheme = computed(() =>
  theme.value === 'auto' ? (isDark.value ? 'dark' : 'light') : theme.value,
);

export function nextTheme(): void {
  theme.value = theme.value === 'auto' ? 'light' : theme.value === 'light' ? 'dark' : 'auto';
}

effect(() => {
  const chosen = theme.value;
  if (chosen === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  try {
    if (chosen === 'auto') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // a browser that keeps nothing still has the theme of this visit
  }
});

function read(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'auto';
  } catch {
    return 'auto';
  }
}
