/**
 * Two processes on one catalogue or one model bundle, real ones: the second writer waits and says for whom, readers go on, and what either was
 * acknowledged is there in the end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openEmbedder, readBundle } from '../../src/bundle/index.js';
import {
  LiveCatalog,
  openCatalogForIndexing,
  readDescription,
  sweepStores,
  verifyCatalog,
} from '../../src/catalog/index.js';
import { buildServer } from '../../src/server/index.js';
import { runMain } from '../support/run-main.js';
import { writeSmallNetworkBundle } from '../support/small-network-bundle.js';
import { type Started, startSemblance } from '../support/source-command.js';
import { plainPicture, writeTinyBundle } from '../support/tiny-bundle.js';
import { type TinyCatalog, writeTinyCatalog } from '../support/tiny-catalog.js';
import { writeTinyManifest } from '../support/tiny-manifest.js';

let root = '';
let tiny: TinyCatalog;
let manifest = '';
let otherModel = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-two-'));
  tiny = await writeTinyCatalog(root);
  manifest = await writeTinyManifest(root, tiny);
  otherModel = await writeTinyBundle(join(root, 'other'), { offset: -0.4 });
});
afterAll(() => rm(root, { recursive: true, force: true }));

let catalog = '';
let cases = 0;
beforeEach(async () => {
  catalog = join(root, `catalog-${cases++}`);
  await cp(tiny.catalog, catalog, { recursive: true });
});

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
const indexArguments = (model = tiny.model) => [
  ...['index', '--model', model, '--data', manifest, '--catalog', catalog, '--threads', '1', '--quiet'],
];
const whole = async (model = tiny.model) => {
  const { pictures, problems } = await verifyCatalog(catalog, { model });
  expect(problems).toEqual([]);
  return pictures;
};

/** Starts an indexing run and stops it where it holds the lock of such runs, and not that of a write. */
async function stoppedIndexing(model?: string): Promise<Started> {
  const started = startSemblance(indexArguments(model));
  const [index, write] = ['index', 'write'].map((name) => join(catalog, 'locks', `${name}.lock`)) as [
    string,
    string,
  ];
  for (let isStopped = false; !isStopped; ) {
    if (started.child.exitCode !== null) throw new Error('the indexing run ended before it was stopped');
    if (!(await exists(index))) await new Promise((resolve) => setTimeout(resolve, 2));
    else {
      started.child.kill('SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, 10)); // it stands still a moment later
      const isHeld = (await readFile(index, 'utf8').catch(() => '')) !== '';
      isStopped = isHeld && !(await exists(write));
      if (!isStopped) {
        started.child.kill('SIGCONT');
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  }
  return started;
}

/** Takes a lock in the name of a process that does nothing else: killed, it has left the lock behind. */
async function holdLock(file: string): Promise<ChildProcess> {
  const holder = spawn('sleep', ['120']);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${holder.pid}\n${hostname()}\ntoken\n`);
  return holder;
}

const search = async () => {
  const { code, stdout } = await runMain(
    ...['search', '--catalog', catalog, tiny.rows[0]?.path as string, '-k', '3', '--json'],
  );
  expect(code).toBe(0);
  return JSON.parse(stdout).hits.map(({ id }: { id: string }) => id) as string[];
};

// Each starts processes from the sources, which takes long where the machine is busy.
describe('two processes on one catalogue', { timeout: 180_000 }, () => {
  it('index: the second waits, and names the first; searches, exports and checks go on', async () => {
    const before = await search();
    const first = await stoppedIndexing();
    const second = startSemblance(indexArguments());
    try {
      await second.said(`waiting for process ${first.child.pid}, which writes to ${catalog}\n`);
      expect(await search()).toEqual(before);
      expect(await whole()).toBe(tiny.rows.length);
      const out = join(root, `export-${cases}`);
      expect((await runMain('catalog', 'export', '--catalog', catalog, '--out', out, '--quiet')).code).toBe(
        0,
      );
    } finally {
      first.child.kill('SIGCONT');
    }
    const [one, two] = await Promise.all([first.done, second.done]);
    expect([one.code, two.code]).toEqual([0, 0]);
    expect(await whole()).toBe(tiny.rows.length);
  });

  it('an import waits for an indexing run with another model, and does not undo it', async () => {
    const out = join(root, `export-${cases}`);
    expect((await runMain('catalog', 'export', '--catalog', catalog, '--out', out, '--quiet')).code).toBe(0);
    const indexing = await stoppedIndexing(otherModel);
    const importing = startSemblance(['catalog', 'import', out, '--catalog', catalog, '--quiet']);
    try {
      await importing.said(`waiting for process ${indexing.child.pid}, `);
    } finally {
      indexing.child.kill('SIGCONT');
    }
    expect((await indexing.done).code).toBe(0);
    const { code, stderr } = await importing.done;
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/the catalogue must have the same model as is given[^\n]*\n$/),
    ]);
    expect(await whole(otherModel)).toBe(tiny.rows.length);
  });

  it('a server writes beside an indexing run: what it acknowledged is there with either model', async () => {
    const live = await LiveCatalog.open(catalog, { threads: 1, pollMs: 0 });
    const server = await buildServer({ catalog: live, log: false });
    try {
      const indexing = startSemblance(indexArguments(otherModel));
      const acknowledged: string[] = [];
      let isDone = false;
      void indexing.done.then(() => {
        isDone = true;
      });
      for (let n = 0; !isDone; n++) {
        const answer = await server.inject({
          method: 'PUT',
          url: `/v1/pictures/written-${n}`,
          payload: {
            picture: Buffer.from(await plainPicture([n % 256, 90, 10])).toString('base64'),
            itemId: 'written',
          },
        });
        if (answer.statusCode === 201) acknowledged.push(`written-${n}`);
        else expect(answer.json()).toEqual({});
      }
      expect((await indexing.done).code).toBe(0);
      expect(acknowledged.length).toBeGreaterThan(3);
      await live.refresh();
      const found = await live.use(({ catalog: { store } }) => store.get(acknowledged));
      expect(found.filter((record) => record === undefined)).toEqual([]);
    } finally {
      await server.close();
      await live.close();
    }
    await whole(otherModel);
  });

  it('a write waits for one that takes long, says for whom after two seconds, and goes on when that is gone', async () => {
    const holder = await holdLock(join(catalog, 'locks', 'write.lock'));
    const id = tiny.rows[0]?.relativePath as string;
    const removing = startSemblance(['catalog', 'remove', '--catalog', catalog, id, '--yes', '--quiet']);
    try {
      await removing.said(`waiting for process ${holder.pid}, which writes to ${catalog}\n`);
      expect(await search()).toContain(id);
    } finally {
      holder.kill('SIGKILL');
    }
    expect((await removing.done).code).toBe(0);
    expect(await whole()).toBe(tiny.rows.length - 1);
  });

  it('tuning builds no index while another process writes', async () => {
    const holder = await holdLock(join(catalog, 'locks', 'write.lock'));
    const { store } = (await readDescription(catalog)).description;
    const plan = join(catalog, store, 'index-plan.json');
    const tuning = startSemblance(['catalog', 'tune', '--catalog', catalog, '--quiet']);
    try {
      await tuning.said(`waiting for process ${holder.pid}, which writes to ${catalog}\n`);
      expect(await exists(plan)).toBe(false);
    } finally {
      holder.kill('SIGKILL');
    }
    expect((await tuning.done).code).toBe(0);
    expect(await exists(plan)).toBe(true);
  });

  it('tuning keeps the store that it reads, and ends in one line where the catalogue moves to another model', async () => {
    const holder = await holdLock(join(catalog, 'locks', 'write.lock'));
    const { store } = (await readDescription(catalog)).description;
    const tuning = startSemblance(['catalog', 'tune', '--catalog', catalog, '--quiet']);
    const waiting = `waiting for process ${holder.pid}, which writes to ${catalog}\n`;
    try {
      await tuning.said(waiting);
      // The holder of the lock moves the catalogue to another model, more than ten minutes ago.
      const embedder = await openEmbedder(otherModel, { threads: 1 });
      const moved = await openCatalogForIndexing(catalog, embedder.bundle, { attributes: [] });
      await moved.publish();
      await moved.catalog.close();
      await embedder.close();
      const file = join(catalog, 'catalog.json');
      const description = JSON.parse(await readFile(file, 'utf8'));
      description.previous.retiredAt = '2020-01-01T00:00:00.000Z';
      await writeFile(file, JSON.stringify(description));
      expect(await sweepStores(catalog)).toEqual([]);
      expect(await exists(join(catalog, store))).toBe(true);
    } finally {
      holder.kill('SIGKILL');
    }
    const { code, stdout, stderr } = await tuning.done;
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.replace(waiting, '')).toMatch(
      /^[^\n]*the catalogue moved to another model\. Run it again\n$/,
    );
    expect(await exists(join(catalog, store))).toBe(false);
    expect(await readdir(join(catalog, 'locks'))).toEqual([]);
  });

  it('a calibration that comes during an indexing run stays', async () => {
    const model = join(root, `model-${cases}`);
    await cp(tiny.model, model, { recursive: true });
    const indexing = await stoppedIndexing(model);
    let fitted: unknown;
    try {
      const calibrated = await runMain(
        ...['calibrate', '--model', model, '--data', manifest, '--split', 'test', '--catalog', catalog],
        ...['--quiet', '--json'],
      );
      expect(calibrated.stderr).toBe('');
      fitted = JSON.parse(calibrated.stdout).levels;
    } finally {
      indexing.child.kill('SIGCONT');
    }
    expect((await indexing.done).code).toBe(0);
    const { calibration } = (await readDescription(catalog)).description;
    expect(JSON.parse(JSON.stringify(calibration?.levels))).toEqual(fitted);
    expect(JSON.parse(await readFile(join(catalog, 'catalog.json'), 'utf8')).calibration.levels).toEqual(
      fitted,
    );
  });
});

it('two processes that change one model bundle take turns, and neither undoes the other', {
  timeout: 180_000,
}, async () => {
  const model = await writeSmallNetworkBundle(await mkdtemp(join(root, 'bundle-')));
  const holder = await holdLock(join(dirname(model), '.network.lock'));
  const changes = [
    startSemblance(['export', '--model', model, '--fp16', '--quiet']),
    startSemblance([...['calibrate', '--model', model, '--data', manifest], '--split', 'test', '--quiet']),
  ];
  try {
    for (const change of changes)
      await change.said(`waiting for process ${holder.pid}, which writes to ${model}\n`);
    expect((await readBundle(model)).variants).toEqual({});
  } finally {
    holder.kill('SIGKILL');
  }
  for (const { done } of changes) expect((await done).code).toBe(0);
  const { card, variants } = await readBundle(model);
  expect([card.calibration?.levels.length, Object.keys(variants)]).toEqual([1, ['fp16']]);
  expect(await readdir(dirname(model))).toEqual(['network']);
});
