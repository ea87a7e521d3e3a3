/**
 * Validation identities. Public datasets have a training and a test part; choices need a third, and it must be made of
 * items that are not trained on. Whole families of items (look-alike classes, or the item itself) go to validation, in
 * the order of a hash: the same on every machine. Training and validation together are the official training part.
 */
import { sha256 } from '../../util/index.js';

/**
 * Chooses families for validation until their share of the items is reached; a family that would overshoot is passed
 * over, and the smallest is taken where all would.
 * @param familyOf family of each training item
 * @param share of the items, 0 to 0.9. 0 chooses none.
 * @param salt names the dataset, so that two of them are not split alike
 * @returns the chosen families; at least one family is left to train on
 */
export function chooseValidationFamilies(
  familyOf: ReadonlyMap<string, string>,
  share: number,
  salt: string,
): ReadonlySet<string> {
  const sizes = new Map<string, number>();
  for (const family of familyOf.values()) sizes.set(family, (sizes.get(family) ?? 0) + 1);
  const chosen = new Set<string>();
  if (share <= 0 || sizes.size < 2) return chosen;
  const target = share * familyOf.size;
  const order = [...sizes]
    .map(([family, size]) => ({ family, size, hash: sha256(`semblance-validation:${salt}:${family}`) }))
    .sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0));
  let items = 0;
  for (const { family, size } of order) {
    if (chosen.size === sizes.size - 1) break;
    if (items + size > target + 0.5) continue;
    chosen.add(family);
    items += size;
  }
  if (chosen.size === 0) chosen.add(order.reduce((a, b) => (b.size < a.size ? b : a)).family);
  return chosen;
}
