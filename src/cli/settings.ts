/** Settings of a training as they are written, before defaults: recipes by name, `path=value` pairs, one over another. */
import { emojiRecipe } from '../training/index.js';
import { CliError } from '../util/index.js';

const RECIPES: Readonly<Record<string, unknown>> = { emoji: emojiRecipe };

/** Values of `train --recipe`. */
export const RECIPE_NAMES: readonly string[] = Object.keys(RECIPES);

/**
 * The settings of a recipe.
 * @param where what the name was given to, for the error.
 * @throws CliError for a name that is none.
 */
export function recipeSettings(where: string, name: string): Record<string, unknown> {
  if (!Object.hasOwn(RECIPES, name)) {
    throw new CliError(`${where}: must be one of ${RECIPE_NAMES.join(', ')}, got '${name}'`);
  }
  return RECIPES[name] as Record<string, unknown>;
}

/**
 * Reads `a.b=value` pairs into nested settings; values are JSON where they parse, text otherwise.
 * @throws CliError when there is no `=`.
 */
export function parseSettings(pairs: readonly string[]): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw new CliError(`train --set: must be path=value, got '${pair}'`);
    const path = pair.slice(0, at).split('.');
    const text = pair.slice(at + 1);
    let value: unknown = text;
    try {
      value = JSON.parse(text);
    } catch {
      // not JSON: the text itself
    }
    const nested = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
    Object.assign(settings, merge(settings, nested as Record<string, unknown>));
  }
  return settings;
}

/** `over` on top of `base`; objects are merged, all else is replaced, and a new `kind` replaces the whole object. */
export function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const result = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const before = result.get(key);
    const isOtherKind =
      isRecord(before) && isRecord(value) && value.kind !== undefined && value.kind !== before.kind;
    result.set(key, isRecord(before) && isRecord(value) && !isOtherKind ? merge(before, value) : value);
  }
  return Object.fromEntries(result);
}

/** Keys with dots become nested objects: `{ 'loss.margin': 1 }` → `{ loss: { margin: 1 } }`; later ones win. */
export function expandPaths(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  let result: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(settings)) {
    const inner = isRecord(value) ? expandPaths(value) : value;
    const nested = path.split('.').reduceRight<unknown>((within, key) => ({ [key]: within }), inner);
    result = merge(result, nested as Record<string, unknown>);
  }
  return result;
}

/** Whether a value is an object with keys. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
