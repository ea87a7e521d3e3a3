/** The splits that commands choose pictures by. */
import type { ManifestRow, Split } from '../data/index.js';
import { CliError, DataError } from '../util/index.js';

/** What a name on the command line keeps: queries and gallery are test pictures, and `test` pictures are both. */
const SPLITS_OF = {
  all: ['train', 'val', 'query', 'gallery', 'test'],
  test: ['query', 'gallery', 'test'],
  gallery: ['gallery', 'test'],
  query: ['query', 'test'],
  train: ['train'],
  val: ['val'],
} as const satisfies Record<string, readonly Split[]>;

/** A value of `--split`. */
export type SplitChoice = keyof typeof SPLITS_OF;

/** Those of `index`. */
export const SPLIT_CHOICES = Object.keys(SPLITS_OF) as readonly SplitChoice[];

/** Those of `evaluate`: each has queries and a gallery. */
export const JUDGED_SPLITS: readonly SplitChoice[] = ['test', 'val', 'train'];

/**
 * A parser of `--split`.
 * @returns the parser; it throws CliError for what is none of the choices.
 */
export function splitChoice(choices: readonly SplitChoice[]): (text: string) => SplitChoice {
  return (text) => {
    const choice = choices.find((name) => name === text);
    if (choice !== undefined) return choice;
    throw new CliError(`--split: must be one of ${choices.join(', ')}, got '${text}'`);
  };
}

/**
 * The rows of a manifest that a value of `--split` keeps.
 * @param file the manifest, named in the error.
 * @throws DataError when no row is left.
 */
export function rowsOfSplit(rows: readonly ManifestRow[], split: SplitChoice, file?: string): ManifestRow[] {
  const wanted: readonly Split[] = SPLITS_OF[split];
  const found = rows.filter((row) => wanted.includes(row.split));
  if (found.length > 0) return found;
  const present = [...new Set(rows.map((row) => row.split))].sort();
  throw new DataError(
    `no picture is in the split '${split}', only in ${present.join(', ')}. Choose another --split`,
    file === undefined ? {} : { file },
  );
}
