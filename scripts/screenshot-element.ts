/**
 * Pictures of examples/embed, the custom element in a page of its own colours, into docs/screenshots:
 * `npx tsx scripts/screenshot-element.ts CATALOG QUERY_ID`. Serves the catalogue by itself; needs the build and a Chromium.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import sharp from 'sharp';
import { launchChromium } from '../test/support/chromium.js';
import { servePage } from '../test/support/served-page.js';

const [catalog, query] = process.argv.slice(2);
if (catalog === undefined || query === undefined)
  throw new Error('screenshot-element: needs the folder of a catalogue and the id of a query, got fewer.');
const root = join(import.meta.dirname, '..');
const html = await readFile(join(root, 'examples', 'embed', 'index.html'));
const site = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
const served = await servePage({ catalog }, ['--cors', origin, '--read-only']);
const browser = await launchChromium();
try {
  for (const width of [390, 1100]) {
    const page = await browser.newPage({ viewport: { width, height: 844 } });
    await page.goto(`${origin}/?server=${encodeURIComponent(served.address)}`);
    await page.waitForFunction(() => customElements.get('semblance-search') !== undefined);
    await page.evaluate((id) => {
      const search = document.querySelector('semblance-search') as HTMLElement & {
        granularity: number;
        search(query: { id: string }): Promise<unknown>;
      };
      search.granularity = 0.5;
      return search.search({ id });
    }, query);
    await page.waitForLoadState('networkidle');
    const bytes = await sharp(await page.screenshot())
      .webp({ quality: 80 })
      .toBuffer();
    await writeFile(join(root, 'docs', 'screenshots', `element-${width}-light.webp`), bytes);
    await page.close();
  }
} finally {
  await browser.close();
  await served.close();
  site.close();
}
