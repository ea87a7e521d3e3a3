/** A disk that can be filled: tests of full disks mount a small tmpfs where this user may. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether this user may mount a small file system. */
export function canMount(): boolean {
  const directory = mkdtempSync(join(tmpdir(), 'semblance-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', directory], { stdio: 'ignore' });
    execFileSync('umount', [directory], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Mounts a file system of a size over an empty folder. `unmount` it. */
export function mountSmall(directory: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory]);
}

/** Makes a folder that something is mounted on read-only, or writable again. */
export function mountReadOnly(directory: string, isReadOnly = true): void {
  execFileSync('mount', ['-o', `remount,${isReadOnly ? 'ro' : 'rw'}`, directory]);
}

export function unmount(directory: string): void {
  execFileSync('umount', [directory]);
}

/** Fills a small disk until so many bytes are left. `freeDisk` makes it as before. */
export function fillDisk(directory: string, bytesLeft: number): void {
  const filler = join(directory, FILLER);
  rmSync(filler, { force: true });
  const { bavail, bsize } = statfsSync(directory);
  writeFileSync(filler, new Uint8Array(Math.max(0, bavail * bsize - bytesLeft)));
}

export function freeDisk(directory: string): void {
  rmSync(join(directory, FILLER), { force: true });
}

// --- internal ---

const FILLER = 'filler';
