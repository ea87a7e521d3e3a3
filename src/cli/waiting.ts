/** Who is waited for, told on standard error. */
import { hostname } from 'node:os';
import type { LockHolder } from '../util/index.js';

/** @param where the catalogue, or the model bundle */
export function tellWait(where: string): (holder: LockHolder) => void {
  return ({ process: other, host }) => {
    const place = host === hostname() ? '' : ` on ${host}`;
    process.stderr.write(`waiting for process ${other}${place}, which writes to ${where}\n`);
  };
}
