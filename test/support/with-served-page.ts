/** For the tests of the page: a small catalogue, served, and a browser, for as long as a file's tests run. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import { launchChromium } from './chromium.js';
import { type ServedPage, servePage } from './served-page.js';
import { writeTinyCatalog } from './tiny-catalog.js';

/** What the hooks start; there is nothing of it before they ran. */
export interface Stage {
  /** Where model, pictures and catalogue are. */
  folder: string;
  server: ServedPage;
  browser: Browser;
}

/** Registers the hooks that start and end it. */
export function withServedPage(catalog: Parameters<typeof writeTinyCatalog>[1] = {}): Stage {
  const stage: Partial<Stage> = {};
  beforeAll(async () => {
    stage.folder = await mkdtemp(join(tmpdir(), 'semblance-page-'));
    stage.server = await servePage(await writeTinyCatalog(stage.folder, catalog));
    stage.browser = await launchChromium();
  });
  afterAll(async () => {
    await stage.browser?.close();
    await stage.server?.close();
    if (stage.folder !== undefined) await rm(stage.folder, { recursive: true, force: true });
  });
  return stage as Stage;
}
