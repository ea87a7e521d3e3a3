/** The page in a real Chromium against a real `semblance serve` on a small catalogue: the main ways through it. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { findChromium, whyNoChromium } from '../support/chromium.js';
import { greenPng, openPage, searched, tileNames } from '../support/served-page.js';
import { withServedPage } from '../support/with-served-page.js';

const root = join(import.meta.dirname, '..', '..');

test('the page without the map is at most 200 kB gzipped', async () => {
  const folder = join(root, 'dist', 'web', 'assets');
  const files = (await readdir(folder)).filter((file) => !file.startsWith('map-'));
  expect(files.length).toBeGreaterThan(1);
  const sizes = await Promise.all(
    files.map(async (file) => gzipSync(await readFile(join(folder, file))).length),
  );
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(200_000);
});

describe.skipIf(findChromium() === undefined)(`the page${whyNoChromium()}`, () => {
  const stage = withServedPage();

  const open = (hash = '', options: BrowserContextOptions = {}) =>
    openPage(stage.browser, stage.server.address, hash, options);

  async function upload(page: Page): Promise<void> {
    await page.setInputFiles('[data-intake=file]', await greenPng());
    await searched(page);
  }

  const first = (page: Page) => page.locator('.tile-name').first().textContent();

  test('takes an upload, and its address restores the search in another browser', async () => {
    const page = await open();
    await upload(page);
    expect(await first(page)).toMatch(/^green/);
    const order = await tileNames(page);
    const other = await open(new URL(page.url()).hash, {});
    expect(await tileNames(other)).toEqual(order);
    await other.close();
    await page.close();
  });

  test('slides without uploading again, and goes back and forward', async () => {
    const page = await open();
    await upload(page);
    const sent: string[] = [];
    page.on('request', (request) => {
      if (request.url().endsWith('/v1/search')) sent.push(request.headers()['content-type'] ?? '');
    });
    await page.getByRole('button', { name: 'Same kind' }).click();
    await page.waitForFunction(() => /g=1/.test(location.hash));
    await page.locator('#granularity').focus();
    await page.keyboard.press('ArrowLeft');
    await page.waitForFunction(() => /g=0.99/.test(location.hash));
    await page.goBack();
    await page.waitForFunction(() => /g=1(&|$)/.test(location.hash));
    expect(await page.locator('#granularity').inputValue()).toBe('100');
    await page.goForward();
    await page.waitForFunction(() => /g=0.99/.test(location.hash));
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.every((type) => type.includes('json'))).toBe(true);
    await page.close();
  });

  test('crops by keyboard, filters, and adds an example', async () => {
    const page = await open('#/?like=id:pictures/red%200.png');
    await page.getByRole('button', { name: 'Left side' }).press('Shift+ArrowRight');
    await page.waitForFunction(() => /like=0\.1/.test(decodeURIComponent(location.hash)));
    await page.locator('.facet-value', { hasText: 'blue' }).first().locator('input').check();
    await page.waitForFunction(() =>
      [...document.querySelectorAll('.tile-name')].every((name) => name.textContent?.startsWith('blue')),
    );
    await page.locator('.tile').first().hover();
    await page.locator('.tile').first().getByRole('button', { name: 'Less like this' }).click();
    await page.waitForFunction(() => /unlike=/.test(location.hash));
    await page.close();
  });

  test('gives reasons and keeps feedback', async () => {
    const page = await open('#/?like=id:pictures/red%200.png');
    await page.locator('.tile-picture').first().focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open] .bars');
    await page.locator('dialog').getByRole('button', { name: 'A good hit' }).click();
    await page.waitForSelector('dialog [aria-pressed=true]');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    await page.getByRole('link', { name: 'Feedback' }).click();
    await page.waitForSelector('.verdict');
    await page.getByRole('button', { name: /Remove the verdict/ }).click();
    await page.waitForSelector('text=No verdicts yet');
    await page.close();
  });

  test('says that the server is down, and goes on when it is back', async () => {
    const page = await open('#/?like=id:pictures/red%200.png');
    await stage.server.kill();
    await page.getByRole('button', { name: 'Same kind' }).click();
    await page.waitForSelector('text=The server does not answer');
    await stage.server.restart();
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.waitForSelector('.found ol.grid .tile');
    await page.close();
  });
});
