/**
 * Who wrote what, and when: JSON lines that are only ever appended to. A write is answered after its line is in the file, so no
 * acknowledged write is without one. Refused and failed ones have theirs too, up to a number a minute: nobody fills the disk by being
 * refused. How many had none says the next that has one. The file is opened for each line: it can be renamed
 * by whatever rotates logs while servers run, and several servers can share it.
 */
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { FastifyRequest } from 'fastify';
import { makeFolder, presentTime, StorageError, stopwatch } from '../../util/index.js';
import type { Server } from '../context.js';
import { whoOf } from './access.js';
import { OPERATION_SCOPES, operationOf } from './scopes.js';

export class AuditLog {
  readonly path: string;
  /** The end of the file may be half a line, of a disk that was full. */
  #isTorn = false;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Appends a line on a request.
   * @param what of it is known beside who asked: `operation`, `status`, ids
   * @throws StorageError when the file cannot be written
   */
  async add(request: FastifyRequest, what: object): Promise<void> {
    const line = { at: presentTime(), ...whoOf(request), address: request.ip, request: request.id, ...what };
    const start = this.#isTorn ? '\n' : '';
    try {
      await append(this.path, `${start}${JSON.stringify(line)}\n`);
      this.#isTorn = false;
    } catch (error) {
      this.#isTorn = true;
      throw new StorageError(error, { file: this.path });
    }
  }
}

/** Logs every request to an operation of scope `write` before it is answered. */
export function auditWrites(server: Server, log: AuditLog): void {
  const seen = new WeakSet<FastifyRequest>();
  let [sinceMinute, refusals, untold] = [stopwatch(), 0, 0];
  /** Whether a refusal gets a line. */
  const isTold = (): boolean => {
    if (sinceMinute() >= 60) [sinceMinute, refusals] = [stopwatch(), 0];
    if (++refusals <= REFUSALS) return true;
    untold++;
    return false;
  };
  server.addHook('onSend', async (request, reply) => {
    const operation = operationOf(request);
    if (operation === undefined || OPERATION_SCOPES[operation] !== 'write' || seen.has(request)) return;
    seen.add(request); // when the line fails, its problem is answered without another try
    if (reply.statusCode >= 400 && !isTold()) return;
    const before = untold;
    untold = 0;
    const { id, key } = (request.params ?? {}) as { id?: string; key?: string };
    const target = (id ?? key)?.slice(0, 1024);
    const line = {
      operation,
      ...(target === undefined ? {} : { target }),
      status: reply.statusCode,
      ...(before === 0 ? {} : { untold: before }),
    };
    try {
      await log.add(request, line);
    } catch (error) {
      // Where nothing was written there is nothing to tell, and the answer says why it was not.
      if (reply.statusCode < 400) throw error;
      request.log.error(error);
    }
  });
}

// --- internal ---

/** Refused and failed requests that have a line, a minute. */
const REFUSALS = 60;

/** One write of a whole line: lines of several processes do not mix. */
async function append(path: string, text: string): Promise<void> {
  const openFile = () => open(path, 'a', 0o600);
  const handle = await openFile().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    await makeFolder(dirname(path));
    return await openFile();
  });
  try {
    await handle.appendFile(text);
  } finally {
    await handle.close();
  }
}
