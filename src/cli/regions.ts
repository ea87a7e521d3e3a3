/** Boxes and granularities on the command line, where several commands have them. */
import { InvalidArgumentError } from 'commander';
import { parseRegion, type Region } from '../data/index.js';
import { GRANULARITY_NAMES, parseGranularity } from '../granularity/index.js';
import { errorMessage } from '../util/index.js';

/** The help of an option that takes a box. */
export const BOX_HELP = 'left,top,right,bottom in pixels (10,20,200,180) or per cent (10%,20%,80%,90%)';

/** @throws InvalidArgumentError, which commander prints with the option's name */
export function boxOption(text: string): Region {
  return inOption(() => parseRegion(text));
}

/** The help of an option that takes a granularity. */
export const GRANULARITY_HELP = `how alike: ${Object.entries(GRANULARITY_NAMES)
  .map(([name, gamma]) => `${name} (${gamma})`)
  .join(', ')}, or a number between`;

/** @throws InvalidArgumentError, which commander prints with the option's name */
export function granularityOption(text: string): number {
  return inOption(() => parseGranularity(text));
}

// --- internal ---

function inOption<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InvalidArgumentError(errorMessage(error));
  }
}
