/**
 * How alike the attributes of two pictures are: values they share over all values of either (Jaccard), over the
 * attributes that both know. Of one picture with all the others at once, by the lists of who has which value.
 */
import { ShapeError } from '../util/index.js';

/** The attributes of a picture by name, each the list of its values; an empty list is unknown. */
export type AttributeSet = Readonly<Record<string, readonly string[]>>;

/** What one row has in common with every row. */
export interface AttributeAgreement {
  /**
   * Writes the Jaccard similarity of row `query` with each row into `into` [N]; NaN where the two have no value to
   * compare (no attribute that both know).
   */
  of(query: number, into: Float64Array): void;
}

/**
 * Prepares the comparison of N rows.
 * @param known [N] by attribute name: an attribute may be known and still have no value (`values` empty) when the
 *   row's values are not among those that count. Default: known where there is a value.
 */
export function attributeAgreement(
  attributes: readonly AttributeSet[],
  known?: readonly Readonly<Record<string, boolean>>[],
): AttributeAgreement {
  const rows = attributes.length;
  if (known !== undefined && known.length !== rows)
    throw new ShapeError(`attributeAgreement: known must be of N = ${rows} rows, got ${known.length}.`);
  const names = [...new Set(attributes.flatMap((row) => Object.keys(row)))];
  const holders: number[][] = []; // by value: the rows that have it
  const codes = new Map<string, number>();
  const valuesOf: number[][] = Array.from({ length: rows }, () => []);
  // By attribute: how many values each row has; −1 is unknown.
  const sizes = names.map((name) =>
    Int32Array.from(attributes, (row, n) => {
      const values = new Set(row[name] ?? []);
      for (const value of values) {
        const key = `${name}\u0000${value}`;
        let code = codes.get(key);
        if (code === undefined) {
          code = holders.length;
          codes.set(key, code);
          holders.push([]);
        }
        holders[code]!.push(n);
        valuesOf[n]!.push(code);
      }
      const isKnown = values.size > 0 || known?.[n]?.[name] === true;
      return isKnown ? values.size : -1;
    }),
  );
  const common = new Int32Array(rows);
  const all = new Int32Array(rows);
  return {
    of(query, into) {
      common.fill(0);
      all.fill(0);
      for (const value of valuesOf[query]!) for (const row of holders[value]!) common[row]!++;
      for (const size of sizes) {
        const own = size[query]!;
        if (own < 0) continue;
        for (let row = 0; row < rows; row++) if (size[row]! >= 0) all[row]! += own + size[row]!;
      }
      for (let row = 0; row < rows; row++) {
        const union = all[row]! - common[row]!;
        into[row] = union === 0 ? Number.NaN : common[row]! / union;
      }
    },
  };
}
