/**
 * The few error classes of the project. A message reads
 * `<where>: <requirement>, got <value>. <what to do>` and stands on one line: the command line prints it as it is.
 */

/** A shape or element type that does not fit, found when a graph is built. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

/** A graph that cannot be built, differentiated, verified, read or written. */
export class GraphError extends Error {
  override readonly name = 'GraphError';
}

/** Bad input data. `file` and `line` (1-based), where known, are put in front of the message. */
export class DataError extends Error {
  override readonly name = 'DataError';
  readonly file: string | undefined;
  readonly line: number | undefined;

  constructor(message: string, where: { file?: string; line?: number; cause?: unknown } = {}) {
    const place =
      where.file === undefined ? '' : `${where.file}${where.line === undefined ? '' : `:${where.line}`}: `;
    super(place + message, where.cause === undefined ? undefined : { cause: where.cause });
    this.file = where.file;
    this.line = where.line;
  }
}

/** A training run that cannot go on, e.g. a loss that is not finite. What was saved before stays usable. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
}

/** Wrong usage of the command line; exit code 2. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

/** The message of anything that was thrown, on one line. */
export function errorMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // Not by a pattern such as \s*\n\s*, which takes seconds for a message with many spaces.
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');
}
