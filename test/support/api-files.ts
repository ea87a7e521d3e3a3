/** The files that are made of the server's routes, as they should be: path from the root → text. */
import openapiTypescript, { COMMENT_HEADER, type OpenAPI3 } from 'openapi-typescript';
import { openTinyServer } from './tiny-server.js';

export async function apiFiles(): Promise<Record<'docs/openapi.json' | 'src/client/schema.ts', string>> {
  const tiny = await openTinyServer();
  try {
    const document = (await tiny.server.inject('/openapi.json')).json() as OpenAPI3;
    const types = await openapiTypescript(document, { alphabetize: true });
    return {
      'docs/openapi.json': `${JSON.stringify(document, null, 2)}\n`,
      'src/client/schema.ts': types.startsWith(COMMENT_HEADER) ? types : `${COMMENT_HEADER}${types}`,
    };
  } finally {
    await tiny.close();
  }
}
