/**
 * What the page shows, as an address and back. Everything is in the fragment, so that vectors never reach a server's
 * log; `decode(encode(state))` is the same state. A picture that was uploaded stands in the address as its vector in
 * base64url of float16, which any browser can search with again.
 */
import type { Edit, LevelName, Region } from '../../src/client/index.js';

export type View = 'search' | 'map' | 'feedback' | 'compare';

/** One example of a query. `key` names the picture's bytes kept on this device, where there are any. */
export type ExampleState = { readonly weight: 1 | -1; readonly region?: Region } & (
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'upload'; readonly key: string; readonly vector?: string }
);

/** Conditions on one column: any of these values, none of those, a range of numbers. */
export interface ColumnFilter {
  readonly anyOf: readonly string[];
  readonly noneOf: readonly string[];
  readonly from?: number;
  readonly to?: number;
}

export interface PageState {
  readonly view: View;
  readonly examples: readonly ExampleState[];
  /** Earlier queries of this trail, oldest first. */
  readonly trail: readonly ExampleState[];
  readonly granularity: number;
  readonly filters: Readonly<Record<string, ColumnFilter>>;
  readonly edits: readonly Edit[];
  /** Wanted probability of the cut-off line; `hide` leaves out what is below. */
  readonly cut: { readonly probability: number; readonly hide: boolean };
  readonly group: boolean;
  readonly diversity: number;
  readonly sort: { readonly column: string; readonly direction: 'ascending' | 'descending' } | null;
  /** The hit whose reasons are open. */
  readonly why: string | null;
  /** The two pictures side by side, in `compare`; one alone waits for the other. */
  readonly compare: readonly string[];
  /** The column that colours the map; '' for none, null for the page's own choice. */
  readonly colour: string | null;
  /** The value of that column that the map picks out. */
  readonly mark: string | null;
  /** What part of the map is seen: its middle in 0 to 1, and how many times larger than the whole. */
  readonly at: { readonly x: number; readonly y: number; readonly zoom: number } | null;
}

export const START: PageState = {
  view: 'search',
  examples: [],
  trail: [],
  granularity: 0,
  filters: {},
  edits: [],
  cut: { probability: 0.5, hide: false },
  group: false,
  diversity: 0,
  sort: null,
  why: null,
  compare: [],
  colour: null,
  mark: null,
  at: null,
};

export const EMPTY_FILTER: ColumnFilter = { anyOf: [], noneOf: [] };
const TRAIL_LENGTH = 8;

export function encode(state: PageState): string {
  const search = new URLSearchParams();
  for (const example of state.examples)
    search.append(example.weight === 1 ? 'like' : 'unlike', encodeExample(example));
  for (const step of state.trail.slice(-TRAIL_LENGTH)) search.append('trail', encodeExample(step));
  if (state.granularity !== START.granularity) search.set('g', String(round(state.granularity)));
  for (const [column, { anyOf, noneOf, from, to }] of Object.entries(state.filters)) {
    for (const value of anyOf) search.append(`is.${column}`, value);
    for (const value of noneOf) search.append(`not.${column}`, value);
    if (from !== undefined || to !== undefined) search.set(`range.${column}`, `${from ?? ''}..${to ?? ''}`);
  }
  for (const edit of state.edits)
    if ('any' in edit) search.append('any', edit.attribute);
    else search.append(edit.want ? 'plus' : 'minus', `${encodeURIComponent(edit.attribute)}=${edit.value}`);
  if (state.cut.probability !== START.cut.probability) search.set('p', String(state.cut.probability));
  if (state.cut.hide) search.set('hide', '1');
  if (state.group) search.set('group', 'item');
  if (state.diversity !== 0) search.set('diversity', String(round(state.diversity)));
  if (state.sort !== null)
    search.set('sort', `${state.sort.direction === 'ascending' ? '' : '-'}${state.sort.column}`);
  if (state.why !== null) search.set('why', state.why);
  for (const id of state.compare) search.append('compare', id);
  if (state.colour !== null) search.set('colour', state.colour);
  if (state.mark !== null) search.set('mark', state.mark);
  if (state.at !== null) search.set('at', [state.at.x, state.at.y, state.at.zoom].map(eightDigits).join(','));
  const text = search.toString();
  return `#/${state.view === 'search' ? '' : state.view}${text === '' ? '' : `?${text}`}`;
}

/** Reads an address; what it cannot read is left at its start, so that an old or damaged link still opens. */
export function decode(fragment: string): PageState {
  const [path = '', ...rest] = fragment.replace(/^#\/?/, '').split('?');
  const search = new URLSearchParams(rest.join('?'));
  const view: View = path === 'feedback' || path === 'compare' || path === 'map' ? path : 'search';
  const examples: ExampleState[] = [];
  const filters: Record<string, ColumnFilter> = {};
  const edits: Edit[] = [];
  const trail: ExampleState[] = [];
  for (const [name, value] of search) {
    if (name === 'like' || name === 'unlike' || name === 'trail') {
      const example = decodeExample(value, name === 'unlike' ? -1 : 1);
      if (example !== null) (name === 'trail' ? trail : examples).push(example);
    } else if (name === 'any') edits.push({ attribute: value, any: true });
    else if (name === 'plus' || name === 'minus') {
      const at = value.indexOf('=');
      if (at > 0)
        edits.push({
          attribute: decodeURIComponent(value.slice(0, at)),
          value: value.slice(at + 1),
          want: name === 'plus',
        });
    } else {
      const match = /^(is|not|range)\.(.+)$/s.exec(name);
      if (match !== null) addCondition(filters, match[1]!, match[2]!, value);
    }
  }
  const sort = search.get('sort');
  return {
    view,
    examples,
    trail,
    granularity: fraction(search.get('g'), START.granularity),
    filters,
    edits,
    cut: { probability: fraction(search.get('p'), START.cut.probability), hide: search.get('hide') === '1' },
    group: search.get('group') === 'item',
    diversity: fraction(search.get('diversity'), START.diversity),
    sort:
      sort === null || sort === '' || sort === '-'
        ? null
        : sort.startsWith('-')
          ? { column: sort.slice(1), direction: 'descending' }
          : { column: sort, direction: 'ascending' },
    why: search.get('why'),
    compare: search.getAll('compare').slice(0, 2),
    colour: search.get('colour'),
    mark: search.get('mark'),
    at: decodeCamera(search.get('at')),
  };
}

/** The level that a granularity asks for: the nearest of the three. */
export function levelAt(granularity: number): LevelName {
  return granularity < 0.25 ? 'item' : granularity < 0.75 ? 'look' : 'category';
}

/** Base64 of float32, as the server sends it, to base64url of float16: half as long, exact to 11 bits. */
export function packVector(base64: string): string {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const packed = new DataView(new ArrayBuffer(bytes.length / 2));
  for (let i = 0; i < bytes.length / 4; i++)
    packed.setUint16(2 * i, toFloat16(view.getFloat32(4 * i, true)), true);
  return encodeBytes(packed).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** The reverse of `packVector`. */
export function unpackVector(base64url: string): string {
  const text = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
  const packed = new DataView(Uint8Array.from(text, (character) => character.charCodeAt(0)).buffer);
  const count = packed.byteLength >> 1;
  const view = new DataView(new ArrayBuffer(count * 4));
  for (let i = 0; i < count; i++) view.setFloat32(4 * i, fromFloat16(packed.getUint16(2 * i, true)), true);
  return encodeBytes(view);
}

// --- internal ---

function encodeExample(example: ExampleState): string {
  const { region } = example;
  const box =
    region === undefined
      ? ''
      : `${[region.left, region.top, region.right, region.bottom].map(round).join(',')};`;
  if (example.kind === 'id') return `${box}id:${example.id}`;
  if (example.kind === 'url') return `${box}url:${example.url}`;
  return `${box}up:${example.key}.${example.vector ?? ''}`;
}

function decodeExample(text: string, weight: 1 | -1): ExampleState | null {
  const match = /^(?:([\d.]+),([\d.]+),([\d.]+),([\d.]+);)?(id|url|up):(.+)$/s.exec(text);
  if (match === null) return null;
  const [left, top, right, bottom] = match.slice(1, 5).map(Number) as [number, number, number, number];
  const region: { region?: Region } =
    left < right && top < bottom && right <= 1 && bottom <= 1
      ? { region: { left, top, right, bottom, unit: 'fraction' } }
      : {};
  const value = match[6]!;
  if (match[5] === 'id') return { kind: 'id', id: value, weight, ...region };
  if (match[5] === 'url')
    return /^https?:\/\//.test(value) ? { kind: 'url', url: value, weight, ...region } : null;
  const [key = '', vector = ''] = value.split('.');
  if (!/^[\w-]*$/.test(key) || !/^[\w-]*$/.test(vector) || vector.length % 4 === 1) return null;
  return { kind: 'upload', key, weight, ...region, ...(vector === '' ? {} : { vector }) };
}

function addCondition(
  filters: Record<string, ColumnFilter>,
  kind: string,
  column: string,
  value: string,
): void {
  const before = filters[column] ?? EMPTY_FILTER;
  if (kind === 'is') filters[column] = { ...before, anyOf: [...before.anyOf, value] };
  else if (kind === 'not') filters[column] = { ...before, noneOf: [...before.noneOf, value] };
  else {
    const [from = '', to = ''] = value.split('..');
    const bounds = {
      ...(from !== '' && Number.isFinite(Number(from)) ? { from: Number(from) } : {}),
      ...(to !== '' && Number.isFinite(Number(to)) ? { to: Number(to) } : {}),
    };
    if (Object.keys(bounds).length > 0) filters[column] = { ...before, ...bounds };
  }
}

function decodeCamera(text: string | null): PageState['at'] {
  const numbers = (text ?? '').split(',').map(Number);
  const [x, y, zoom] = numbers as [number, number, number];
  const isPlace = numbers.length === 3 && x >= 0 && x <= 1 && y >= 0 && y <= 1 && zoom > 1 && zoom <= 1e6;
  return isPlace ? { x, y, zoom } : null;
}

function eightDigits(value: number): number {
  return Number(value.toPrecision(8));
}

function fraction(text: string | null, otherwise: number): number {
  const value = text === null || text.trim() === '' ? Number.NaN : Number(text);
  return value >= 0 && value <= 1 ? value : otherwise;
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}

function encodeBytes(view: DataView): string {
  let text = '';
  for (let i = 0; i < view.byteLength; i++) text += String.fromCharCode(view.getUint8(i));
  return btoa(text);
}

const scratch = new DataView(new ArrayBuffer(4));

/** IEEE 754 binary16, to nearest even; parts of unit vectors never reach its infinity. */
function toFloat16(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  const fractionBits = bits & 0x7fffff;
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent <= 0) {
    if (exponent < -10) return sign;
    const full = fractionBits | 0x800000;
    return sign | roundShift(full, 14 - exponent);
  }
  return sign | roundShift((exponent << 23) | fractionBits, 13);
}

function roundShift(bits: number, shift: number): number {
  const kept = bits >>> shift;
  const rest = bits & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0);
}

function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fractionBits = bits & 0x3ff;
  if (exponent === 0) return sign * fractionBits * 2 ** -24;
  if (exponent === 31) return fractionBits === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fractionBits / 1024) * 2 ** (exponent - 15);
}
