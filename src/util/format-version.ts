/** Files that later versions of semblance may write otherwise say of which format they are, as a number from 1. */
import { DataError } from './errors.js';

/** A file of a format that this semblance does not know: nothing is broken, and nothing is to be mended. */
export class NewerFormatError extends DataError {}

/**
 * Refuses a file that this semblance is too old for. What is no number is left to whoever reads the rest.
 * @param what of which kind the file is, e.g. `the catalogue`
 * @param known the newest format that is read
 * @throws NewerFormatError
 */
export function refuseNewerFormat(version: unknown, what: string, known: number, file: string): void {
  if (typeof version === 'number' && version > known)
    throw new NewerFormatError(
      `${what} was written by a newer semblance: format ${version}, and this one reads up to ${known}. Update semblance`,
      { file },
    );
}
