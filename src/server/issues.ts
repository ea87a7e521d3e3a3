/** What zod found wrong with a value, in words for whoever sent it: where, what is required, what came. */
import type { Problem } from './contract.js';

/** As much of a zod issue as is read here. */
export interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly code?: string | undefined;
  /** Of a union: the issues of each of its branches, with paths from the union on. */
  readonly errors?: readonly (readonly Issue[])[] | undefined;
}

/**
 * The issues as a problem's `errors`. Of a union that nothing fits, the branch that was clearly meant is told, where there
 * is one: the only one that has all the keys that were sent.
 * @param where what the paths begin with, e.g. `/body`.
 * @param maximum of errors. Default 20.
 */
export function issueErrors(
  where: string,
  issues: readonly Issue[],
  maximum = 20,
): NonNullable<Problem['errors']> {
  return issues
    .flatMap((issue) => nearestIssues(issue, 0))
    .slice(0, maximum)
    .map(({ path, message }) => ({
      path: [where, ...path.map(String)].join('/').slice(0, MAXIMUM_TEXT),
      message: inOurWords(message).slice(0, MAXIMUM_TEXT),
    }));
}

// --- internal ---

const MAXIMUM_TEXT = 1000;
const MAXIMUM_DEPTH = 8;

function nearestIssues(issue: Issue, depth: number): Issue[] {
  const meant = (issue.errors ?? []).filter((branch) => branch.every(({ path }) => path.length > 0));
  const [branch] = meant;
  if (meant.length !== 1 || branch === undefined || depth > MAXIMUM_DEPTH) return [issue];
  return branch
    .map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }))
    .flatMap((inner) => nearestIssues(inner, depth + 1));
}

function inOurWords(message: string): string {
  return message
    .replace(/^Invalid input: expected (\S+), received undefined$/, 'is required ($1)')
    .replace(/^Invalid input: expected (\S+), received (\S+)$/, 'must be of type $1, got $2')
    .replace(/^Too (?:small|big): expected \S+ to (be|have) /, 'must $1 ')
    .replace(/^Invalid option: expected one of /, 'must be one of ')
    .replace(/^Unrecognized key(s?): /, 'has no place for the key$1 ');
}
