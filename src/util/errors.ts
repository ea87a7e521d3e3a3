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

/** Why a disk does not take what is written. */
export type StorageFault = 'full' | 'read-only' | 'not-permitted' | 'other';

/**
 * What an error of the file system, or of LanceDB's own file access, says of the disk.
 * @returns `reason`: its message, without the traces of LanceDB
 */
export function storageFault(error: unknown): { readonly fault: StorageFault; readonly reason: string } {
  const message = errorMessage(error);
  for (let at = error; at instanceof Error; at = at.cause) {
    const fault = FAULTS[(at as NodeJS.ErrnoException).code ?? ''];
    if (fault !== undefined) return { fault, reason: message };
  }
  for (const [pattern, fault, reason] of NATIVE_FAULTS) if (pattern.test(message)) return { fault, reason };
  return { fault: 'other', reason: message };
}

/** A file that cannot be written. What stood there before stays. */
export class StorageError extends DataError {
  readonly fault: StorageFault;

  /** @param what goes before "cannot be written", e.g. `the store`. Default: nothing. */
  constructor(cause: unknown, { file, what = '' }: { file: string; what?: string }) {
    const { fault, reason } = storageFault(cause);
    super(`${what === '' ? '' : `${what} `}cannot be written: ${reason}`, { file, cause });
    this.fault = fault;
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

// --- internal ---

const FAULTS: Readonly<Record<string, StorageFault>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EROFS: 'read-only',
  EACCES: 'not-permitted',
  EPERM: 'not-permitted',
};

/** How LanceDB ends the message of an error of the system; the numbers are those of Linux and macOS. */
const NATIVE_FAULTS: readonly (readonly [RegExp, StorageFault, string])[] = [
  [/\(os error 28\)/, 'full', 'ENOSPC: no space left on device'],
  [/\(os error (122|69)\)/, 'full', 'EDQUOT: disk quota exceeded'],
  [/\(os error 30\)/, 'read-only', 'EROFS: read-only file system'],
  [/\(os error 13\)/, 'not-permitted', 'EACCES: permission denied'],
];
