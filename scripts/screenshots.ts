/**
 * Pictures of the page's states into docs/screenshots, of a running `semblance serve`: `npx tsx scripts/screenshots.ts
 * http://127.0.0.1:7700 [QUERY_ID [HIT_ID]] [--only STATE]…`. Without ids the query is the twentieth picture and the hit its third. Verdicts for
 * the feedback page are given and taken back. Each is a WebP of at most 150 kB; needs a Chromium (CHROMIUM names another).
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { createSemblanceClient } from '../src/client/index.js';
import { launchChromium } from '../test/support/chromium.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string', multiple: true } },
});
const [address, givenQuery, givenHit] = positionals;
if (address === undefined) throw new Error('screenshots: needs the address of a server, got none.');
const folder = join(import.meta.dirname, '..', 'docs', 'screenshots');
const MOST_BYTES = 150_000;
const SIZES = [
  [375, 812],
  [1440, 900],
] as const;

const client = createSemblanceClient({ baseUrl: address });
const { capabilities, attributes } = await client.catalog();
const query = givenQuery ?? (await client.pictures({ limit: 20 })).pictures.at(-1)?.id ?? '';
const { hits } = await client.search({ examples: [{ id: query }], granularity: 'look', limit: 24 });
const hit = givenHit ?? hits[2]?.id ?? query;
const other = hits[8]?.id ?? hit;
const id = (value: string) => encodeURIComponent(`id:${value}`);
const like = `like=${id(query)}`;
const column = attributes.find(({ kind }) => kind !== null)?.name ?? 'item_id';

interface State {
  readonly hash: string;
  /** Before the page is opened. */
  readonly before?: (page: Page) => Promise<unknown>;
  /** Once it is. */
  readonly after?: (page: Page) => Promise<unknown>;
  /** What must be seen; a model that does not lead there has no picture of it. */
  readonly shows?: string;
}
const states: Record<string, State> = {
  start: { hash: '' },
  results: { hash: `#/?${like}&g=0.5` },
  refined: {
    hash: `#/?${like}&like=${id(hit)}&unlike=${id(other)}&trail=${id(other)}&trail=${id(hit)}&g=0.2&group=item`,
  },
  crop: { hash: `#/?like=${encodeURIComponent(`0.2,0.15,0.8,0.7;id:${query}`)}&g=0.5` },
  why: { hash: `#/?${like}&g=0.5&why=${encodeURIComponent(hit)}` },
  compare: { hash: `#/compare?compare=${encodeURIComponent(query)}&compare=${encodeURIComponent(other)}` },
  feedback: { hash: '#/feedback' },
  'no-hits': { hash: `#/?${like}&is.${encodeURIComponent(column)}=nothing` },
  loading: { hash: `#/?${like}`, before: (page) => page.route('**/v1/search', () => undefined) },
  error: { hash: `#/?${like}`, before: (page) => page.route('**/v1/search', (route) => route.abort()) },
  filters: {
    hash: `#/?${like}&g=0.5`,
    after: (page) =>
      page
        .getByRole('button', { name: /^Filters/ })
        .click({ timeout: 1500 })
        .catch(() => undefined),
  },
  ...(capabilities.map
    ? {
        map: { hash: '#/map' },
        'map-query': { hash: `#/map?${like}&g=0.5` },
        'map-near': { hash: '#/map?at=0.5,0.5,12' },
      }
    : {}),
  ...(capabilities.calibrated
    ? {
        'cut-off': { hash: `#/?${like}&g=0.5&p=0.55` },
        // A picture of noise is like nothing.
        'nothing-similar': {
          hash: '',
          shows: 'Nothing similar',
          after: async (page) => {
            const data = Uint8Array.from({ length: 3 * 96 * 96 }, (_, i) => (i * i * 31 + i * 17) % 251);
            const buffer = await sharp(data, { raw: { width: 96, height: 96, channels: 3 } })
              .png()
              .toBuffer();
            await page.setInputFiles('[data-intake=file]', {
              name: 'noise.png',
              mimeType: 'image/png',
              buffer,
            });
            await page.waitForSelector('.found ol.grid .tile[data-id]');
          },
        },
      }
    : {}),
};

const verdicts: string[] = [];
for (const [place, verdict] of [
  [0, 'up'],
  [1, 'up'],
  [9, 'down'],
] as const) {
  const target = hits[place]?.id;
  if (target === undefined) continue;
  verdicts.push(
    (await client.addFeedback({ example: { id: query }, id: target, verdict, level: 'look' })).key,
  );
}

await mkdir(folder, { recursive: true });
// Those of the element are made by another script.
for (const file of await readdir(folder))
  if (values.only === undefined && file.endsWith('.webp') && !file.startsWith('element-'))
    await rm(join(folder, file));
const browser = await launchChromium();
try {
  for (const [name, { hash, before, after, shows }] of Object.entries(states)) {
    if (values.only !== undefined && !values.only.includes(name)) continue;
    for (const [width, height] of SIZES) {
      const page = await browser.newPage({ viewport: { width, height }, reducedMotion: 'reduce' });
      await before?.(page);
      const waitUntil = before === undefined ? 'networkidle' : 'load';
      await page.goto(`${address}/${hash}`, { waitUntil });
      await after?.(page);
      if (after !== undefined) await page.waitForLoadState('networkidle');
      const isShown = shows === undefined || (await page.getByText(shows, { exact: true }).count()) > 0;
      for (const colorScheme of isShown ? (['light', 'dark'] as const) : []) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await page.waitForTimeout(700);
        await writeFile(
          join(folder, `${name}-${width}-${colorScheme}.webp`),
          await small(await page.screenshot()),
        );
      }
      await page.close();
      process.stderr.write(`${name}, ${width} px${isShown ? '' : ': not shown by this model'}\n`);
    }
  }
} finally {
  await browser.close();
  for (const key of verdicts) await client.deleteFeedback(key);
}

async function small(shot: Buffer): Promise<Buffer> {
  for (let quality = 85; ; quality -= 10) {
    const bytes = await sharp(shot).webp({ quality }).toBuffer();
    if (bytes.length <= MOST_BYTES || quality <= 45) return bytes;
  }
}
