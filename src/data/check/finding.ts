/** What a check of a manifest finds. Errors make figures wrong or rows useless; warnings deserve a look. */
import type { Split } from '../manifest.js';

/** Every kind of finding and how grave it is. A total table: a kind that is forgotten is a compile error. */
export const FINDING_SEVERITIES = {
  'missing-picture': 'error',
  'unreadable-picture': 'error',
  'item-trained-and-judged': 'error',
  'picture-trained-and-judged': 'error',
  'item-trained-and-validated': 'error',
  'picture-trained-and-validated': 'warning',
  'picture-of-several-items': 'warning',
  'repeated-picture': 'warning',
  'query-without-match': 'warning',
  'no-judged-pictures': 'warning',
  'no-validation': 'warning',
  'training-singleton': 'warning',
  'tiny-picture': 'warning',
  'empty-attribute': 'warning',
  'constant-attribute': 'warning',
  'dominated-attribute': 'warning',
  'rare-values': 'warning',
  'unlearnt-values': 'warning',
  'unsteady-attribute': 'warning',
  'one-source': 'warning',
  'missing-source': 'warning',
} as const satisfies Record<string, 'error' | 'warning'>;

export type FindingKind = keyof typeof FINDING_SEVERITIES;

export interface Finding {
  readonly kind: FindingKind;
  readonly severity: 'error' | 'warning';
  readonly count: number;
  /** A sentence in plain words, with its numbers. */
  readonly message: string;
  /** What to do about it. */
  readonly advice: string;
  /** The first few, each on one line. */
  readonly examples: readonly string[];
}

/** How many examples a finding keeps. */
export const EXAMPLES = 5;

/** Makes a finding; `undefined` when the count is 0. */
export function finding(
  kind: FindingKind,
  count: number,
  message: string,
  advice: string,
  examples: readonly string[] = [],
): Finding | undefined {
  if (count === 0) return undefined;
  return {
    kind,
    severity: FINDING_SEVERITIES[kind],
    count,
    message,
    advice,
    examples: examples.slice(0, EXAMPLES),
  };
}

/** What a split is for: validation counts as neither trained on nor judged. */
export function roleOf(split: Split): 'trained' | 'validated' | 'judged' {
  return split === 'train' ? 'trained' : split === 'val' ? 'validated' : 'judged';
}
