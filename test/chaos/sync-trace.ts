/**
 * Reads a trace of system calls (`strace -f -y`) and tells what was acknowledged before it was on the disk: a file that was
 * written and not synced since, or a name that was made in a folder that was not synced since.
 */
import { dirname } from 'node:path';

export interface SyncReport {
  readonly acknowledged: number;
  /** Files that were written for the acknowledged writes, and calls that synced a file or a folder. */
  readonly written: number;
  readonly syncs: number;
  /** A line for each file or folder that was not synced when a write was acknowledged. */
  readonly violations: readonly string[];
}

/** The system calls that must be in the trace. */
export const TRACED_CALLS =
  'openat,open,creat,mkdir,mkdirat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,copy_file_range,sendfile,' +
  'fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir';

/**
 * @param folder only what lies in it counts
 * @param isTransient files that need not outlive the machine, such as locks
 */
export function readSyncTrace(
  trace: string,
  folder: string,
  isTransient: (path: string) => boolean = () => false,
): SyncReport {
  /** Path → how often it was changed, as long as it is not on the disk. */
  const [files, folders] = [new Map<string, number>(), new Map<string, number>()];
  /** Thread → the call that it is in. */
  const open = new Map<string, string>();
  /** Thread → what it syncs, with the changes that were made before. */
  const syncing = new Map<string, { path: string; changes: number | undefined; of: Map<string, number> }>();
  const known = new Set<string>();
  const violations = new Set<string>();
  const writtenFiles = new Set<string>();
  let [acknowledged, syncs, change] = [0, 0, 0];
  const counts = (path: string) => path.startsWith(`${folder}/`) && !isTransient(path);
  const named = (path: string) => {
    if (!counts(path)) return;
    known.delete(dirname(path));
    folders.set(dirname(path), ++change);
  };

  for (const line of trace.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+)\s+(?:[\d.]+\s+)?(.*)$/.exec(line) ?? [];
    let call = rest;
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    if (resumed !== null) {
      call = `${open.get(thread) ?? ''}${resumed[1]}`;
      open.delete(thread);
    } else if (rest.endsWith('<unfinished ...>')) {
      const begun = rest.slice(0, -'<unfinished ...>'.length).trimEnd();
      open.set(thread, begun);
      begin(thread, begun);
      continue;
    } else begin(thread, rest);
    end(thread, call);
  }
  return { acknowledged, written: writtenFiles.size, syncs, violations: [...violations] };

  /** A write counts from its beginning, a sync covers what was written before its beginning. */
  function begin(thread: string, call: string): void {
    const [, name = '', descriptor = '', path = ''] = /^(\w+)\((\d+)<(.*?)>[,)]?/.exec(call) ?? [];
    if (/^(p?write|writev|ftruncate|sendfile|copy_file_range)/.test(name)) {
      if (descriptor === '1' && call.includes('"done\\n"')) acknowledge();
      else if (counts(path)) {
        files.set(path, ++change);
        writtenFiles.add(path);
      }
    } else if (name === 'fsync' || name === 'fdatasync') {
      const of = files.has(path) ? files : folders;
      syncing.set(thread, { path, changes: of.get(path), of });
    }
  }

  function end(thread: string, call: string): void {
    const sync = syncing.get(thread);
    if (/^f(data)?sync\(/.test(call)) {
      syncing.delete(thread);
      if (sync === undefined || !/= 0$/.test(call)) return;
      syncs++;
      if (sync.of.get(sync.path) === sync.changes) sync.of.delete(sync.path);
      return;
    }
    if (/= -1 /.test(call)) return;
    const paths = [...call.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, path = '']) => path);
    if (/^(openat|open|creat)\(/.test(call) && /O_CREAT|^creat/.test(call)) {
      const path = /= \d+<(.*)>$/.exec(call)?.[1] ?? paths[0] ?? '';
      if (!known.has(path)) named(path);
      known.add(path);
    } else if (/^mkdir/.test(call)) named(paths[0] ?? '');
    else if (/^(rename|link)/.test(call)) {
      const [from = '', to = ''] = paths;
      const changes = files.get(from);
      if (call.startsWith('rename')) files.delete(from);
      if (changes !== undefined && counts(to)) files.set(to, changes);
      named(to);
    } else if (/^unlink/.test(call)) files.delete(paths[0] ?? '');
    else if (/^rmdir/.test(call)) folders.delete(paths[0] ?? '');
  }

  function acknowledge(): void {
    acknowledged++;
    for (const path of files.keys()) violations.add(`${path.slice(folder.length + 1)}: was not synced`);
    for (const path of folders.keys())
      violations.add(`${path.slice(folder.length + 1) || '.'}: a name in this folder was not synced`);
    files.clear();
    folders.clear();
  }
}
