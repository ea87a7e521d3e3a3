/** Parsers of option values that several commands share. */
import { InvalidArgumentError } from 'commander';

/**
 * A parser of whole numbers from `minimum` to `maximum`, both included.
 * @returns the parser. It throws InvalidArgumentError, which commander prints with the option's name; exit code 2.
 */
export function wholeNumber(
  minimum: number,
  maximum: number = Number.POSITIVE_INFINITY,
): (text: string) => number {
  return (text) => {
    const number = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isSafeInteger(number) || number < minimum || number > maximum) {
      const range = maximum === Number.POSITIVE_INFINITY ? `${minimum} on` : `${minimum} to ${maximum}`;
      throw new InvalidArgumentError(`It must be a whole number from ${range}.`);
    }
    return number;
  };
}

/** Whole numbers from 1 on. @throws InvalidArgumentError, as `wholeNumber`'s parsers */
export const positiveInteger = wholeNumber(1);

/** Whole numbers from 0 on. @throws InvalidArgumentError, as `wholeNumber`'s parsers */
export const nonNegativeInteger = wholeNumber(0);

/** Gathers the values of an option that may be given several times, in their order. */
export function repeated(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
