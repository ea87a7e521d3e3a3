/** The page on a server that wants a key: it asks, shows pictures with it, and asks again when the key has ended. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { addKey, KeyRing, revokeKey } from '../../src/server/index.js';
import { findChromium, launchChromium, whyNoChromium } from '../support/chromium.js';
import { openTinyServer } from '../support/tiny-server.js';

test.skipIf(findChromium() === undefined)(
  `the page asks for a key where the server wants one${whyNoChromium()}`,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'semblance-page-key-'));
    const file = join(folder, 'keys.json');
    const { token } = await addKey(file, { name: 'page', scopes: ['search'] });
    const keys = new KeyRing(file, { pollMs: 0 });
    const tiny = await openTinyServer({ keys, page: join(import.meta.dirname, '../../dist/web') });
    const browser = await launchChromium();
    try {
      const address = await tiny.server.listen({ port: 0, host: '127.0.0.1' });
      const page = await browser.newPage();
      page.setDefaultTimeout(20_000);
      await page.goto(address);
      const dialog = page.getByRole('dialog', { name: 'This server wants a key' });
      await dialog.getByLabel('Key', { exact: true }).fill('wrong');
      await dialog.getByRole('button', { name: 'Use it' }).click();
      await dialog.getByText('does not open this server').waitFor();
      await dialog.getByLabel('Key', { exact: true }).fill(token);
      await dialog.getByRole('button', { name: 'Use it' }).click();
      await page.waitForSelector('ol.grid .tile');
      await page.waitForFunction(() =>
        [...document.querySelectorAll<HTMLImageElement>('.tile img')].some((image) => image.naturalWidth > 0),
      );
      expect(page.url()).not.toContain(token);
      // The tab keeps it.
      await page.reload();
      await page.waitForSelector('ol.grid .tile');
      await revokeKey(file, 'page');
      await page.reload();
      await dialog.getByText('does not open this server').waitFor();
    } finally {
      await browser.close();
      await tiny.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
);
