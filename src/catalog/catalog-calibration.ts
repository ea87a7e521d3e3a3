/**
 * What a catalogue knows of how sure its hits are: the calibration of the model that made its vectors, and how often two
 * of its own pictures agree at each level. Without labels of a level its rate is null, and the fit's own rate counts.
 */
import { z } from 'zod';
import type { Bundle } from '../bundle/index.js';
import { agreementRates, type Calibration, calibrationFormat, type Schema } from '../granularity/index.js';
import type { VectorStore } from './store.js';

/** A model's calibration in a catalogue; `rates` [L] as in `CalibrationContext`. */
export type CatalogCalibration = Calibration & { readonly rates: readonly (number | null)[] };

/** Checks and reads what `catalog.json` holds of it. */
export const catalogCalibrationFormat: z.ZodType<CatalogCalibration> = z.intersection(
  calibrationFormat,
  z.object({ rates: z.array(z.number().gt(0).lt(1).nullable()) }),
);

/**
 * The calibration of a catalogue whose records are as they are now.
 * @returns `undefined` where the model has none.
 */
export async function calibrationOf(
  store: VectorStore,
  { card }: Pick<Bundle, 'card'>,
): Promise<CatalogCalibration | undefined> {
  const { calibration, schema } = card;
  if (calibration === undefined) return undefined;
  return { levels: calibration.levels, rates: await catalogRates(store, schema) };
}

/**
 * How often two of a catalogue's pictures agree at each level (`agreementRates`); two of one source are no pair.
 * @returns [L]; null where the catalogue has no labels of a level that say so.
 */
export async function catalogRates(store: VectorStore, schema: Schema): Promise<(number | null)[]> {
  const { levels } = schema;
  const columns = [...levels, 'source', 'source_group'].filter((name) => store.columns.includes(name));
  const labels: string[][] = levels.map(() => []);
  const groups: (string | undefined)[] = [];
  for await (const records of store.scan({ columns, vectors: false }))
    for (const { fields } of records) {
      levels.forEach((name, level) => {
        const values = fields[name] ?? [];
        labels[level]!.push(values.length === 1 ? (values[0] as string) : '');
      });
      groups.push(fields.source_group?.[0] ?? fields.source?.[0]);
    }
  return agreementRates({ labels, groups });
}
