/**
 * Disks that do not take what is written, with real ones: full, read-only, of another user. Each fault is one line that names
 * the file, nothing is lost, and readers go on. Skipped where this user may not mount a file system, or is not root.
 */
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LiveCatalog, verifyCatalog } from '../../src/catalog/index.js';
import { buildServer, type Server } from '../../src/server/index.js';
import { runMain } from '../support/run-main.js';
import { canMount, fillDisk, freeDisk, mountReadOnly, mountSmall, unmount } from '../support/small-disk.js';
import { canRunAs, startSemblance } from '../support/source-command.js';
import { plainPicture } from '../support/tiny-bundle.js';
import { type TinyCatalog, writeTinyCatalog } from '../support/tiny-catalog.js';
import { writeTinyManifest } from '../support/tiny-manifest.js';

let root = '';
let tiny: TinyCatalog;
let manifest = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-faults-'));
  tiny = await writeTinyCatalog(root);
  manifest = await writeTinyManifest(root, tiny);
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A small file system of its own, with a copy of the catalogue; twenty pictures of its own can be put. */
let disk = '';
let catalog = '';
let cases = 0;

const served = async (work: (server: Server) => Promise<void>, audit?: string) => {
  const live = await LiveCatalog.open(catalog, { threads: 1, pollMs: 0 });
  const server = await buildServer({ catalog: live, log: false, ...(audit === undefined ? {} : { audit }) });
  try {
    await work(server);
  } finally {
    await server.close();
    await live.close();
  }
};

const put = async (server: Server, id: string) =>
  await server.inject({
    method: 'PUT',
    url: `/v1/pictures/${id}`,
    payload: {
      picture: Buffer.from(
        await plainPicture([...id].map((letter) => letter.charCodeAt(0)) as never),
      ).toString('base64'),
      itemId: id,
    },
  });
const has = async (server: Server, id: string) => (await server.inject(`/v1/pictures/${id}`)).statusCode;
const search = async (server: Server) => {
  const answer = await server.inject({
    method: 'POST',
    url: '/v1/search',
    payload: { examples: [{ id: tiny.rows[0]?.relativePath }] },
  });
  expect(answer.statusCode).toBe(200);
  return answer.json().hits.map(({ id }: { id: string }) => id) as string[];
};
const problems = async () => (await verifyCatalog(catalog, { model: tiny.model })).problems;

/** One line of an error that names a file below the catalogue, and the reason of the system. */
const oneLine = (reason: string) =>
  new RegExp(`^semblance: \\S+: [^\\n]*cannot be written: ${reason}[^\\n]*\\n$`);

describe.skipIf(!canMount())('a disk (skipped where this user may not mount a tmpfs)', () => {
  beforeEach(async () => {
    disk = join(root, `disk-${cases++}`);
    catalog = join(disk, 'catalog');
    await mkdir(disk);
    mountSmall(disk, '2m');
    await cp(tiny.catalog, catalog, { recursive: true });
  });
  afterEach(() => unmount(disk));

  it('that is read-only is searched, verified, exported from and served', async () => {
    mountReadOnly(disk);
    try {
      const picture = tiny.rows[0]?.path as string;
      const found = await runMain('search', '--catalog', catalog, picture, '-k', '3', '--json');
      expect(found.stderr).toBe('');
      expect(JSON.parse(found.stdout).hits).toHaveLength(3);
      expect(await problems()).toEqual([]);
      const out = join(root, `export-${cases}`);
      expect((await runMain('catalog', 'export', '--catalog', catalog, '--out', out, '--quiet')).code).toBe(
        0,
      );
      for (const argv of [
        ['index', '--model', tiny.model, '--data', manifest, '--catalog', catalog, '--quiet'],
        ['catalog', 'verify', '--catalog', catalog, '--repair', '--quiet'],
        ['catalog', 'remove', '--catalog', catalog, tiny.rows[0]?.relativePath as string, '--yes', '--quiet'],
        ['catalog', 'export', '--catalog', catalog, '--out', join(disk, 'export'), '--quiet'],
        ['catalog', 'map', '--catalog', catalog, '--quiet'],
      ]) {
        const { code, stdout, stderr } = await runMain(...argv);
        expect([code, stdout, stderr], argv.join(' ')).toEqual([
          1,
          '',
          expect.stringMatching(oneLine('EROFS: read-only file system')),
        ]);
      }
      await served(
        async (server) => {
          const hits = await search(server);
          for (const answer of [
            await put(server, 'abc'),
            await server.inject({ method: 'DELETE', url: '/v1/pictures/abc' }),
          ])
            expect([answer.statusCode, answer.json().code, answer.json().detail]).toEqual([
              507,
              'cannot-write',
              'the file system of the server is read-only; searches go on',
            ]);
          expect(await search(server)).toEqual(hits);
        },
        join(catalog, 'audit.jsonl'),
      );
    } finally {
      mountReadOnly(disk, false);
    }
    expect(await problems()).toEqual([]);
  });

  it('that becomes full under a server refuses writes at any moment of them, and takes them when there is room', async () => {
    await served(async (server) => {
      const hits = await search(server);
      const stored: string[] = [];
      let refused = 0;
      // As little as a lock's file, then a picture's, then some of the store's do not fit.
      for (let kilobytes = 0; kilobytes <= 40; kilobytes += 4) {
        fillDisk(disk, kilobytes * 1024);
        const id = `a${String(kilobytes).padStart(2, '0')}`;
        const answer = await put(server, id);
        if (answer.statusCode === 201) stored.push(id);
        else {
          refused++;
          expect(answer.json(), id).toMatchObject({ status: 507, code: 'cannot-write' });
          expect(answer.json().detail).toMatch(/disk of the server is full/);
          expect(await has(server, id)).toBe(404);
          expect(await search(server)).toEqual(hits);
        }
        expect((await readdir(join(catalog, 'locks'))).filter((name) => name.endsWith('.lock'))).toEqual([]);
        freeDisk(disk);
        const later = `b${String(kilobytes).padStart(2, '0')}`;
        expect((await put(server, later)).statusCode).toBe(201);
        await server.inject({ method: 'DELETE', url: `/v1/pictures/${later}` });
      }
      expect(refused).toBeGreaterThan(2);
      for (const id of stored) expect(await has(server, id)).toBe(200);
    });
    const { problems: found, pictures } = await verifyCatalog(catalog, { model: tiny.model });
    // A picture whose record did not fit any more is nobody's, until the next `verify --repair`.
    expect(found.filter(({ kind }) => kind !== 'unused-picture')).toEqual([]);
    expect(pictures).toBeGreaterThan(tiny.rows.length);
  });

  it('that is full for the audit log: the write is not acknowledged, and later lines are whole', async () => {
    const small = join(root, `audit-${cases}`);
    await mkdir(small);
    mountSmall(small, '64k');
    const audit = join(small, 'audit.jsonl');
    try {
      await served(async (server) => {
        // Fills the page that the first lines are in, so that a line is torn.
        let acknowledged = 0;
        fillDisk(small, 4096);
        for (let n = 0; n < 60; n++) {
          const answer = await server.inject({ method: 'DELETE', url: `/v1/pictures/none-${n}` });
          if (answer.statusCode === 404) acknowledged++;
        }
        freeDisk(small);
        expect((await put(server, 'abc')).statusCode).toBe(201);
        const lines = (await readFile(audit, 'utf8')).trimEnd().split('\n');
        expect(JSON.parse(lines.at(-1) as string)).toMatchObject({ target: 'abc', status: 201 });
        expect(acknowledged).toBe(60);
        fillDisk(small, 0);
        let answer = await put(server, 'abd');
        for (let n = 0; n < 40 && answer.statusCode < 400; n++) answer = await put(server, 'abd');
        expect(answer.json()).toMatchObject({ status: 507, code: 'cannot-write' });
      }, audit);
    } finally {
      unmount(small);
    }
  });

  it('that becomes full while it is indexed into: one line, the same command goes on, searches too', async () => {
    const fresh = join(disk, 'fresh');
    const argv = ['index', '--model', tiny.model, '--data', manifest, '--catalog', fresh, '--quiet'];
    let refused = 0;
    for (let kilobytes = 0; kilobytes <= 48; kilobytes += 4) {
      fillDisk(disk, kilobytes * 1024);
      const { code, stderr } = await runMain(...argv);
      if (code !== 0) {
        refused++;
        expect([code, stderr]).toEqual([
          1,
          expect.stringMatching(oneLine('ENOSPC: no space left on device')),
        ]);
      }
      const again = await runMain('catalog', 'stats', '--catalog', catalog, '--json');
      expect(again.code).toBe(0);
    }
    expect(refused).toBeGreaterThan(2);
    freeDisk(disk);
    expect((await runMain(...argv)).stderr).toBe('');
    const { pictures, problems: found } = await verifyCatalog(fresh, { model: tiny.model });
    expect([pictures, found]).toEqual([tiny.rows.length, []]);
  });
});

const OTHER_USER = 65_534;

describe.skipIf(!canRunAs(OTHER_USER))(
  'a folder of another user (skipped where this one is not root, or others may not run what is here)',
  () => {
    const asOther = (...argv: string[]) => startSemblance(argv, { uid: OTHER_USER }).done;

    beforeEach(async () => {
      await chmod(root, 0o755);
      catalog = join(root, `others-${cases++}`);
      await cp(tiny.catalog, catalog, { recursive: true });
    });

    it('that may only be read is searched; what would write is one line', async () => {
      const picture = tiny.rows[0]?.path as string;
      const found = await asOther('search', '--catalog', catalog, picture, '-k', '3', '--json');
      expect(found.stderr).toBe('');
      expect(JSON.parse(found.stdout).hits).toHaveLength(3);
      const indexed = await asOther('index', '--model', tiny.model, '--data', manifest, '--catalog', catalog);
      expect([indexed.code, indexed.stderr]).toEqual([
        1,
        expect.stringMatching(oneLine('EACCES: permission denied')),
      ]);
      expect(await problems()).toEqual([]);
    });

    it('whose vectors may not be read: one line that says so, and no advice to make it anew', async () => {
      const [store = ''] = (await readdir(catalog)).filter((name) => name.startsWith('vectors-'));
      const data = join(catalog, store, 'pictures.lance', 'data');
      for (const name of await readdir(data)) await chmod(join(data, name), 0o600);
      const picture = tiny.rows[0]?.path as string;
      for (const argv of [
        ['search', '--catalog', catalog, picture],
        ['catalog', 'list', '--catalog', catalog],
      ]) {
        const { code, stderr } = await asOther(...argv);
        expect([code, stderr]).toEqual([
          1,
          expect.stringMatching(/^semblance: \S+: [^\n]*EACCES: permission denied[^\n]*\n$/),
        ]);
      }
      const verified = await asOther('catalog', 'verify', '--catalog', catalog, '--quiet');
      expect(verified.code).toBe(1);
      expect(verified.stdout).toMatch(/permission denied/);
      expect(verified.stdout).not.toMatch(/[Ii]ndex again/);
    });

    it('with files of root in it is written by a user who owns the folders', async () => {
      for (const entry of await readdir(catalog, { withFileTypes: true, recursive: true }))
        if (entry.isDirectory()) await chown(join(entry.parentPath, entry.name), OTHER_USER, OTHER_USER);
      await chown(catalog, OTHER_USER, OTHER_USER);
      const [first] = tiny.rows;
      const removed = await asOther(
        'catalog',
        'remove',
        '--catalog',
        catalog,
        first?.relativePath as string,
        '--yes',
        '--quiet',
      );
      expect([removed.code, removed.stderr]).toEqual([0, '']);
      const { pictures, problems: found } = await verifyCatalog(catalog, { model: tiny.model });
      expect([pictures, found]).toEqual([tiny.rows.length - 1, []]);
    });
  },
);
