/** Every way a picture comes into the page, and the part of it that is searched with. */
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { findChromium, launchChromium, whyNoChromium } from '../support/chromium.js';
import { greenPng, openPage, searched, servePage, tileNames } from '../support/served-page.js';
import { withServedPage } from '../support/with-served-page.js';

/** What a synthetic camera is called to Chromium; it needs no leave either. */
const FAKE_CAMERA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

describe.skipIf(findChromium() === undefined)(`pictures into the page${whyNoChromium()}`, () => {
  const stage = withServedPage();

  const open = (hash = '') => openPage(stage.browser, stage.server.address, hash);

  /** Fires an event that carries files or text, as the browser does for a drop or a paste. */
  function give(page: Page, kind: 'dragenter' | 'drop' | 'paste', what: { picture?: Buffer; text?: string }) {
    return page.evaluate(
      ({ kind, base64, text }) => {
        const data = new DataTransfer();
        if (base64 !== null) {
          const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
          data.items.add(new File([bytes], 'green.png', { type: 'image/png' }));
        }
        if (text !== null) data.setData('text/plain', text);
        const options = { bubbles: true, cancelable: true };
        document.body.dispatchEvent(
          kind === 'paste'
            ? new ClipboardEvent('paste', { ...options, clipboardData: data })
            : new DragEvent(kind, { ...options, dataTransfer: data }),
        );
      },
      { kind, base64: what.picture?.toString('base64') ?? null, text: what.text ?? null },
    );
  }

  test('a drop anywhere, said before the hand lets go', async () => {
    const page = await open();
    const { buffer } = await greenPng();
    await give(page, 'dragenter', { picture: buffer });
    await page.waitForSelector('text=Let go to search');
    await give(page, 'drop', { picture: buffer });
    await searched(page);
    expect(await page.locator('.drop-veil').count()).toBe(0);
    expect((await tileNames(page))[0]).toMatch(/^green/);
    await page.context().close();
  });

  test('a paste of a picture; of other things a word', async () => {
    const page = await open();
    await give(page, 'paste', { text: 'no picture' });
    await page.waitForSelector('text=There is no picture in the clipboard');
    await give(page, 'paste', { picture: (await greenPng()).buffer });
    await searched(page);
    expect((await tileNames(page))[0]).toMatch(/^green/);
    await page.context().close();
  });

  test('a file that is no picture is refused by name, one that is damaged by the server', async () => {
    const page = await open();
    await page.setInputFiles('[data-intake=file]', {
      name: 'notes.txt',
      mimeType: 'text/plain',
      buffer: Buffer.from('no picture'),
    });
    await page.waitForSelector('text=notes.txt is not a picture');
    await page.setInputFiles('[data-intake=file]', {
      name: 'broken.png',
      mimeType: 'image/png',
      buffer: Buffer.from('no picture'),
    });
    await page.waitForSelector('[role=alert]');
    expect(await page.locator('[role=alert] h2').textContent()).toBe('That did not work');
    await page.context().close();
  });

  test('an address: without leave to fetch the server says so, and no field asks for one', async () => {
    const page = await open();
    expect(await page.getByLabel('Address of a picture').count()).toBe(0);
    await give(page, 'paste', { text: 'https://pictures.example/red.png' });
    await page.waitForSelector('text=does not fetch pictures by address');
    await page.goto(`${stage.server.address}/#/?like=url:https://pictures.example/red.png`);
    await page.reload();
    await page.waitForSelector('[role=alert]');
    expect(await page.locator('[role=alert] p').first().textContent()).toMatch(/does not fetch pictures/);
    await page.context().close();
  });

  test('an address, where the server may fetch: the field is there, and its search is in the page’s address', async () => {
    const allowed = await servePage({ catalog: join(stage.folder, 'catalog') }, [
      '--allow-url',
      '--read-only',
    ]);
    const page = await openPage(stage.browser, allowed.address);
    await page.getByLabel('Address of a picture').fill('http://127.0.0.1:9/red.png');
    await page.keyboard.press('Enter');
    // Addresses of this machine are never fetched: what comes is the server's word on that.
    await page.waitForSelector('[role=alert]');
    expect(decodeURIComponent(new URL(page.url()).hash)).toContain('like=url:http://127.0.0.1:9/red.png');
    await page.context().close();
    await allowed.close();
  });

  test('a photo from the camera; without one, a word and a way back', async () => {
    const page = await open();
    await page.getByRole('button', { name: 'Take a photo' }).click();
    await page.waitForSelector('text=The camera cannot be used');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    await page.context().close();

    const withCamera = await launchChromium(FAKE_CAMERA);
    const other = await openPage(withCamera, stage.server.address);
    await other.getByRole('button', { name: 'Take a photo' }).click();
    await other.locator('dialog').getByRole('button', { name: 'Take photo' }).click();
    await searched(other);
    expect(
      await other.locator('.stage-frame img').evaluate((image) => (image as HTMLImageElement).naturalWidth),
    ).toBeGreaterThan(100);
    await withCamera.close();
  });

  test('a part of it: a spot that stands out, then corners and the box by mouse, then the whole again', async () => {
    const page = await open();
    const buffer = await sharp({ create: { width: 240, height: 160, channels: 3, background: '#20242c' } })
      .composite([
        {
          input: Buffer.from(
            '<svg xmlns="http://www.w3.org/2000/svg" width="240" height="160"><ellipse cx="70" cy="80" rx="45" ry="50" fill="#14f01e"/></svg>',
          ),
        },
      ])
      .png()
      .toBuffer();
    await page.setInputFiles('[data-intake=file]', { name: 'spot.png', mimeType: 'image/png', buffer });
    await searched(page);
    await page.getByRole('button', { name: 'Search only part 1 of the picture' }).click();
    await page.waitForFunction(() => /like=[\d.]+/.test(location.hash));
    const [left, top, right, bottom] = await box(page);
    // The ellipse is from 25 to 115 of 240 and from 30 to 130 of 160.
    expect(Math.abs(left - 25 / 240)).toBeLessThan(0.08);
    expect(Math.abs(right - 115 / 240)).toBeLessThan(0.08);
    expect(Math.abs(top - 30 / 160)).toBeLessThan(0.1);
    expect(Math.abs(bottom - 130 / 160)).toBeLessThan(0.1);

    const percents = [left, right, top, bottom].map((side) => Math.round(100 * side));
    expect(await page.locator('#crop-value').textContent()).toBe(
      `Crop: from ${percents[0]} to ${percents[1]} % across, ${percents[2]} to ${percents[3]} % down`,
    );
    const frame = (await page.locator('.stage-frame').boundingBox())!;
    const drag = async (name: string, dx: number, dy: number) => {
      const handle = (await page.getByRole('button', { name, exact: true }).boundingBox())!;
      await page.mouse.move(handle.x + handle.width / 2, handle.y + handle.height / 2);
      await page.mouse.down();
      await page.mouse.move(
        handle.x + handle.width / 2 + dx * frame.width,
        handle.y + handle.height / 2 + dy * frame.height,
        { steps: 4 },
      );
      await page.mouse.up();
    };
    const before = page.url();
    await drag('Bottom right corner', 0.2, 0.05);
    await page.waitForFunction((url) => location.href !== url, before);
    const larger = await box(page);
    expect(larger[2] - right).toBeCloseTo(0.2, 1);
    expect(larger.slice(0, 2)).toEqual([left, top]);
    const held = page.url();
    await drag('Move the part', 0.1, 0);
    await page.waitForFunction((url) => location.href !== url, held);
    const moved = await box(page);
    expect(moved[0] - larger[0]).toBeCloseTo(0.1, 1);
    expect(moved[2] - moved[0]).toBeCloseTo(larger[2] - larger[0], 3);
    await page.locator('.stage-foot').getByRole('button', { name: 'Whole picture' }).click();
    await page.waitForFunction(() => /like=up/.test(location.hash));
    await page.context().close();
  });
});

/** The box in the page's address. */
async function box(page: Page): Promise<[number, number, number, number]> {
  const like = new URLSearchParams(new URL(page.url()).hash.replace(/^#\/\?/, '')).get('like') ?? '';
  return like.split(';')[0]!.split(',').map(Number) as [number, number, number, number];
}
