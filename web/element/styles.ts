/**
 * The element's style sheet: that of the page inside a shadow tree, with the theme's variables under names that a host page
 * can set anywhere: `--accent` is what `--semblance-accent` says, or the page's own colour. One sheet for all elements.
 */
import base from '../styles/base.css?inline';
import query from '../styles/query.css?inline';
import results from '../styles/results.css?inline';
import tokens from '../styles/tokens.css?inline';
import element from './element.css?inline';

let sheet: CSSStyleSheet | undefined;

export function elementSheet(): CSSStyleSheet {
  if (sheet === undefined) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync([toHost(tokens), base, query, results, element].join('\n'));
  }
  return sheet;
}

// --- internal ---

/** Tokens of `:root` as those of the host, each of them open to the page around. */
function toHost(css: string): string {
  return css
    .replaceAll(/:root((?::not\([^)]*\))|(?:\[[^\]]*\]))?/g, (_, condition = '') =>
      condition === '' ? ':host' : `:host(${condition.replace('data-theme', 'theme')})`,
    )
    .replaceAll(
      /--([\w-]+):([^;}]+)/g,
      (_, name, value) => `--${name}:var(--semblance-${name},${value.trim()})`,
    );
}
