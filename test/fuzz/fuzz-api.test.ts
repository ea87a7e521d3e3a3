import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTinyServer, type TinyServer } from '../support/tiny-server.js';
import { describeFailure, fuzzApi } from './fuzz-api.js';
import { tinyHints } from './tiny-hints.js';

let tiny: TinyServer;
let baseUrl = '';
beforeAll(async () => {
  tiny = await openTinyServer();
  baseUrl = await tiny.server.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(() => tiny.close());

// `npm run fuzz:api` sends thousands, to a server in a process of its own.
it('500 requests, valid and malformed: no 5xx, every error a problem, every success as documented', async () => {
  const hints = await tinyHints(baseUrl, tiny);
  // Under load a test may wait long for the processor; the script holds the server to five seconds.
  const result = await fuzzApi({ baseUrl, ...hints, cases: 500, seed: 20_261_128, limitMs: 20_000 });
  expect(result.failures.map(describeFailure)).toEqual([]);
  // The valid ones do get through, or nothing behind the schemas would be tried.
  const [succeeded, of] = result.valid['POST /v1/search'] ?? [0, 0];
  expect(of).toBeGreaterThan(0);
  expect(succeeded).toBeGreaterThan(0);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
});
