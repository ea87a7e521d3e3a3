/** What changes a search: trail, groups, variety, order, ranges; all of it in the address, back, forward and shared. */
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { findChromium, whyNoChromium } from '../support/chromium.js';
import { openPage, tileNames } from '../support/served-page.js';
import { withServedPage } from '../support/with-served-page.js';

const QUERY = 'like=id:pictures/red%200.png';

describe.skipIf(findChromium() === undefined)(`refining on the page${whyNoChromium()}`, () => {
  const stage = withServedPage({ isPriceNumeric: true });

  const open = (hash: string) => openPage(stage.browser, stage.server.address, hash);

  /** Runs what sends a search, and waits for its answer and for the page to show it. */
  async function asks(page: Page, act: () => Promise<unknown>): Promise<Record<string, unknown>> {
    const answered = page.waitForResponse((response) => response.url().endsWith('/v1/search'));
    await act();
    const response = await answered;
    await page.waitForSelector('ol.grid[aria-busy=false]');
    return response.request().postDataJSON();
  }

  test('more like this leaves a trail, and its steps lead back', async () => {
    const page = await open(`#/?${QUERY}`);
    const search = (name: RegExp) =>
      asks(page, async () => {
        const tile = page.locator('.tile', { hasText: name }).first();
        await tile.hover();
        await tile.getByRole('button', { name: 'Search with this' }).click();
      });
    await search(/^.*red-1/);
    await search(/^.*red-2/);
    expect(await page.locator('.trail .strip-link').count()).toBe(2);
    await asks(page, () => page.getByRole('button', { name: 'Back to pictures/red 0.png' }).click());
    expect(await page.locator('.trail').count()).toBe(0);
    await page.goBack();
    await page.waitForFunction(() => document.querySelectorAll('.trail .strip-link').length === 2);
    await page.context().close();
  });

  test('one per item, variety, order and a range: each is asked for, seen, and restored', async () => {
    const page = await open(`#/?${QUERY}`);
    const all = await tileNames(page);
    // All but the query itself.
    expect(all).toHaveLength(14);

    expect(await asks(page, () => page.getByLabel('One per item').check())).toMatchObject({
      groupBy: 'item',
    });
    const grouped = await tileNames(page);
    expect(grouped).toHaveLength(new Set(all).size);
    expect(new Set(grouped).size).toBe(grouped.length);
    await page.waitForSelector('text=+1 more of this item');

    const varied = await asks(page, () => page.getByLabel('Variety').selectOption({ label: 'Much variety' }));
    expect(varied).toMatchObject({ groupBy: 'item', diversity: 0.7 });

    const sorted = await asks(page, () =>
      page.getByLabel('Sort').selectOption({ label: 'price, high to low' }),
    );
    // An order by price and one by variety exclude each other.
    expect(sorted).toMatchObject({ sort: { column: 'price', direction: 'descending' }, diversity: 0 });

    // Prices are 10 × hue + shade: from 11 to 13 are three greens.
    await asks(page, async () => {
      await page.getByLabel('price, from').fill('11');
      await page.keyboard.press('Tab');
    });
    await asks(page, async () => {
      await page.getByLabel('price, to').fill('13');
      await page.keyboard.press('Tab');
    });
    await page.waitForFunction(() => document.querySelectorAll('.tile-name').length === 3);
    expect(await tileNames(page)).toEqual(['green-3', 'green-2', 'green-1']);

    // Shared: a browser that has seen nothing of this shows the same.
    const other = await open(new URL(page.url()).hash);
    expect(await tileNames(other)).toEqual(['green-3', 'green-2', 'green-1']);
    expect(await other.getByLabel('One per item').isChecked()).toBe(true);
    expect(await other.getByLabel('Variety').inputValue()).toBe('0');
    expect(await other.getByLabel('price, from').inputValue()).toBe('11');
    expect(await other.getByLabel('price, to').inputValue()).toBe('13');
    await other.context().close();

    // Back, step by step, to the beginning; and forward to the end.
    for (let step = 0; step < 5; step++) await page.goBack();
    await page.waitForFunction(() => document.querySelectorAll('.tile-name').length === 14);
    expect(await tileNames(page)).toEqual(all);
    expect(await page.getByLabel('One per item').isChecked()).toBe(false);
    for (let step = 0; step < 5; step++) await page.goForward();
    await page.waitForFunction(() => document.querySelectorAll('.tile-name').length === 3);
    expect(await tileNames(page)).toEqual(['green-3', 'green-2', 'green-1']);
    await page.context().close();
  });

  test('the reasons are asked with the query’s edits, and explain the score that is shown', async () => {
    const page = await open(`#/?${QUERY}`);
    await page.getByRole('button', { name: /blue/ }).count();
    await asks(page, async () => {
      await page.getByLabel('Add an attribute').fill('hue: blue');
      await page.keyboard.press('Tab');
    });
    const explained = page.waitForResponse((response) => response.url().endsWith('/v1/explain'));
    const shown = Number((await page.locator('.tile .badge').first().textContent())?.match(/[\d.]+/)?.[0]);
    await page.locator('.tile-picture').first().click();
    const response = await explained;
    expect(response.request().postDataJSON().edits).toEqual([
      { attribute: 'hue', value: 'blue', want: true },
    ]);
    expect(((await response.json()) as { score: number }).score).toBeCloseTo(shown, 1);
    await page.context().close();
  });

  test('a server that goes away is said in every view, and each goes on when it is back', async () => {
    const page = await open(`#/?${QUERY}`);
    await stage.server.kill();
    for (const view of ['Feedback', 'Map']) {
      await page.getByRole('link', { name: view, exact: true }).click();
      if (view === 'Feedback') await page.waitForSelector('text=The server does not answer');
    }
    await page.getByRole('link', { name: 'Search', exact: true }).click();
    await page.getByRole('button', { name: 'Same kind' }).click();
    await page.waitForSelector('text=The server does not answer');
    await stage.server.restart();
    // It is asked again by itself as well; either way no reload is needed.
    await page
      .getByRole('button', { name: 'Try again' })
      .click({ timeout: 2000 })
      .catch(() => undefined);
    await page.waitForSelector('.found ol.grid .tile[data-id]');
    expect(await tileNames(page)).toHaveLength(14);
    await page.getByRole('link', { name: 'Feedback', exact: true }).click();
    await page.waitForSelector('text=No verdicts yet');
    await page.context().close();
  });
});
