/**
 * Arithmetic of dimensions. A size that is not known when the graph is built is a polynomial of named sizes with
 * integer coefficients, written as `49*N`, `N*M` or `N+4`: largest degree first, factors in alphabetical order. A name
 * that is no such polynomial stands for itself. Named sizes are 0 or more.
 */
import type { Dimension } from './ir.js';

/** `a + b` */
export function addDimensions(a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (a === 0) return b;
  if (b === 0) return a;
  const sum = new Map(parse(a));
  for (const [factors, coefficient] of parse(b)) accumulate(sum, factors, coefficient);
  return format(sum);
}

/** `a − b` */
export function subtractDimensions(a: Dimension, b: Dimension): Dimension {
  return addDimensions(a, multiplyDimensions(b, -1));
}

/** `a · b` */
export function multiplyDimensions(a: Dimension, b: Dimension): Dimension {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  if (a === 1) return b;
  if (b === 1) return a;
  const product: Polynomial = new Map();
  for (const [left, x] of parse(a)) {
    for (const [right, y] of parse(b)) accumulate(product, joined(left, right), x * y);
  }
  return format(product);
}

/** `a / b` where that is a polynomial with integer coefficients again, else `undefined`. */
export function divideDimensions(a: Dimension, b: Dimension): Dimension | undefined {
  if (b === 0) return undefined;
  if (b === 1) return a;
  if (typeof a === 'number' && typeof b === 'number') return a % b === 0 ? a / b : undefined;
  if (a === b) return 1;
  const numerator = parse(a);
  const denominator = parse(b);
  if (denominator.size !== 1) return proportion(numerator, denominator);
  const [[factors, divisor]] = denominator as unknown as [[string, number]];
  const quotient: Polynomial = new Map();
  for (const [term, coefficient] of numerator) {
    const rest = without(term, factors);
    if (rest === undefined || coefficient % divisor !== 0) return undefined;
    accumulate(quotient, rest, coefficient / divisor);
  }
  return format(quotient);
}

/** `a mod b` (of 0 or more) where names do not matter, else `undefined`. */
export function remainderOf(a: Dimension, b: number): number | undefined {
  const terms = new Map(parse(a));
  const offset = terms.get('') ?? 0;
  terms.delete('');
  if (b <= 0 || [...terms.values()].some((coefficient) => coefficient % b !== 0)) return undefined;
  return ((offset % b) + b) % b;
}

/** The product of all; 1 when there are none. */
export function productOf(dimensions: readonly Dimension[]): Dimension {
  return dimensions.reduce<Dimension>(multiplyDimensions, 1);
}

/** −1, 0 or 1 as `a` is certainly smaller than, equal to or larger than `b`; `undefined` when that depends on names. */
export function compareDimensions(a: Dimension, b: Dimension): -1 | 0 | 1 | undefined {
  if (typeof a === 'number' && typeof b === 'number') return a === b ? 0 : a < b ? -1 : 1;
  const difference = subtractDimensions(a, b);
  if (typeof difference === 'number') return Math.sign(difference) as -1 | 0 | 1;
  const terms = parse(difference);
  const offset = terms.get('') ?? 0;
  if (offset > 0 && [...terms.values()].every((coefficient) => coefficient > 0)) return 1;
  if (offset < 0 && [...terms.values()].every((coefficient) => coefficient < 0)) return -1;
  return undefined;
}

/** The dimension with names replaced by what `sizes` gives; names that it lacks stay. */
export function replaceNames(dimension: Dimension, sizes: ReadonlyMap<string, Dimension>): Dimension {
  if (typeof dimension === 'number') return dimension;
  const whole = sizes.get(dimension);
  if (whole !== undefined) return whole;
  let sum: Dimension = 0;
  for (const [factors, coefficient] of parse(dimension)) {
    const term = namesIn(factors).map((name) => sizes.get(name) ?? name);
    sum = addDimensions(sum, multiplyDimensions(coefficient, productOf(term)));
  }
  return sum;
}

/**
 * The number of elements of a slice of an axis of unknown size, or with unknown bounds, which are taken to lie inside;
 * `undefined` when steps are not 1.
 */
export function symbolicRange(
  size: Dimension,
  start: Dimension,
  end: Dimension,
  step: number,
): Dimension | undefined {
  if (step !== 1) return undefined;
  const fromFront = (bound: Dimension) =>
    compareDimensions(bound, 0) === -1 ? addDimensions(bound, size) : bound;
  const isToEnd = typeof end === 'number' && end >= 2 ** 31 - 1;
  const first = fromFront(start);
  return subtractDimensions(isToEnd ? size : fromFront(end), first);
}

// --- internal ---

/** Coefficients by the product of names that they belong to, such as `M*N`; the empty product is the constant term. */
type Polynomial = Map<string, number>;

const namesIn = (factors: string): string[] => (factors === '' ? [] : split(factors, '*'));
const joined = (a: string, b: string): string => [...namesIn(a), ...namesIn(b)].sort().join('*');

function accumulate(polynomial: Polynomial, factors: string, coefficient: number): void {
  const total = (polynomial.get(factors) ?? 0) + coefficient;
  if (total === 0) polynomial.delete(factors);
  else polynomial.set(factors, total);
}

/** The factors of `term` without those of `divisor`, or `undefined` when it has not all of them. */
function without(term: string, divisor: string): string | undefined {
  const rest = namesIn(term);
  for (const name of namesIn(divisor)) {
    const place = rest.indexOf(name);
    if (place < 0) return undefined;
    rest.splice(place, 1);
  }
  return rest.join('*');
}

/** The integer that the denominator must be multiplied with, if there is one. */
function proportion(numerator: Polynomial, denominator: Polynomial): number | undefined {
  let ratio: number | undefined;
  if (numerator.size !== denominator.size) return undefined;
  for (const [factors, coefficient] of denominator) {
    const here = (numerator.get(factors) ?? 0) / coefficient;
    if (here === 0 || !Number.isInteger(here) || (ratio !== undefined && ratio !== here)) return undefined;
    ratio = here;
  }
  return ratio;
}

function format(polynomial: Polynomial): Dimension {
  const terms = [...polynomial].sort(
    ([a], [b]) => namesIn(b).length - namesIn(a).length || (a < b ? -1 : a > b ? 1 : 0),
  );
  if (terms.length === 0) return 0;
  if (terms.length === 1 && terms[0]?.[0] === '') return terms[0][1];
  return terms
    .map(([factors, coefficient], i) => {
      const size = Math.abs(coefficient);
      const text = factors === '' ? String(size) : size === 1 ? factors : `${size}*${factors}`;
      return coefficient < 0 ? `-${text}` : i === 0 ? text : `+${text}`;
    })
    .join('');
}

function parse(dimension: Dimension): Polynomial {
  if (typeof dimension === 'number') return new Map(dimension === 0 ? [] : [['', dimension]]);
  const polynomial: Polynomial = new Map();
  for (const [sign, term] of termsOf(dimension)) {
    const names: string[] = [];
    let coefficient = sign;
    for (const factor of split(term, '*')) {
      if (factor === '') return new Map([[`(${dimension})`, 1]]); // no polynomial: a name of its own
      if (/^\d+$/.test(factor)) coefficient *= Number(factor);
      else names.push(factor);
    }
    accumulate(polynomial, names.sort().join('*'), coefficient);
  }
  return polynomial;
}

/** What is added and subtracted, outside parentheses, with its sign. */
function termsOf(text: string): [number, string][] {
  return split(text.startsWith('-') ? text : `+${text}`, '+', '-')
    .slice(1)
    .map((part) => [part.startsWith('-') ? -1 : 1, part.slice(1)]);
}

/**
 * The parts between separators that are not inside parentheses. With `second`, parts end before either and begin with
 * the one that they follow.
 */
function split(text: string, separator: string, second?: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = '';
  for (const character of text) {
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (depth === 0 && (character === separator || character === second)) {
      parts.push(part.trim());
      part = second === undefined ? '' : character;
    } else part += character;
  }
  return [...parts, part.trim()];
}
