/** The map of the page: of a real catalogue's own map, by mouse, by keys, in the address, and under axe. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { findChromium, whyNoChromium } from '../support/chromium.js';
import { axeViolations, openPage, overflow } from '../support/served-page.js';
import { withServedPage } from '../support/with-served-page.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const QUERY = 'like=id:pictures/red%200.png';
const DRAWN = '.map-frame canvas';

describe.skipIf(findChromium() === undefined)(`the map on the page${whyNoChromium()}`, () => {
  const stage = withServedPage();

  const open = (hash = '#/map', ready = DRAWN) =>
    openPage(stage.browser, stage.server.address, hash, {}, ready);

  /** How many pixels of the map have nearly this colour. */
  async function pixelsOf(
    page: Page,
    [red, green, blue]: readonly [number, number, number],
  ): Promise<number> {
    const { data, info } = await sharp(await page.locator('.map-frame').screenshot())
      .raw()
      .toBuffer({ resolveWithObject: true });
    let count = 0;
    for (let i = 0; i < data.length; i += info.channels)
      if (Math.abs(data[i]! - red) + Math.abs(data[i + 1]! - green) + Math.abs(data[i + 2]! - blue) < 24)
        count++;
    return count;
  }

  test('without a map it says how to make one, and shows it once it is made', async () => {
    const page = await open('#/map', '.message');
    expect(await page.locator('.message code').textContent()).toBe(
      'semblance catalog map --catalog <folder>',
    );
    expect(await axeViolations(page)).toEqual([]);
    await promisify(execFile)(process.execPath, [
      MAIN,
      'catalog',
      'map',
      '--catalog',
      join(stage.folder, 'catalog'),
      '--quiet',
    ]);
    await page.reload();
    await page.waitForSelector(DRAWN);
    await page.waitForSelector('text=15 pictures in view');
    await page.context().close();
  });

  test('has a legend that picks values out, a list for those who see no map, and no axe violation', async () => {
    const page = await open(`#/map?${QUERY}&colour=hue`);
    await page.waitForSelector('text=14 results');
    const entries = await page.locator('.legend-entry').allInnerTexts();
    expect(entries.map((text) => text.replace(/\s+/g, ' '))).toEqual(['blue 5', 'green 5', 'red 5']);
    const swatch = await page
      .locator('.swatch')
      .first()
      .evaluate((element) => getComputedStyle(element).backgroundColor);
    const colour = swatch.match(/\d+/g)!.map(Number) as [number, number, number];
    // All are shown as pictures here, so colours are those of the pictures; the results are ringed in ink.
    expect(colour).toHaveLength(3);
    expect(await pixelsOf(page, [23, 24, 27])).toBeGreaterThan(100);
    await page.getByRole('button', { name: /^red/ }).click();
    await page.waitForFunction(() => /mark=red/.test(location.hash));
    expect(await page.locator('.in-view-picture').count()).toBe(15);
    for (const width of [1280, 375])
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.setViewportSize({ width, height: 844 });
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        expect(await axeViolations(page), `${colorScheme}, ${width} px`).toEqual([]);
        expect(await overflow(page)).toBeLessThanOrEqual(0);
      }
    await page.context().close();
  });

  test('zooms by wheel and drag into the address, which restores it; hover shows, a click searches', async () => {
    const page = await open();
    const frame = (await page.locator('.map-frame').boundingBox())!;
    const [x, y] = [frame.x + frame.width / 2, frame.y + frame.height / 2];
    await page.mouse.move(x, y);
    await page.mouse.wheel(0, -400);
    await page.waitForFunction(() => /at=[\d.]+%2C[\d.]+%2C[\d.]+/.test(location.hash));
    const before = page.url();
    await page.mouse.down();
    await page.mouse.move(x + 80, y + 30, { steps: 5 });
    await page.mouse.up();
    await page.waitForFunction((url) => location.href !== url, before);
    const inView = await page.locator('#in-view-title').textContent();
    const other = await open(new URL(page.url()).hash);
    expect(await other.locator('#in-view-title').textContent()).toBe(inView);
    await other.context().close();

    await page.getByRole('button', { name: 'Whole map' }).click();
    await page.waitForFunction(() => !/at=/.test(location.hash));
    // The list names the picture nearest to the middle; its place on the map is found by looking for the card.
    let shown: string | null = null;
    for (let row = 1; row < 20 && shown === null; row++)
      for (let column = 1; column < 20 && shown === null; column++) {
        await page.mouse.move(frame.x + (frame.width * column) / 20, frame.y + (frame.height * row) / 20);
        if ((await page.locator('.map-card').count()) > 0)
          shown = await page.locator('.map-card .muted').textContent();
      }
    expect(shown).toMatch(/pictures\//);
    await page.mouse.down();
    await page.mouse.up();
    await page.waitForSelector('.found ol.grid .tile[data-id]');
    expect(decodeURIComponent(page.url()).replaceAll('+', ' ')).toContain(
      `like=id:${shown!.split(' · ').at(-1)}`,
    );
    await page.goBack();
    await page.waitForSelector(DRAWN);
    await page.context().close();
  });

  test('goes from picture to picture by arrow keys, is read out, and searches by Enter', async () => {
    const page = await open();
    await page.locator('.map-frame').focus();
    await page.keyboard.press('ArrowRight');
    await page.waitForSelector('.map-card');
    const first = await page.locator('.map-card .muted').textContent();
    const moved: (string | null)[] = [];
    for (const key of ['ArrowRight', 'ArrowLeft', 'ArrowUp', 'ArrowDown']) {
      await page.keyboard.press(key);
      moved.push(await page.locator('.map-card .muted').textContent());
    }
    expect(moved.some((label) => label !== first)).toBe(true);
    await page.waitForFunction(
      (label) => document.querySelector('[aria-atomic=true]')?.textContent === label,
      moved.at(-1)!,
    );
    await page.keyboard.press('+');
    await page.waitForFunction(() => /at=/.test(location.hash));
    await page.keyboard.press('Enter');
    await page.waitForSelector('.found ol.grid .tile[data-id]');
    await page.context().close();
  });
});
