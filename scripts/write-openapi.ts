// Writes docs/openapi.json and src/client/schema.ts, the client's types, from the routes of a server on a small catalogue.
// Run it when a route or a schema has changed: npx tsx scripts/write-openapi.ts. A test compares both with the server.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { apiFiles } from '../test/support/api-files.js';

const root = join(import.meta.dirname, '..');
for (const [path, text] of Object.entries(await apiFiles())) await writeFile(join(root, path), text);
