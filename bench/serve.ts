/**
 * A whole search request with a JPEG, over a socket, beside the model's own time for one picture that is decoded already: in
 * turns, on a catalogue that made vectors fill up. What is beyond the model's time is upload, decoding, the search in the
 * store, and the answer.
 * Run: `npx tsx bench/serve.ts --catalog runs/demo/catalog [--pictures 100000] [--requests 200]`
 */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { decodePixels } from '../src/bundle/embedder.js';
import { LiveCatalog, type StoredRecord } from '../src/catalog/index.js';
import { buildServer } from '../src/server/index.js';
import { Random } from '../src/util/index.js';
import { milliseconds, quantileText } from './support/times.js';

const { values } = parseArgs({
  options: {
    catalog: { type: 'string', default: 'runs/demo/catalog' },
    pictures: { type: 'string', default: '100000' },
    requests: { type: 'string', default: '200' },
  },
});
const [pictures, requests] = [Number(values.pictures), Number(values.requests)];
const CHUNK = 10_000;

const root = await mkdtemp(join(tmpdir(), 'semblance-bench-serve-'));
await cp(values.catalog, root, { recursive: true });
const live = await LiveCatalog.open(root, { pollMs: 0 });
const { catalog, embedder } = live.current;
const own: StoredRecord[] = [];
for await (const batch of catalog.store.scan({ vectors: true })) own.push(...batch);
for (let start = own.length; start < pictures; start += CHUNK)
  await catalog.store.upsert(
    Array.from({ length: Math.min(CHUNK, pictures - start) }, (_, n) => made(start + n)),
  );
await live.warm();
const server = await buildServer({ catalog: live });
const url = `${await server.listen({ port: 0, host: '127.0.0.1' })}/v1/search`;

const picture = await photo();
const pixels = await decodePixels(picture, embedder.bundle.preprocessing);
const times = {
  request: [] as number[],
  model: [] as number[],
  beyond: [] as number[],
  search: [] as number[],
};
for (let n = -20; n < requests; n++) {
  const form = new FormData();
  form.append('picture', new Blob([new Uint8Array(picture)]));
  form.append(
    'request',
    JSON.stringify({ examples: [{ upload: true }], granularity: (n + 20) / (requests + 20) }),
  );
  const request = await milliseconds(async () => {
    const answer = await fetch(url, { method: 'POST', body: form });
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as { timing: { searchMs: number } };
  });
  const model = await milliseconds(() => embedder.embedPixels(pixels, 1));
  if (n < 0) continue;
  times.request.push(request.ms);
  times.model.push(model.ms);
  times.beyond.push(request.ms - model.ms);
  times.search.push(request.result.timing.searchMs);
}
console.log(
  `${await catalog.store.count()} pictures × ${catalog.layout.size}, ${requests} requests with a JPEG of ` +
    `${Math.round(picture.length / 1000)} kB, the model at ${embedder.bundle.preprocessing.size} pixels; ms`,
);
console.log('| | p50 | p99 |\n|---|---|---|');
for (const [name, of] of Object.entries(times))
  console.log(`| ${name} | ${quantileText(of, 0.5)} | ${quantileText(of, 0.99)} |`);
await server.close();
await live.close();
await rm(root, { recursive: true, force: true });

/** A record between two of the catalogue's own, part by part, with noise. */
function made(index: number): StoredRecord {
  const random = Random.from(1, index);
  const [a, b] = [own[random.integer(own.length)], own[random.integer(own.length)]] as [
    StoredRecord,
    StoredRecord,
  ];
  const vector = Float32Array.from(a.vector, (x, i) => x + 0.3 * (b.vector[i] ?? 0) + 0.02 * random.normal());
  for (const { offset, size } of catalog.layout.parts) {
    const part = vector.subarray(offset, offset + size);
    const norm = Math.hypot(...part) || 1;
    for (let i = 0; i < part.length; i++) part[i] = (part[i] ?? 0) / norm;
  }
  return { ...a, id: `made/${index}`, vector };
}

/** A JPEG as a telephone's browser sends it after scaling: 1024 × 768 with the noise of a camera. */
async function photo(): Promise<Uint8Array> {
  const noise = { type: 'gaussian' as const, mean: 128, sigma: 12 };
  return await sharp({ create: { width: 1024, height: 768, channels: 3, background: 'white', noise } })
    .jpeg({ quality: 85 })
    .toBuffer();
}
