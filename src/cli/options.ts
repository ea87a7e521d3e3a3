/** Parsers of option values that several commands share. */
import { InvalidArgumentError } from 'commander';

/** @throws InvalidArgumentError, which commander prints with the option's name */
export function positiveInteger(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) {
    throw new InvalidArgumentError('It must be a whole number from 1 on.');
  }
  return number;
}

/** @throws InvalidArgumentError, which commander prints with the option's name */
export function nonNegativeInteger(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0 || text.trim() === '') {
    throw new InvalidArgumentError('It must be a whole number from 0 on.');
  }
  return number;
}
