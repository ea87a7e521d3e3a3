/** Which colour a point of the map has: one a value of the column, the commonest first; numbers go from light to strong. */
import { pack } from './paint.js';

/** A line of the legend; `index` is the colour's in the palette. */
export interface LegendEntry {
  readonly kind: 'value' | 'range' | 'other' | 'unknown';
  readonly value: string;
  readonly index: number;
  readonly count: number;
}

export interface Colouring {
  /** Of each point. */
  readonly indexes: Uint8Array;
  readonly legend: readonly LegendEntry[];
}

export type Scheme = 'light' | 'dark';

const MOST_VALUES = 10;
const RANGES = 5;
const OTHER = MOST_VALUES;
const UNKNOWN = MOST_VALUES + 1;
const RANGE = MOST_VALUES + 2;

/** Each stands 3 : 1 against the ground of its scheme, and apart from its neighbours for the colour-blind by lightness. */
const COLOURS: Record<Scheme, readonly string[]> = {
  light: [
    ...[
      '#2563c9',
      '#d1480f',
      '#0d8055',
      '#b0299b',
      '#8a6a00',
      '#0b7f95',
      '#d0246a',
      '#6d4fd1',
      '#6b4a2b',
      '#4f7a16',
    ],
    ...['#7e838d', '#8f949d'],
    ...['#8296e6', '#6079dd', '#3f59cb', '#2540a8', '#122772'],
  ],
  dark: [
    ...[
      '#7aa2ff',
      '#ff9b5e',
      '#4fd09a',
      '#ee86dd',
      '#e3c14a',
      '#4fc8dd',
      '#ff7fac',
      '#b39dff',
      '#c9a27e',
      '#a6d05a',
    ],
    ...['#8a8f99', '#6b7079'],
    ...['#5b6fc0', '#768be0', '#93a8ff', '#b7c6ff', '#e2e9ff'],
  ],
};
/** Points of other values than the one that is picked. */
const DIM: Record<Scheme, string> = { light: '#dcdcd7', dark: '#2d2f35' };
const GROUND: Record<Scheme, string> = { light: '#ffffff', dark: '#18191d' };

/**
 * @param values of each point; '' is unknown.
 * @param isNumeric the column holds numbers: its points are coloured by fifths.
 */
export function colouring(values: readonly string[], isNumeric: boolean): Colouring {
  const indexes = new Uint8Array(values.length);
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const unknown = counts.get('') ?? 0;
  counts.delete('');
  const legend: LegendEntry[] = [];
  if (isNumeric && counts.size > MOST_VALUES) {
    const numbers = values.filter((value) => value !== '').map(Number);
    const sorted = Float64Array.from(numbers).sort();
    const bounds = Array.from(
      { length: RANGES + 1 },
      (_, i) => sorted[Math.round((i / RANGES) * (sorted.length - 1))]!,
    );
    const tally = new Array<number>(RANGES).fill(0);
    values.forEach((value, i) => {
      const number = Number(value);
      let fifth = 0;
      while (fifth < RANGES - 1 && number >= bounds[fifth + 1]!) fifth++;
      indexes[i] = value === '' ? UNKNOWN : RANGE + fifth;
      if (value !== '') tally[fifth]!++;
    });
    tally.forEach((count, fifth) => {
      const value = `${bounds[fifth]} – ${bounds[fifth + 1]}`;
      if (count > 0) legend.push({ kind: 'range', value, index: RANGE + fifth, count });
    });
  } else {
    const ranked = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const shown = ranked.slice(0, MOST_VALUES);
    const places = new Map(shown.map(([value], place) => [value, place]));
    values.forEach((value, i) => {
      indexes[i] = value === '' ? UNKNOWN : (places.get(value) ?? OTHER);
    });
    shown.forEach(([value, count], index) => {
      legend.push({ kind: 'value', value, index, count });
    });
    const rest = ranked.slice(MOST_VALUES).reduce((sum, [, count]) => sum + count, 0);
    if (rest > 0) legend.push({ kind: 'other', value: '', index: OTHER, count: rest });
  }
  if (unknown > 0 && counts.size > 0)
    legend.push({ kind: 'unknown', value: '', index: UNKNOWN, count: unknown });
  // Nothing known of any: one colour for all of them.
  if (counts.size === 0) indexes.fill(0);
  return { indexes, legend };
}

export function cssColour(index: number, scheme: Scheme): string {
  return COLOURS[scheme][index]!;
}

/** The palette for painting; with a picked index the others are dim. */
export function paletteOf(scheme: Scheme, picked: number | null): Uint32Array {
  const dim = pack(DIM[scheme]);
  return Uint32Array.from(COLOURS[scheme], (colour, index) =>
    picked === null || picked === index ? pack(colour) : dim,
  );
}

export function groundOf(scheme: Scheme): number {
  return pack(GROUND[scheme]);
}
