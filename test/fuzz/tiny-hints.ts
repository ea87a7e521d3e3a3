/** Values of the tiny catalogue that get a made-up request further than its schema. */
import { readFile } from 'node:fs/promises';
import type { SearchResponse } from '../../src/server/index.js';
import type { TinyCatalog } from '../support/tiny-catalog.js';
import type { Hints } from './from-schema.js';

export async function tinyHints(
  baseUrl: string,
  { rows }: TinyCatalog,
): Promise<{ hints: Hints; pictures: readonly Uint8Array[] }> {
  const ids = rows.map(({ relativePath }) => relativePath);
  const pictures = await Promise.all(rows.slice(0, 3).map(({ path }) => readFile(path)));
  const first = await fetch(`${baseUrl}/v1/search`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ examples: [{ id: ids[0] }], limit: 1 }),
  });
  const { vectors, cursor } = (await first.json()) as SearchResponse;
  const said = await fetch(`${baseUrl}/v1/feedback`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ example: { id: ids[1] }, id: ids[0], verdict: 'up' }),
  });
  const { key } = (await said.json()) as { key: string };
  const own = ['fuzz/a', 'fuzz/ä b', 'fuzz/c'];
  return {
    pictures,
    hints: {
      examples: [[{ id: ids[0] }], [{ vector: vectors[0] }], [{ picture: pictures[0]?.toString('base64') }]],
      example: [{ id: ids[1] }, { id: ids[2], region: REGION }, { picture: pictures[1]?.toString('base64') }],
      region: [REGION],
      id: [...ids.slice(0, 8), ...own],
      put: own,
      patch: [...own, 'none'],
      delete: [...own, 'none'],
      column: ['hue', 'tags', 'price', 'item_id', 'source'],
      columns: [['hue'], ['tags', 'source'], []],
      facets: [['hue'], ['tags', 'price'], []],
      anyOf: [['red'], ['red', 'blue'], ['none']],
      noneOf: [['red'], ['bright']],
      attribute: ['hue', 'tags'],
      value: ['red', 'green', 'bright', 'warm'],
      attributes: [{ hue: ['red'] }, { tags: ['bright', 'warm'] }, {}, { price: ['7'] }],
      picture: pictures.map((bytes) => bytes.toString('base64')),
      vector: vectors,
      cursor: cursor === null ? [] : [cursor],
      granularity: ['0', '0.5', 'look', 'category'],
      key: [key],
    },
  };
}

// --- internal ---

const REGION = { left: 0.1, top: 0.2, right: 0.8, bottom: 1 };
