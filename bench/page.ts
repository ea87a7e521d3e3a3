/**
 * The page in a real Chromium on a catalogue of any size: first useful paint, layout shift, frames while the slider and the map move,
 * and how long a new ranking takes. The catalogue is that of `bench/search.ts`, its pictures are two dozen that all records
 * share. Beside each time stands the processor time of page and server, which other work on the machine does not lengthen.
 * Run: `npm run build && npx tsx bench/page.ts [--pictures 100000] [--changes 40] [--folder <kept catalogue>] [--json]`
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Browser, CDPSession, Page } from 'playwright-core';
import sharp from 'sharp';
import { openEmbedder, writeBundle } from '../src/bundle/index.js';
import { hasCatalog, openCatalogForIndexing, type StoredRecord, writeMap } from '../src/catalog/index.js';
import { attributeCount } from '../src/granularity/index.js';
import { buildGraph, constant, input, matmul, reshape, sigmoid, unitLength } from '../src/graph/index.js';
import { writeModel } from '../src/onnx/index.js';
import { Random } from '../src/util/index.js';
import { launchChromium } from '../test/support/chromium.js';
import { servePage } from '../test/support/served-page.js';
import { tinyBundle } from '../test/support/tiny-bundle.js';
import { BENCH_LAYOUT, BENCH_SCHEMA, benchRecords } from './stored-vectors.js';
import { quantileText } from './support/times.js';

const { values } = parseArgs({
  options: {
    pictures: { type: 'string', default: '100000' },
    changes: { type: 'string', default: '40' },
    folder: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const count = Number(values.pictures);
const changes = Number(values.changes);
const CHUNK = 10_000;
const SHARED_PICTURES = 24;
const EMBEDDING = 320;

const folder = values.folder ?? (await mkdtemp(join(tmpdir(), 'semblance-bench-page-')));
const catalog = join(folder, 'catalog');
if (!(await hasCatalog(catalog))) await makeCatalog();
const server = await servePage({ catalog });
const browser = await launchChromium();
const results: Record<string, number | string> = {};
try {
  results.pictures = count;
  results['bundle without the map, kB gzipped'] = await bundleSize();
  await warm();
  await measureStart(browser);
  await measureSlider(browser);
  await measureMap(browser);
  results['load of the machine'] = loadavg()[0]!.toFixed(1);
} finally {
  await browser.close();
  await server.close();
  if (values.folder === undefined) await rm(folder, { recursive: true, force: true });
}
if (values.json) console.log(JSON.stringify(results));
else for (const [name, value] of Object.entries(results)) console.log(`| ${name} | ${value} |`);

// --- internal ---

/** The first search reads the catalogue into memory. */
async function warm(): Promise<void> {
  for (;;) {
    const answer = await fetch(`${server.address}/health/ready`);
    if (answer.ok) break;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await fetch(`${server.address}/v1/pictures/0.jpg/similar?limit=1`);
}

async function measureStart(browser: Browser): Promise<void> {
  const paints: number[] = [];
  const useful: number[] = [];
  let shift = 0;
  for (let n = 0; n < 5; n++) {
    const page = await watched(browser);
    await page.goto(`${server.address}/`);
    useful.push(await page.evaluate(() => (globalThis as unknown as Watch).firstPictures));
    await page.waitForTimeout(500);
    paints.push(
      await page.evaluate(
        () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
      ),
    );
    shift = Math.max(shift, await layoutShift(page));
    await page.context().close();
  }
  results['first paint, ms'] = quantileText(paints, 0.5);
  results['first pictures, ms'] = quantileText(useful, 0.5);
  results['layout shift, start'] = shift.toFixed(4);
}

async function measureSlider(browser: Browser): Promise<void> {
  const page = await watched(browser);
  await page.goto(`${server.address}/#/?like=id:0.jpg`);
  await page.evaluate(() => (globalThis as unknown as Watch).firstPictures);
  await page.waitForTimeout(1500);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const work = await taskSeconds(cdp);
  const times = await page.evaluate(async (changes) => {
    const slider = document.querySelector<HTMLInputElement>('#granularity')!;
    const grid = document.querySelector('.results-column')!;
    const times: number[] = [];
    for (let n = 0; n < changes; n++) {
      slider.value = String(((n + 1) * 37) % 101);
      const start = performance.now();
      const changed = new Promise<void>((resolve, reject) => {
        setTimeout(() => reject(new Error(`no new ranking within 20 s at ${slider.value}`)), 20_000);
        const observer = new MutationObserver((records) => {
          // Scores are another with each setting; the badge's text is the last thing that changes.
          if (!records.some(({ target }) => target.parentElement?.closest('.badge') != null)) return;
          observer.disconnect();
          requestAnimationFrame(() => resolve());
        });
        observer.observe(grid, { subtree: true, childList: true, characterData: true });
      });
      slider.dispatchEvent(new Event('input', { bubbles: true }));
      await changed;
      times.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    slider.dispatchEvent(new Event('change', { bubbles: true }));
    return times;
  }, changes);
  results['slider to new ranking, ms p50'] = quantileText(times, 0.5);
  results['slider to new ranking, ms p95'] = quantileText(times, 0.95);
  results['of it processor of the page, ms'] = (((await taskSeconds(cdp)) - work) * 1000) / changes;

  await page.waitForTimeout(500);
  const box = (await page.locator('#granularity').boundingBox())!;
  await page.mouse.move(box.x + 14, box.y + box.height / 2);
  await frames(page, cdp, 'slider', async () => {
    await page.mouse.down();
    for (let n = 0; n <= 60; n++) {
      const at = n <= 30 ? n / 30 : (60 - n) / 30;
      await page.mouse.move(box.x + 14 + at * (box.width - 28), box.y + box.height / 2);
      await page.waitForTimeout(16);
    }
    await page.mouse.up();
  });
  await page.waitForTimeout(500);
  results['layout shift, results and slider'] = (await layoutShift(page)).toFixed(4);
  await page.context().close();
}

async function measureMap(browser: Browser): Promise<void> {
  const page = await watched(browser);
  await page.goto(`${server.address}/#/map`);
  const start = Date.now();
  await page.waitForSelector('.in-view-picture', { timeout: 60_000 });
  results['map open, ms'] = Date.now() - start;
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Performance.enable', { timeDomain: 'threadTicks' });
  const box = (await page.locator('.map-frame').boundingBox())!;
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await frames(page, cdp, 'map', async () => {
    for (let n = 0; n < 25; n++) {
      await page.mouse.wheel(0, n < 12 ? -60 : 60);
      await page.waitForTimeout(16);
    }
    await page.mouse.down();
    for (let n = 0; n <= 30; n++) {
      await page.mouse.move(x + Math.sin(n / 5) * 120, y + Math.cos(n / 5) * 90);
      await page.waitForTimeout(16);
    }
    await page.mouse.up();
  });
  await page.waitForTimeout(500);
  results['layout shift, map'] = (await layoutShift(page)).toFixed(4);
  await page.context().close();
}

interface Watch {
  firstPictures: Promise<number>;
  shift: number;
}

/** A page that notes when the first pictures are seen, and every shift of its layout that no input caused. */
async function watched(browser: Browser): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  // tsx names functions by a helper of its own, which the page does not have.
  await page.addInitScript('globalThis.__name = (named) => named');
  await page.addInitScript(() => {
    const watch = globalThis as unknown as Watch;
    watch.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & {
        value: number;
        hadRecentInput: boolean;
      })[])
        if (!entry.hadRecentInput) watch.shift += entry.value;
    }).observe({ type: 'layout-shift', buffered: true });
    watch.firstPictures = new Promise((resolve) => {
      const look = () => {
        const seen = [...document.querySelectorAll<HTMLImageElement>('.tile[data-id] img')].filter(
          (image) => image.complete && image.naturalWidth > 0,
        );
        if (seen.length >= 4) requestAnimationFrame(() => resolve(performance.now()));
        else requestAnimationFrame(look);
      };
      look();
    });
  });
  return page;
}

function layoutShift(page: Page): Promise<number> {
  return page.evaluate(() => (globalThis as unknown as Watch).shift);
}

/** Intervals between frames while something moves, and the processor time of the page's main thread in each. */
async function frames(page: Page, cdp: CDPSession, name: string, move: () => Promise<void>): Promise<void> {
  await page.evaluate(() => {
    const held = globalThis as unknown as { frameTimes: number[]; isOver: boolean };
    held.frameTimes = [];
    held.isOver = false;
    const tick = (now: number) => {
      held.frameTimes.push(now);
      if (!held.isOver) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  const before = await taskSeconds(cdp);
  await move();
  const spent = (await taskSeconds(cdp)) - before;
  const stamps = await page.evaluate(() => {
    const held = globalThis as unknown as { frameTimes: number[]; isOver: boolean };
    held.isOver = true;
    return held.frameTimes;
  });
  const gaps = stamps.slice(1).map((stamp, i) => stamp - stamps[i]!);
  results[`frames, ${name}: per second`] = ((1000 * gaps.length) / (stamps.at(-1)! - stamps[0]!)).toFixed(1);
  results[`frames, ${name}: interval p95, ms`] = quantileText(gaps, 0.95);
  results[`frames, ${name}: processor of the page a frame, ms`] = ((spent * 1000) / gaps.length).toFixed(1);
}

async function taskSeconds(cdp: CDPSession): Promise<number> {
  const { metrics } = await cdp.send('Performance.getMetrics');
  return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN;
}

async function bundleSize(): Promise<string> {
  const assets = join(import.meta.dirname, '..', 'dist', 'web', 'assets');
  let bytes = 0;
  for (const file of await readdir(assets))
    if (!file.startsWith('map-')) bytes += gzipSync(await readFile(join(assets, file))).length;
  return (bytes / 1000).toFixed(1);
}

/** A real catalogue: a bundle whose vectors have the bench's layout, records that share pictures, a map of their two coarsest axes. */
async function makeCatalog(): Promise<void> {
  await mkdir(join(folder, 'pictures'), { recursive: true });
  for (let n = 0; n < SHARED_PICTURES; n++) {
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400"><rect width="400" height="400" fill="hsl(${n * 15} 60% 80%)"/><circle cx="200" cy="200" r="${60 + 5 * n}" fill="hsl(${n * 15} 70% 40%)"/></svg>`;
    await writeFile(join(folder, 'pictures', `${n}.jpg`), await sharp(Buffer.from(svg)).jpeg().toBuffer());
  }
  const random = Random.from(1);
  const weights = (columns: number) =>
    constant(
      Array.from({ length: 192 * columns }, () => random.normal() / 14),
      [192, columns],
    );
  const pixels = input('pixel_values', 'float32', ['N', 3, 8, 8]);
  const flat = reshape(pixels, [0, 192]);
  const graph = buildGraph([pixels], {
    image_embeds: unitLength(matmul(flat, weights(EMBEDDING))),
    attributes: sigmoid(matmul(flat, weights(attributeCount(BENCH_SCHEMA)))),
  });
  const tiny = tinyBundle();
  const card = { ...tiny.card, dimension: EMBEDDING, schema: BENCH_SCHEMA };
  await writeBundle(join(folder, 'model'), { ...tiny, onnxModel: writeModel(graph), card });
  const embedder = await openEmbedder(join(folder, 'model'), { threads: 1 });
  const { catalog: opened, publish } = await openCatalogForIndexing(catalog, embedder.bundle, {
    attributes: ['subgroup', 'group', 'tags', 'hundredth', 'tenth', 'price'],
    numericAttributes: ['price'],
  });
  const ids: string[] = [];
  const positions = new Float32Array(2 * count);
  for (let start = 0; start < count; start += CHUNK) {
    const records = benchRecords(start, Math.min(start + CHUNK, count)).map((record, n) => ({
      ...record,
      fields: { ...record.fields, path: [join(folder, 'pictures', `${(start + n) % SHARED_PICTURES}.jpg`)] },
    }));
    for (const { id, vector, fields } of records) {
      const group = Number((fields as StoredRecord['fields']).group?.[0]?.split('-')[1] ?? 0);
      const angle = (group / 8) * 2 * Math.PI;
      positions[2 * ids.length] = clamp(0.5 + 0.3 * Math.cos(angle) + 1.2 * vector[0]!);
      positions[2 * ids.length + 1] = clamp(0.5 + 0.3 * Math.sin(angle) + 1.2 * vector[1]!);
      ids.push(id);
    }
    await opened.store.upsert(records);
    process.stderr.write(`\r${ids.length} of ${count} pictures`);
  }
  process.stderr.write('\n');
  await publish();
  const { vectorHash } = embedder.bundle;
  const madeAt = '2026-01-01T00:00:00.000Z';
  await writeMap(catalog, { vectorHash, fingerprint: '', granularity: 0.5, seed: 0, madeAt, ids, positions });
  await opened.close();
  await embedder.close();
  if (BENCH_LAYOUT.size !== opened.layout.size) throw new Error('internal: the layouts differ');
}

function clamp(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}
