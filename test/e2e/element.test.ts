/** `<semblance-search>` and its React wrapper in a real Chromium, on pages of another origin than the real server's. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { Browser, Page, Request } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Hit, SemblanceSearchElement } from '../../web/element/public.js';
import { findChromium, launchChromium, whyNoChromium } from '../support/chromium.js';
import { axeViolations, greenPng, type ServedPage, servePage } from '../support/served-page.js';
import { writeTinyCatalog } from '../support/tiny-catalog.js';

const root = join(import.meta.dirname, '..', '..');
const ELEMENT = join(root, 'dist', 'web', 'element.js');
const REACT = join(root, 'dist', 'react', 'index.js');

test('the element is at most 60 kB gzipped', async () => {
  expect(gzipSync(await readFile(ELEMENT)).length).toBeLessThanOrEqual(60_000);
});

test('both packages load where there is no DOM, and React renders the tag there', async () => {
  const code = `
    import 'semblance/element';
    import { SemblanceSearch } from 'semblance/react';
    import { createElement } from 'react';
    import { renderToString } from 'react-dom/server';
    const filter = [{ column: 'hue', anyOf: ['red'] }];
    console.log(renderToString(createElement(SemblanceSearch, { server: 'https://a.example', filter })));`;
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { cwd: root });
  expect((await run).stdout.trim()).toBe(
    '<semblance-search server="https://a.example" ' +
      'filter="[{&quot;column&quot;:&quot;hue&quot;,&quot;anyOf&quot;:[&quot;red&quot;]}]"></semblance-search>',
  );
});

describe.skipIf(findChromium() === undefined)(`the element${whyNoChromium()}`, () => {
  let folder: string;
  let site: Server;
  let origin: string;
  let served: ServedPage;
  let browser: Browser;
  /** What the site answers, by path. */
  const pages = new Map<string, { type: string; body: string }>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'semblance-element-'));
    site = createServer((request, response) => {
      const found = pages.get(request.url ?? '');
      response.writeHead(found === undefined ? 404 : 200, { 'content-type': found?.type ?? 'text/plain' });
      response.end(found?.body);
    });
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
    served = await servePage(await writeTinyCatalog(folder), ['--cors', origin]);
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await served?.close();
    site?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });

  /** Opens a page of the site with some markup; what the elements tell is kept in `window.told`. */
  async function open(body: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
    const html = `<!doctype html><html lang="en"><title>A shop</title>
      <script>
        window.told = [];
        for (const name of ['results', 'select', 'error'])
          document.addEventListener('semblance-' + name, (event) => {
            told.push({ name, detail: event.detail, from: event.target.id });
            if (name === 'select' && window.isPrevented) event.preventDefault();
          });
      </script>
      <script type="module" src="${served.address}/element.js"></script>
      <main><h1>A shop</h1>${body.replaceAll('SERVER', served.address)}</main></html>`;
    pages.set('/shop', { type: 'text/html', body: html });
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 }, ...options });
    page.setDefaultTimeout(20_000);
    await page.goto(`${origin}/shop`);
    await page.waitForFunction(() => customElements.get('semblance-search') !== undefined);
    return page;
  }

  async function upload(page: Page, element = 'semblance-search'): Promise<void> {
    await page
      .locator(`${element} [data-intake=file]`)
      .first()
      .setInputFiles(await greenPng());
    await page.locator(`${element} .tile[data-id]`).first().waitFor();
  }

  const ids = (page: Page, element = 'semblance-search') =>
    page
      .locator(`${element} .tile[data-id]`)
      .evaluateAll((tiles) => tiles.map((tile) => (tile as HTMLElement).dataset.id));

  const told = (page: Page, name: string) =>
    page.evaluate(
      (name) =>
        (window as unknown as { told: { name: string; detail: Hit; from: string }[] }).told.filter(
          (one) => one.name === name,
        ),
      name,
    );

  function searches(page: Page): Request[] {
    const sent: Request[] = [];
    page.on('request', (request) => {
      if (request.url().endsWith('/v1/search') && request.method() === 'POST') sent.push(request);
    });
    return sent;
  }

  test('searches by an uploaded file, and the slider ranks again without uploading', async () => {
    const page = await open('<semblance-search server="SERVER"></semblance-search>');
    const sent = searches(page);
    await upload(page);
    expect((await ids(page))[0]).toMatch(/^pictures\/green/);
    expect(sent[0]?.headers()['content-type']).toMatch(/^multipart/);
    const fine = await page.evaluate(() =>
      document.querySelector('semblance-search')!.hits.map((h) => h.score),
    );
    await page.locator('semblance-search').getByRole('button', { name: 'Same kind' }).click();
    await page.waitForFunction(() => document.querySelector('semblance-search')!.response?.granularity === 1);
    const coarse = await page.evaluate(() =>
      document.querySelector('semblance-search')!.hits.map((h) => h.score),
    );
    expect(coarse).not.toEqual(fine);
    await page.locator('#granularity').press('ArrowLeft');
    await page.waitForFunction(
      () => document.querySelector('semblance-search')!.response?.granularity === 0.99,
    );
    expect(await page.evaluate(() => document.querySelector('semblance-search')!.granularity)).toBe(0.99);
    expect(sent.slice(1).every((request) => /json/.test(request.headers()['content-type'] ?? ''))).toBe(true);
    // Nothing of it is in the page around.
    expect(page.url()).toBe(`${origin}/shop`);
    expect(await page.evaluate(() => history.length)).toBeLessThanOrEqual(2);
    expect(await page.evaluate(() => document.styleSheets.length + document.adoptedStyleSheets.length)).toBe(
      0,
    );
    await page.close();
  });

  test('tells which hit was chosen, and searches with it unless the page does something else', async () => {
    const page = await open('<semblance-search server="SERVER" limit="5"></semblance-search>');
    await page.evaluate(() => {
      (window as unknown as { isPrevented: boolean }).isPrevented = true;
    });
    await upload(page);
    const shown = await ids(page);
    expect(shown).toHaveLength(5);
    await page.locator('.tile-picture').nth(2).click();
    const [selected] = await told(page, 'select');
    expect(selected?.detail.id).toBe(shown[2]);
    expect(selected?.detail.rank).toBe(3);
    expect(await ids(page)).toEqual(shown);
    await page.evaluate(() => {
      (window as unknown as { isPrevented: boolean }).isPrevented = false;
    });
    await page.locator('.tile-picture').nth(2).click();
    // A picture of the catalogue is no hit for itself.
    await page.waitForFunction(
      (id) => document.querySelector('semblance-search')!.hits.every((hit) => hit.id !== id),
      shown[2],
    );
    await page.locator('semblance-search').getByRole('button', { name: 'Show more' }).click();
    await page.waitForFunction(() => document.querySelectorAll('semblance-search')[0]!.hits.length === 10);
    await page.locator('.tile').nth(1).hover();
    await page.locator('.tile').nth(1).getByRole('button', { name: 'Less like this' }).click();
    await page.locator('.example-less').waitFor();
    await page.close();
  });

  test('filters by attribute and by what a visitor chooses; methods and properties work', async () => {
    const page = await open(
      `<semblance-search server="SERVER" group-by="item" facets="hue,price"
        filter='[{"column":"hue","noneOf":["green"]}]'></semblance-search>`,
    );
    await upload(page);
    const allowed = await ids(page);
    expect(allowed).toHaveLength(8); // items of two hues, the second picture of each first one left out
    expect(allowed.some((id) => id?.includes('green'))).toBe(false);
    await page.locator('.facet-value', { hasText: 'blue' }).locator('input').check();
    await page.waitForFunction(() =>
      document.querySelector('semblance-search')!.hits.every(({ itemId }) => itemId.startsWith('blue')),
    );
    const found = await page.evaluate(async () => {
      const element = document.querySelector('semblance-search')!;
      element.clear();
      element.filter = [{ column: 'price', noneOf: ['0', '1', '2'] }];
      element.groupBy = 'none';
      const { hits } = await element.search({ id: 'pictures/red 0.png' });
      const gone = element.search({ id: 'pictures/red 1.png' }).catch((error) => error.name);
      await element.search([{ id: 'pictures/red 4.png' }, { id: 'pictures/blue 0.png', weight: -1 }]);
      const refused = await element.search({ id: 'no such' }).catch((error) => error.message);
      return { count: hits.length, gone: await gone, refused };
    });
    // Red 3 and 4, and all of green and blue.
    expect(found).toMatchObject({
      count: 12,
      gone: 'AbortError',
      refused: expect.stringContaining('no such'),
    });
    await page.locator('[role=alert]').waitFor();
    expect((await told(page, 'error')).map(({ detail }) => detail)).toMatchObject([
      { kind: 'problem', status: 404 },
    ]);
    await page.evaluate(() => document.querySelector('semblance-search')!.setAttribute('filter', '{no'));
    expect((await told(page, 'error')).at(-1)?.detail).toMatchObject({
      kind: 'setting',
      message: expect.stringContaining('filter must be a list of conditions'),
    });
    await page.close();
  });

  test('two elements on a page share nothing', async () => {
    const page = await open(
      `<semblance-search id="one" server="SERVER"></semblance-search>
       <semblance-search id="two" server="SERVER" granularity="category" api-key="secret"></semblance-search>`,
    );
    const headers: (string | undefined)[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/image')) headers.push(request.headers().authorization);
    });
    await upload(page, '#one');
    expect(await page.locator('#two .tile').count()).toBe(0);
    expect(headers.filter((key) => key !== undefined)).toEqual([]);
    await page.evaluate(() => {
      const element = document.querySelector<SemblanceSearchElement>('#two')!;
      element.strings = { level: { item: 'Même article' } };
      return element.search({ id: 'pictures/blue 0.png' });
    });
    expect((await ids(page, '#one'))[0]).toMatch(/green/);
    expect((await ids(page, '#two'))[0]).toMatch(/blue/);
    await page.waitForFunction(() => {
      const image = document.querySelector('#two')!.shadowRoot!.querySelector<HTMLImageElement>('.tile img');
      return image?.src.startsWith('blob:') && image.naturalWidth > 0;
    });
    expect(headers.filter((key) => key === 'Bearer secret').length).toBeGreaterThan(0);
    expect(await page.locator('#two .slider-stops button').first().textContent()).toBe('Même article');
    expect(await page.locator('#one .slider-stops button').first().textContent()).toBe('Same item');
    await page.locator('#one').getByRole('button', { name: 'Same look' }).click();
    await page.waitForFunction(
      () => document.querySelector<SemblanceSearchElement>('#one')!.response?.granularity === 0.5,
    );
    expect(
      await page.evaluate(
        () => document.querySelector<SemblanceSearchElement>('#two')!.response?.granularity,
      ),
    ).toBe(1);
    const from = new Set((await told(page, 'results')).map((one) => one.from));
    expect([...from].sort()).toEqual(['one', 'two']);
    await page.close();
  });

  test('variables of the page around change its colours, and its own theme the rest', async () => {
    const page = await open(
      `<style>.shop { --semblance-accent: rgb(120, 20, 90) }</style>
       <div class="shop"><semblance-search id="one" server="SERVER" theme="light"></semblance-search></div>
       <semblance-search id="two" server="SERVER" theme="dark"></semblance-search>`,
    );
    const colour = (element: string) =>
      page
        .locator(`${element} .button-primary`)
        .evaluate((button) => getComputedStyle(button).backgroundColor);
    expect(await colour('#one')).toBe('rgb(120, 20, 90)');
    expect(await colour('#two')).toBe('rgb(147, 171, 255)');
    const ground = (element: string) =>
      page.locator(element).evaluate((host) => getComputedStyle(host).backgroundColor);
    expect(await ground('#one')).toBe('rgb(250, 250, 248)');
    expect(await ground('#two')).toBe('rgb(16, 17, 20)');
    await page.close();
  });

  test.each(['light', 'dark'] as const)('has no axe violation, %s', async (colorScheme) => {
    const options = { colorScheme, reducedMotion: 'reduce' } as const;
    const page = await open('<semblance-search server="SERVER"></semblance-search>', options);
    expect(await axeViolations(page)).toEqual([]);
    await upload(page);
    await page.waitForTimeout(500);
    expect(await axeViolations(page)).toEqual([]);
    await page.setViewportSize({ width: 360, height: 800 });
    expect(await axeViolations(page)).toEqual([]);
    expect(
      await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
    ).toBeLessThanOrEqual(0);
    await page.close();
  });

  test('says that no server answers, and an element that is moved goes on', async () => {
    const page = await open('<semblance-search server="http://127.0.0.1:9/"></semblance-search>');
    await page
      .locator('[data-intake=file]')
      .first()
      .setInputFiles(await greenPng());
    await page.getByText('The server does not answer').waitFor();
    expect((await told(page, 'error'))[0]?.detail).toMatchObject({ kind: 'offline', status: 0 });
    await page.evaluate((server) => {
      const element = document.querySelector('semblance-search')!;
      element.remove();
      element.server = server;
      document.body.append(element);
    }, served.address);
    await page.locator('.tile[data-id]').first().waitFor();
    await page.close();
  });

  test('works in React: props, callbacks and the ref', async () => {
    pages.set('/app.js', { type: 'text/javascript', body: await bundle(REACT_APP) });
    pages.set('/app', {
      type: 'text/html',
      body: '<!doctype html><html lang="en"><title>App</title><div id="app"></div><script type="module" src="/app.js"></script></html>',
    });
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    page.setDefaultTimeout(20_000);
    const failures: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') failures.push(message.text());
    });
    await page.goto(`${origin}/app#${served.address}`);
    await page.getByRole('button', { name: 'Search red' }).click();
    await page.getByText(/^7 hits, first pictures\/red/).waitFor();
    await page.getByRole('button', { name: 'Only blue' }).click();
    await page.getByText(/^5 hits, first pictures\/blue/).waitFor();
    await page.locator('semblance-search .tile-picture').first().click();
    await page.getByText(/^chosen pictures\/blue/).waitFor();
    expect(await page.locator('semblance-search').getAttribute('class')).toBe('finder');
    expect(await page.locator('semblance-search .example').count()).toBe(1);
    await page.getByRole('button', { name: 'Away' }).click();
    await page.locator('semblance-search').waitFor({ state: 'detached' });
    expect(failures).toEqual([]);
    await page.close();
  });
});

// --- internal ---

const REACT_APP = `
import { createElement as h, StrictMode, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { SemblanceSearch } from 'semblance/react';
function App() {
  const search = useRef(null);
  const [text, setText] = useState('');
  const [hues, setHues] = useState(['red', 'green']);
  const [isThere, setThere] = useState(true);
  return h('main', null,
    h('button', { onClick: () => search.current.search({ id: 'pictures/red 0.png' }) }, 'Search red'),
    h('button', { onClick: () => setHues(['blue']) }, 'Only blue'),
    h('button', { onClick: () => setThere(false) }, 'Away'),
    h('p', null, text),
    isThere && h(SemblanceSearch, {
      ref: search, server: location.hash.slice(1), className: 'finder', limit: 50,
      filter: [{ column: 'hue', anyOf: hues }, { column: 'price', noneOf: ['1', '2'] }],
      onResults: ({ hits }) => setText(hits.length + ' hits, first ' + hits[0].id),
      onSelect: (hit, event) => { event.preventDefault(); setText('chosen ' + hit.id); },
    }));
}
createRoot(document.getElementById('app')).render(h(StrictMode, null, h(App)));
`;

/** An application's own build, with the packages as they are published. */
async function bundle(code: string): Promise<string> {
  const entry = join(root, 'an-application.js');
  const built = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    resolve: { alias: { 'semblance/element': ELEMENT, 'semblance/react': REACT } },
    build: { write: false, rolldownOptions: { input: entry } },
    plugins: [
      {
        name: 'application',
        resolveId: (id) => (id === entry ? id : undefined),
        load: (id) => (id === entry ? code : undefined),
      },
    ],
  });
  const { output } = (Array.isArray(built) ? built[0] : built) as {
    output: { type: string; code: string }[];
  };
  return output.find(({ type }) => type === 'chunk')!.code;
}
