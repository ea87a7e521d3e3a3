/**
 * Writes the list of operators in docs/fine-tuning.md from the table in src/graph: `npx tsx scripts/document-operators.ts`.
 * A test fails when the list is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { operators } from '../src/graph/index.js';
import { gradientRule } from '../src/models/index.js';

export const DOCUMENT = new URL('../docs/fine-tuning.md', import.meta.url);

/** The document with the list between its two markers as the table has it. */
export function withOperatorList(document: string): string {
  const names = Object.keys(operators).sort();
  const listed = (rule: string) =>
    names
      .filter((name) => gradientRule(name) === rule)
      .map((name) => `\`${name}\``)
      .join(', ') || 'none';
  const list = [
    `**With a gradient rule:** ${listed('rule')}.`,
    `**Whose gradient is zero** (comparisons, shapes, choices of an index): ${listed('zero')}.`,
    `**Run, but without a rule:** ${listed('none')}.`,
  ].join('\n\n');
  const [before, after] = [document.split(START)[0], document.split(END)[1]];
  if (before === undefined || after === undefined || !document.includes(START)) {
    throw new Error(`docs/fine-tuning.md: must hold ${START} and ${END}`);
  }
  return `${before}${START}\n\n${list}\n\n${END}${after}`;
}

// --- internal ---

const START = '<!-- operators: written by scripts/document-operators.ts -->';
const END = '<!-- end of operators -->';

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(DOCUMENT, withOperatorList(readFileSync(DOCUMENT, 'utf8')));
}
