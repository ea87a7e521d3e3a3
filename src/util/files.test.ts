import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CliError,
  DataError,
  errorMessage,
  readJson,
  sha256,
  sha256OfFile,
  writeFileAtomic,
  writeJson,
} from './index.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-files-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

describe('writeFileAtomic', () => {
  it('makes the folder, writes text or a part of a buffer, replaces, and leaves nothing beside it', async () => {
    const path = join(root, 'a', 'b', 'file');
    await writeFileAtomic(path, 'one');
    expect(await readFile(path, 'utf8')).toBe('one');
    const words = Uint16Array.of(0x4141, 0x4242, 0x4343);
    await writeFileAtomic(path, new Uint8Array(words.buffer, 2, 2));
    expect(await readFile(path, 'utf8')).toBe('BB');
    expect(await readdir(join(root, 'a', 'b'))).toEqual(['file']);
  });

  it('removes what a killed process left of the same file, and nothing else', async () => {
    const folder = join(root, 'killed');
    const script = `
      import { open } from 'node:fs/promises';
      import { writeFileAtomic } from ${JSON.stringify(new URL('files.ts', import.meta.url).href)};
      setInterval(() => process.stdout.write('.'), 1);
      for (;;) await writeFileAtomic(process.argv[1], new Uint8Array(5e6));`;
    const path = join(folder, 'file');
    const argv = ['--import', 'tsx', '--input-type=module', '--eval', script, path];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    const unfinished = async () =>
      (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.unfinished'));
    let left: string | undefined;
    while (left === undefined) {
      while ((await unfinished()).length === 0) await new Promise((resolve) => setImmediate(resolve));
      child.kill('SIGSTOP'); // in the middle, and still there
      await new Promise((resolve) => setTimeout(resolve, 20)); // until the signal has arrived
      [left] = await unfinished();
      if (left === undefined) child.kill('SIGCONT');
    }
    await writeFile(join(folder, 'file.txt'), 'a neighbour');
    await writeFileAtomic(path, 'mine');
    expect(await unfinished()).toEqual([left]);
    child.kill('SIGKILL');
    await ended;
    await writeFileAtomic(path, 'mine');
    expect((await readdir(folder)).sort()).toEqual(['file', 'file.txt']);
    expect(await readFile(path, 'utf8')).toBe('mine');
  });

  it('keeps the mode of a file and the link that leads to it', async () => {
    await writeFile(join(root, 'private'), 'old', { mode: 0o600 });
    await symlink('private', join(root, 'link'));
    await writeFileAtomic(join(root, 'link'), 'new');
    expect(await readlink(join(root, 'link'))).toBe('private');
    expect(await readFile(join(root, 'private'), 'utf8')).toBe('new');
    if (process.platform !== 'win32') expect((await stat(join(root, 'private'))).mode & 0o777).toBe(0o600);
  });

  it('many writes of one file at a time: one of them is there', async () => {
    const path = join(root, 'contended');
    const texts = Array.from({ length: 40 }, (_, i) => String(i).repeat(5000));
    await Promise.all(texts.map((text) => writeFileAtomic(path, text)));
    expect(texts).toContain(await readFile(path, 'utf8'));
    expect((await readdir(root)).filter((name) => name.startsWith('contended'))).toEqual(['contended']);
  });

  it('names the file that cannot be written', async () => {
    await writeFile(join(root, 'no-folder'), '');
    const path = join(root, 'no-folder', 'file');
    await expect(writeFileAtomic(path, 'x')).rejects.toBeInstanceOf(DataError);
    await expect(writeFileAtomic(path, 'x')).rejects.toThrow(`${path}: cannot be written: `);
  });
});

describe('JSON', () => {
  it('round trip', async () => {
    const path = join(root, 'value.json');
    await writeJson(path, { a: [1, 'ü'] });
    expect(await readJson(path)).toEqual({ a: [1, 'ü'] });
    expect(await readFile(path, 'utf8')).toMatch(/\n$/);
  });

  it('missing, or not JSON: named', async () => {
    await writeFile(join(root, 'broken.json'), '{"a":');
    await symlink('loop', join(root, 'loop'));
    await expect(readJson(join(root, 'none.json'))).rejects.toThrow(/none\.json: cannot be read: ENOENT/);
    await expect(readJson(join(root, 'loop'))).rejects.toThrow(/loop: cannot be read: ELOOP/);
    await expect(readJson(join(root, 'broken.json'))).rejects.toThrow(/broken\.json: is not valid JSON/);
    await expect(readJson(join(root, 'broken.json'))).rejects.toBeInstanceOf(DataError);
  });
});

describe('sha256', () => {
  it('of text, of bytes, of a file', async () => {
    // The first is NIST's example.
    expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(sha256(new TextEncoder().encode('abc'))).toBe(sha256('abc'));
    const large = Buffer.alloc(300_000, 'semblance');
    await writeFile(join(root, 'large'), large);
    expect(await sha256OfFile(join(root, 'large'))).toBe(createHash('sha256').update(large).digest('hex'));
  });
});

describe('errors', () => {
  it('put file and line in front', () => {
    const error = new DataError('is empty', { file: 'a.csv', line: 3, cause: 'why' });
    expect(error).toMatchObject({ message: 'a.csv:3: is empty', file: 'a.csv', line: 3, cause: 'why' });
    expect(new DataError('is empty', { file: 'a.csv' }).message).toBe('a.csv: is empty');
    expect(new DataError('is empty').message).toBe('is empty');
    expect(String(new CliError('no'))).toBe('CliError: no');
  });

  it.each([
    [new Error('one\n  two\r\nthree '), 'one two three'],
    ['text', 'text'],
    [undefined, 'undefined'],
    [{ a: 1 }, '[object Object]'],
  ])('errorMessage is one line', (thrown, message) => {
    expect(errorMessage(thrown)).toBe(message);
  });
});
