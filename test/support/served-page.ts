/** The built page served by a real `semblance serve`, and a real Chromium to open it in. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { plainPicture } from './tiny-bundle.js';

const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');

export interface ServedPage {
  readonly address: string;
  /** Ends it at once, as a crash would, and waits until its port is free. */
  kill(): Promise<void>;
  /** Starts it again at the same port. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Serves a catalogue on a free port. Needs the build. */
export async function servePage(
  { catalog, model }: { readonly catalog: string; readonly model?: string },
  flags: readonly string[] = [],
): Promise<ServedPage> {
  let child: ChildProcess;
  const start = (port: number): Promise<string> => {
    const argv = ['serve', '--catalog', catalog, '--port', String(port), '--threads', '1', ...flags];
    if (model !== undefined) argv.push('--model', model);
    child = spawn(process.execPath, [MAIN, ...argv]);
    return new Promise((resolve, reject) => {
      let said = '';
      const hear = (bytes: Buffer) => {
        said += bytes.toString();
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said);
        if (found !== null) resolve(found[0]);
      };
      child.stdout?.on('data', hear);
      child.stderr?.on('data', hear);
      child.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${said}`)));
    });
  };
  const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill(signal);
    await ended;
  };
  const address = await start(0);
  return {
    address,
    kill: () => end('SIGKILL'),
    restart: async () => {
      await start(Number(new URL(address).port));
    },
    close: () => end('SIGTERM'),
  };
}

/** Opens the page in a browser context of its own: nothing kept from others, wide unless told otherwise. */
export async function openPage(
  browser: Browser,
  address: string,
  hash = '',
  options: BrowserContextOptions = {},
  ready = 'ol.grid .tile[data-id]',
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${address}/${hash}`);
  await page.waitForSelector(ready);
  return page;
}

/** A green picture, as the file that a person chooses, drops or pastes. */
export async function greenPng(): Promise<{ name: string; mimeType: string; buffer: Buffer }> {
  const buffer = Buffer.from(await plainPicture([20, 240, 30], { width: 32, height: 32 }));
  return { name: 'green.png', mimeType: 'image/png', buffer };
}

/** Waits until an upload was searched with: its vector is in the address. */
export async function searched(page: Page): Promise<void> {
  await page.waitForSelector('.found ol.grid .tile[data-id]');
  await page.waitForFunction(() => /like=up/.test(location.hash) && /\.[\w-]{20,}/.test(location.hash));
}

/** The names under the pictures, in order. */
export function tileNames(page: Page): Promise<string[]> {
  return page.locator('.tile-name').allInnerTexts();
}

/** What axe (all its rules, WCAG 2.2 AA among them) finds wrong, one line each. */
export async function axeViolations(page: Page): Promise<string[]> {
  await settled(page);
  axe ??= readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(await axe);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 160)}`);
  });
}

/** By how many pixels the page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

// --- internal ---

let axe: Promise<string> | undefined;

/** Waits until the colours and places that a change of theme or width moves are where they belong. */
async function settled(page: Page): Promise<void> {
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  await page.waitForTimeout(200);
  await page.waitForFunction(() =>
    document.getAnimations().every(({ playState, effect }) => {
      return playState !== 'running' || effect?.getComputedTiming().iterations === Number.POSITIVE_INFINITY;
    }),
  );
}
