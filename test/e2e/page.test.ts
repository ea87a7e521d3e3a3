/** The page in a real Chromium against a real `semblance serve` on a small catalogue. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plainPicture } from '../support/tiny-bundle.js';
import { type TinyCatalog, writeTinyCatalog } from '../support/tiny-catalog.js';

const root = join(import.meta.dirname, '..', '..');
const executable = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);
if (executable === undefined)
  console.warn('page.test.ts: skipped, no chromium on this machine. Install Debian’s package chromium.');

test('the page without the map is at most 200 kB gzipped', async () => {
  const folder = join(root, 'dist', 'web', 'assets');
  const files = (await readdir(folder)).filter((file) => !file.startsWith('map-'));
  expect(files.length).toBeGreaterThan(1);
  const sizes = await Promise.all(
    files.map(async (file) => gzipSync(await readFile(join(folder, file))).length),
  );
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(200_000);
});

describe.skipIf(executable === undefined)('the page', () => {
  let folder: string;
  let made: TinyCatalog;
  let server: ChildProcess;
  let address: string;
  let browser: Browser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'semblance-page-'));
    made = await writeTinyCatalog(folder);
    await start(0);
    browser = await chromium.launch({ executablePath: executable!, args: ['--no-sandbox'] });
  });

  afterAll(async () => {
    await browser?.close();
    server?.kill('SIGTERM');
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  function start(port: number): Promise<void> {
    const argv = ['serve', '--catalog', made.catalog, '--model', made.model, '--port', String(port)];
    server = spawn(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...argv, '--threads', '1']);
    return new Promise((resolve, reject) => {
      let said = '';
      const hear = (bytes: Buffer) => {
        said += bytes.toString();
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
        if (found === null) return;
        address = found[0];
        resolve();
      };
      server.stdout?.on('data', hear);
      server.stderr?.on('data', hear);
      server.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${said}`)));
    });
  }

  async function open(hash = '', options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
    page.setDefaultTimeout(20_000);
    await page.goto(`${address}/${hash}`);
    await page.waitForSelector('ol.grid .tile');
    return page;
  }

  async function upload(page: Page): Promise<void> {
    const buffer = Buffer.from(await plainPicture([20, 240, 30], { width: 32, height: 32 }));
    await page.setInputFiles('[data-intake=file]', { name: 'green.png', mimeType: 'image/png', buffer });
    await page.waitForSelector('.found ol.grid .tile');
    await page.waitForFunction(() => /like=up/.test(location.hash) && /\.[\w-]{20,}/.test(location.hash));
  }

  const first = (page: Page) => page.locator('.tile-name').first().textContent();

  test('takes an upload, and its address restores the search in another browser', async () => {
    const page = await open();
    await upload(page);
    expect(await first(page)).toMatch(/^green/);
    const order = await page.locator('.tile-name').allInnerTexts();
    const other = await open(new URL(page.url()).hash, {});
    expect(await other.locator('.tile-name').allInnerTexts()).toEqual(order);
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

  test('has no axe violation in either theme, and nothing sticks out of a phone', async () => {
    const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    for (const colorScheme of ['light', 'dark'] as const)
      for (const width of [390, 1280])
        for (const hash of [
          '',
          '#/?like=id:pictures/red%200.png',
          '#/?like=id:pictures/red%200.png&why=pictures/red%201.png',
        ]) {
          const page = await open(hash, {
            viewport: { width, height: 844 },
            colorScheme,
            reducedMotion: 'reduce',
          });
          await page.waitForTimeout(800);
          await page.evaluate(axe);
          const found = await page.evaluate(async () => {
            const runner = (
              globalThis as unknown as {
                axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
              }
            ).axe;
            return (await runner.run()).violations.map(
              ({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 160)}`,
            );
          });
          expect(found, `${colorScheme} ${width} ${hash}`).toEqual([]);
          expect(
            await page.evaluate(
              () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
            ),
          ).toBeLessThanOrEqual(0);
          await page.close();
        }
  });

  test('says that the server is down, and goes on when it is back', async () => {
    const page = await open('#/?like=id:pictures/red%200.png');
    const port = Number(new URL(address).port);
    const ended = new Promise((resolve) => server.once('close', resolve));
    server.kill('SIGKILL');
    await ended;
    await page.getByRole('button', { name: 'Same kind' }).click();
    await page.waitForSelector('text=The server does not answer');
    await start(port);
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.waitForSelector('.found ol.grid .tile');
    await page.close();
  });
});
