/**
 * Pictures of the page's states into docs/screenshots: `npx tsx scripts/screenshots.ts http://127.0.0.1:7700 QUERY_ID HIT_ID`
 * against a running `semblance serve`. Each is a WebP of at most 150 kB; needs a Chromium (CHROMIUM names another).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { launchChromium } from '../test/support/chromium.js';

const [address, query, hit] = process.argv.slice(2);
if (address === undefined || query === undefined || hit === undefined)
  throw new Error(
    'screenshots: needs the address of a server, the id of a query and the id of a hit, got fewer.',
  );
const folder = join(import.meta.dirname, '..', 'docs', 'screenshots');
const MOST_BYTES = 150_000;
const like = `like=${encodeURIComponent(`id:${query}`)}`;
const why = `why=${encodeURIComponent(hit)}`;
const states = {
  start: '',
  results: `#/?${like}&g=0.5`,
  why: `#/?${like}&g=0.5&${why}`,
  compare: `#/compare?compare=${encodeURIComponent(query)}&compare=${encodeURIComponent(hit)}`,
  feedback: '#/feedback',
  'no-hits': `#/?${like}&is.${encodeURIComponent('group')}=nothing`,
};

await mkdir(folder, { recursive: true });
const browser = await launchChromium();
for (const [name, fragment] of Object.entries(states))
  for (const width of [390, 1440])
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await browser.newPage({
        viewport: { width, height: width < 500 ? 844 : 900 },
        colorScheme,
      });
      await page.goto(`${address}/${fragment}`, { waitUntil: 'networkidle' });
      const shot = await page.screenshot();
      await page.close();
      let quality = 85;
      let bytes = await sharp(shot).webp({ quality }).toBuffer();
      while (bytes.length > MOST_BYTES && quality > 40) {
        quality -= 10;
        bytes = await sharp(shot).webp({ quality }).toBuffer();
      }
      await writeFile(join(folder, `${name}-${width}-${colorScheme}.webp`), bytes);
    }
await browser.close();
