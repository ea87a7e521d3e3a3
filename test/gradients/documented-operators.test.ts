/** The list of operators that users read is that of the table. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { DOCUMENT, withOperatorList } from '../../scripts/document-operators.js';

it('docs/fine-tuning.md lists the operators (else: npx tsx scripts/document-operators.ts)', () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  expect(document).toBe(withOperatorList(document));
});
