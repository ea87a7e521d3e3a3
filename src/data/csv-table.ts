/**
 * A CSV table with a header: trimmed column names that are there and differ, rows as wide as the header, each with its line
 * in the file. Quoting, byte order marks and blank lines are the library's.
 */
import { CsvError, parse } from 'csv-parse/sync';
import { DataError, errorMessage } from '../util/index.js';

export interface CsvTable {
  readonly columns: readonly string[];
  /** `line` is where a record ends, from 1. */
  readonly records: readonly { readonly cells: readonly string[]; readonly line: number }[];
}

/**
 * @param text the whole file
 * @param names.file what errors name as the place
 * @param names.what what errors call the table, e.g. `manifest`
 * @param names.isPlural whether that is many, as `labels` are. Default false.
 * @throws DataError with file and line.
 */
export function parseCsvTable(
  text: string,
  { file, what, isPlural = false }: { file: string; what: string; isPlural?: boolean },
): CsvTable {
  let parsed: { record: string[]; info: { lines: number } }[];
  try {
    parsed = parse(text, {
      bom: true,
      info: true,
      skip_empty_lines: true,
      relax_column_count: true,
    }) as unknown as typeof parsed;
  } catch (error) {
    const lines = error instanceof CsvError ? error.lines : undefined;
    throw new DataError(`${what} ${isPlural ? 'are' : 'is'} not valid CSV: ${errorMessage(error)}`, {
      file,
      ...(typeof lines === 'number' ? { line: lines } : {}),
      cause: error,
    });
  }
  const [header, ...rows] = parsed;
  if (header === undefined)
    throw new DataError(`${what}: a header line is required, got an empty file`, { file });
  const columns = header.record.map((name) => name.trim());
  for (const [index, name] of columns.entries()) {
    if (name !== '' && columns.indexOf(name) === index) continue;
    const problem = name === '' ? `column ${index + 1} has no name` : `column '${name}' occurs twice`;
    throw new DataError(`${what}: every column needs a name of its own, but ${problem}`, { file, line: 1 });
  }
  const records = rows.map(({ record, info }) => {
    if (record.length !== columns.length)
      throw new DataError(
        `${what}: a row must have ${columns.length} cells like the header, got ${record.length}. ` +
          'Put values that contain a comma in double quotes',
        { file, line: info.lines },
      );
    return { cells: record, line: info.lines };
  });
  return { columns, records };
}
