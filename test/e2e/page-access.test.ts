/** Every view of the page under axe (WCAG 2.2 AA) in light and dark, wide and on a phone; and all of it by keyboard alone. */
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { findChromium, whyNoChromium } from '../support/chromium.js';
import { axeViolations, openPage, overflow, tileNames } from '../support/served-page.js';
import { withServedPage } from '../support/with-served-page.js';

const QUERY = 'like=id:pictures/red%200.png';
const GRID = 'ol.grid .tile[data-id]';

/** How each view is reached, and what is there when it is. */
const VIEWS: readonly {
  name: string;
  hash: string;
  ready: string;
  before?: (page: Page) => Promise<unknown>;
}[] = [
  { name: 'start', hash: '', ready: GRID },
  {
    name: 'results',
    hash: `#/?${QUERY}&unlike=id:pictures/blue%200.png&trail=id:pictures/green%200.png`,
    ready: GRID,
  },
  { name: 'filtered results', hash: `#/?${QUERY}&is.hue=red&not.tags=bright&group=item&p=0.9`, ready: GRID },
  { name: 'no hits', hash: `#/?${QUERY}&is.hue=none`, ready: '.message' },
  {
    name: 'loading',
    hash: `#/?${QUERY}`,
    ready: '.tile-skeleton',
    before: (page) => page.route('**/v1/search', () => undefined),
  },
  {
    name: 'error',
    hash: `#/?${QUERY}`,
    ready: '[role=alert]',
    before: (page) => page.route('**/v1/search', (route) => route.abort()),
  },
  { name: 'why', hash: `#/?${QUERY}&why=pictures/red%201.png`, ready: 'dialog[open] .bars' },
  {
    name: 'compare',
    hash: '#/compare?compare=pictures/red%200.png&compare=pictures/blue%202.png',
    ready: '.bars',
  },
  { name: 'compare without pictures', hash: '#/compare', ready: '.message' },
  { name: 'feedback without verdicts', hash: '#/feedback', ready: '.message' },
];

describe.skipIf(findChromium() === undefined)(`access to the page${whyNoChromium()}`, () => {
  const stage = withServedPage();

  /** Both themes at both widths. */
  async function judge(page: Page): Promise<void> {
    for (const width of [1280, 375])
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.setViewportSize({ width, height: 844 });
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        expect(await axeViolations(page), `${colorScheme}, ${width} px`).toEqual([]);
        expect(await overflow(page), `${width} px`).toBeLessThanOrEqual(0);
      }
  }

  test.each(VIEWS)('$name', async ({ hash, ready, before }) => {
    const context = await stage.browser.newContext({ reducedMotion: 'reduce' });
    const page = await context.newPage();
    await before?.(page);
    await page.goto(`${stage.server.address}/${hash}`);
    await page.waitForSelector(ready);
    await judge(page);
    await context.close();
  });

  test('feedback with verdicts', async () => {
    const body = {
      example: { id: 'pictures/red 0.png' },
      id: 'pictures/red 1.png',
      verdict: 'up',
      level: 'look',
    };
    const answer = await fetch(`${stage.server.address}/v1/feedback`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(answer.ok).toBe(true);
    const page = await openPage(stage.browser, stage.server.address, '#/feedback', {}, '.verdict');
    await judge(page);
    await page.context().close();
  });

  test('an empty catalogue', async () => {
    const page = await openPage(stage.browser, stage.server.address, '#/?is.hue=none', {}, '.message');
    await judge(page);
    await page.context().close();
  });

  test('filters on a phone are a sheet that holds the focus and gives it back', async () => {
    const page = await openPage(stage.browser, stage.server.address, `#/?${QUERY}`, {
      viewport: { width: 375, height: 844 },
    });
    const opener = page.getByRole('button', { name: /^Filters/ });
    await opener.click();
    await page.waitForSelector('dialog[open]');
    expect(await axeViolations(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    expect(await opener.evaluate((element) => element === document.activeElement)).toBe(true);
    await page.context().close();
  });

  test('the focus stays on its picture when the ranking changes', async () => {
    const page = await openPage(stage.browser, stage.server.address, `#/?${QUERY}&g=0`);
    const focused = () =>
      page.evaluate(() => document.activeElement?.closest('.tile')?.getAttribute('data-id'));
    const tile = page.locator('.found ol.grid .tile-picture');
    const count = await tile.count();
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const before = await tileNames(page);
      await tile.nth(i).focus();
      const asked = await focused();
      await page.evaluate(
        (g) => {
          location.hash = location.hash.replace(/g=[01]/, g);
        },
        `g=${(i + 1) % 2}`,
      );
      await expect.poll(() => tileNames(page)).not.toEqual(before);
      // One that was not found for a moment gives the focus to the picture in its place.
      const now = await focused();
      expect(now).toEqual(expect.any(String));
      if (now === asked) kept++;
    }
    expect(kept).toBeGreaterThan(count / 2);
    await page.context().close();
  });

  test('a search by keyboard alone: skip link, grid, reasons, refine, slide, and back', async () => {
    const page = await openPage(stage.browser, stage.server.address);
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to results');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    // Past filters, if they come first, to the grid: one tile of it is in the tab order.
    for (let i = 0; i < 40 && !(await onTile(page)); i++) await page.keyboard.press('Tab');
    expect(await onTile(page)).toBe(true);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.found ol.grid .tile[data-id]');
    const slider = page.getByRole('slider', { name: 'How alike?' });
    for (let i = 0; i < 60 && !(await slider.evaluate((e) => e === document.activeElement)); i++)
      await page.keyboard.press('Tab');
    await page.keyboard.press('End');
    await page.waitForFunction(() => /g=1(&|$)/.test(location.hash));
    for (let i = 0; i < 40 && !(await onTile(page)); i++) await page.keyboard.press('Tab');
    await page.keyboard.press('ArrowRight');
    const asked = await page.evaluate(() =>
      document.activeElement?.closest('.tile')?.getAttribute('data-id'),
    );
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open] .bars');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    // The focus is where it was; plus and minus change the query from there.
    expect(await page.evaluate(() => document.activeElement?.closest('.tile')?.getAttribute('data-id'))).toBe(
      asked,
    );
    await page.keyboard.press('-');
    await page.waitForFunction(() => /unlike=/.test(location.hash));
    // The browser's own Alt+Left: without a window it has no such key.
    await page.goBack();
    await page.waitForFunction(() => !/unlike=/.test(location.hash));
    await page.context().close();
  });
});

function onTile(page: Page): Promise<boolean> {
  return page.evaluate(() => document.activeElement?.matches('.tile-picture') ?? false);
}
