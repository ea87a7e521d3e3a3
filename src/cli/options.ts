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

/** As `repeated`, of values that `parse` checks. */
export function repeatedAs(
  parse: (text: string) => string,
): (text: string, before?: readonly string[]) => readonly string[] {
  return (text, before = []) => [...before, parse(text)];
}

/**
 * The origin of pages, as browsers write it: `https://shop.example`, with the port where it is not the usual one.
 * @throws InvalidArgumentError, as `wholeNumber`'s parsers
 */
export function origin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || `${url.origin}/` !== url.href)
    throw new InvalidArgumentError(
      'It must be an origin such as https://shop.example, one of its own each time.',
    );
  return url.origin;
}

/**
 * The name of a host, in lower case.
 * @throws InvalidArgumentError, as `wholeNumber`'s parsers
 */
export function hostName(text: string): string {
  const name = text.toLowerCase();
  const url = URL.canParse(`http://${name}`) ? new URL(`http://${name}`) : undefined;
  if (name === '' || url?.hostname !== name)
    throw new InvalidArgumentError(
      'It must be a name such as images.example.com, without scheme, port and path.',
    );
  return name;
}
