/**
 * A picture of an imported network's stages, as SVG: from the picture at the top to the features, a box a stage, a bar
 * for its share of the arithmetic and one for its share of the parameters, a dashed line where it can be cut.
 */
import type { Inspection } from '../models/index.js';
import type { Report } from './inspect.js';
import { formatBytes, formatCount } from './inspect-text.js';

/** The SVG document. */
export function stagePicture({ file, nameOf, summary }: Report, inspection: Inspection): string {
  const { stages, features, cutPoints, trainableCount } = inspection;
  const parts: string[] = [];
  const title = file.split(/[\\/]/).at(-1) as string;
  parts.push(
    text(MARGIN, 34, title, { size: 20, weight: 700 }),
    text(
      MARGIN,
      56,
      `${formatCount(trainableCount)} parameters · ${formatCount(inspection.multiplyAdds)} multiply-adds and ${formatBytes(inspection.activationBytes)} of activations a picture`,
      { fill: MUTED },
    ),
    text(BAR_X, 92, 'arithmetic', { size: 12, fill: MUTED }),
    text(BAR_X + BAR_WIDTH + BAR_GAP, 92, 'parameters', { size: 12, fill: MUTED }),
  );
  let y = 104;
  const first = summary.inputs[0];
  parts.push(pill(y, `${first?.name ?? 'picture'} ${(cutPoints[0]?.shape ?? []).join('×')}`));
  y += PILL_HEIGHT;
  const largest = (pick: (stage: (typeof stages)[number]) => number) => Math.max(...stages.map(pick), 1e-12);
  const mostWork = largest(({ share }) => share);
  const mostParameters = largest(({ parameters }) => parameters);
  for (const [i, stage] of stages.entries()) {
    parts.push(arrow(y));
    y += ARROW;
    const state = stage.blocked === 0 ? 'open' : stage.blocked >= stage.parameters ? 'blocked' : 'partly';
    const { fill, line, word } = STATES[state];
    const titleY = y + (stage.scope === '' && word === '' ? 36 : 25);
    parts.push(
      `<rect x="${MARGIN}" y="${y}" width="${BOX_WIDTH}" height="${BOX_HEIGHT}" rx="8" fill="${fill}" stroke="${line}" stroke-width="1.5"/>`,
      text(MARGIN + 14, titleY, stage.name, { size: 16, weight: 700 }),
      text(MARGIN + BOX_WIDTH - 14, titleY, stage.shape.join('×'), { anchor: 'end', size: 14 }),
      text(MARGIN + 14, y + 46, shortened(stage.scope, 52), { size: 12, fill: MUTED }),
      ...(word === ''
        ? []
        : [text(MARGIN + BOX_WIDTH - 14, y + 46, word, { anchor: 'end', size: 12, fill: line })]),
      bar(
        BAR_X,
        y,
        stage.share / mostWork,
        `${(100 * stage.share).toFixed(stage.share < 0.095 ? 1 : 0)} %`,
        '#5b7db1',
      ),
      bar(
        BAR_X + BAR_WIDTH + BAR_GAP,
        y,
        stage.parameters / mostParameters,
        formatCount(stage.parameters),
        '#7a9e6b',
      ),
    );
    y += BOX_HEIGHT;
    if (i === stages.length - 1) continue;
    const cut = cutPoints.find(({ value }) => value === stage.end);
    const label = `cut: ${shortened(nameOf(stage.end), 56)} · ${formatBytes(4 * (cut?.elements ?? 0))} a picture`;
    parts.push(
      arrow(y),
      `<line x1="${MARGIN - 8}" y1="${y + ARROW}" x2="${WIDTH - MARGIN}" y2="${y + ARROW}" stroke="#b4552d" stroke-width="1.2" stroke-dasharray="6 4"/>`,
      text(MARGIN + BOX_WIDTH / 2 + 12, y + ARROW - 6, label, { size: 11, fill: '#b4552d' }),
    );
    y += ARROW;
  }
  parts.push(arrow(y));
  y += ARROW;
  const pooling = { none: '', average: ' · averaged', 'class-token': ' · token 0' }[features.pooling];
  parts.push(pill(y, `features ${features.features.shape.join('×')}${pooling}`));
  y += PILL_HEIGHT + 30;
  Object.values(STATES).forEach(({ fill, line, legend }, i) => {
    const x = MARGIN + i * 250;
    parts.push(
      `<rect x="${x}" y="${y - 11}" width="14" height="14" rx="3" fill="${fill}" stroke="${line}" stroke-width="1.5"/>`,
      text(x + 22, y, legend, { size: 12, fill: MUTED }),
    );
  });
  y += 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="14"><rect width="100%" height="100%" fill="#ffffff"/>${parts.join('')}</svg>\n`;
}

// --- internal ---

const WIDTH = 860;
const MARGIN = 28;
const BOX_WIDTH = 430;
const BOX_HEIGHT = 60;
const PILL_HEIGHT = 34;
const ARROW = 22;
const BAR_X = MARGIN + BOX_WIDTH + 28;
const BAR_WIDTH = 160;
const BAR_GAP = 26;
const MUTED = '#5c6470';

const STATES = {
  open: { fill: '#eaf2e6', line: '#6f9a5d', word: '', legend: 'can be trained' },
  partly: { fill: '#fdf3d8', line: '#b98a1d', word: 'partly blocked', legend: 'some parameters are blocked' },
  blocked: { fill: '#fbe3df', line: '#b8442f', word: 'blocked', legend: 'no gradient arrives' },
} as const;

interface TextStyle {
  readonly size?: number;
  readonly weight?: number;
  readonly fill?: string;
  readonly anchor?: 'start' | 'middle' | 'end';
}

function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { size = 14, weight = 400, fill = '#1c2128', anchor = 'start' } = style;
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${fill}" text-anchor="${anchor}">${escaped(content)}</text>`;
}

function pill(y: number, content: string): string {
  return `<rect x="${MARGIN + 60}" y="${y}" width="${BOX_WIDTH - 120}" height="${PILL_HEIGHT}" rx="17" fill="#f2f4f7" stroke="#aab2bd"/>${text(MARGIN + BOX_WIDTH / 2, y + 22, shortened(content, 44), { anchor: 'middle', size: 13 })}`;
}

function arrow(y: number): string {
  const x = MARGIN + BOX_WIDTH / 2;
  return `<line x1="${x}" y1="${y}" x2="${x}" y2="${y + ARROW}" stroke="#aab2bd" stroke-width="1.5"/>`;
}

function bar(x: number, y: number, part: number, label: string, fill: string): string {
  const middle = y + BOX_HEIGHT / 2;
  const width = Math.max(1, (BAR_WIDTH - 54) * part);
  return `<rect x="${x}" y="${middle - 9}" width="${width.toFixed(1)}" height="18" rx="3" fill="${fill}"/>${text(x + width + 8, middle + 5, label, { size: 13 })}`;
}

/** The end tells more than the beginning. */
function shortened(content: string, length: number): string {
  return content.length <= length ? content : `…${content.slice(content.length - length + 1)}`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
