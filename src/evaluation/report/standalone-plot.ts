/**
 * A plot as an SVG file of its own: the report's line chart with a title, a key, and colours in the place of the page's.
 */
import { lineChart, SERIES_COLOURS } from './charts.js';
import type { ReportPlot } from './data.js';
import { STYLE } from './style.js';

/**
 * Draws curves with their title, note and key.
 * @returns the text of an SVG file; the same for the same plot
 */
export function standalonePlot(plot: ReportPlot): string {
  const { title, note, curves } = plot;
  const keyTop = TOP + CHART_HEIGHT + 14;
  const height = keyTop + ROW * Math.ceil(curves.length / 2) + MARGIN;
  const text = (x: number, y: number, content: string, style: string) =>
    `<text x="${x}" y="${y}" ${style}>${escaped(content)}</text>`;
  const key = curves.map(({ label }, i) => {
    const [x, y] = [MARGIN + (i % 2) * (WIDTH / 2), keyTop + ROW * Math.floor(i / 2)];
    const colour = SERIES_COLOURS[i % SERIES_COLOURS.length];
    return (
      `<rect x="${x}" y="${y}" width="18" height="3" fill="${colour}"/>` +
      text(x + 26, y + 6, label, 'font-size="12" fill="var(--ink)"')
    );
  });
  const chart = lineChart('plot', plot).replace(
    /^<svg [^>]*?(?=viewBox)/,
    `<svg aria-hidden="true" x="${MARGIN}" y="${TOP}" width="${CHART_WIDTH}" height="${CHART_HEIGHT}" `,
  );
  const drawn = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="system-ui, sans-serif">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="var(--card)"/>`,
    text(MARGIN, 26, title, 'font-size="15" font-weight="600" fill="var(--ink)"'),
    note === undefined ? '' : text(MARGIN, 44, note, 'font-size="12" fill="var(--ink-soft)"'),
    chart,
    ...key,
    '</svg>',
  ].join('\n');
  // By value: hardly a viewer but a browser knows variables.
  const colours = lightColours();
  return `${drawn.replace(/var\((--[\w-]+)\)/g, (_, name: string) => colours.get(name) ?? '#000000')}\n`;
}

// --- internal ---

const MARGIN = 16;
const TOP = 54;
const ROW = 18;
const CHART_WIDTH = 528;
const CHART_HEIGHT = 300;
const WIDTH = CHART_WIDTH + 2 * MARGIN;

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');

/** The page's variables in its light scheme, which come first. */
function lightColours(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [, name, value] of STYLE.matchAll(/(--[\w-]+): (#[0-9a-f]{6})/g))
    if (!found.has(name as string)) found.set(name as string, value as string);
  return found;
}
