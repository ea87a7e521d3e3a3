/** Who is waited for, told on standard error. */
import { hostname } from 'node:os';
import type { LockHolder } from '../util/index.js';

/**
 * @param doing what the other process does
 * @param where the catalogue, or the model bundle
 */
export function tellWait(where: string, doing = 'writes to'): (holder: LockHolder) => void {
  return ({ process: other, host }) => {
    const place = host === hostname() ? '' : ` on ${host}`;
    process.stderr.write(`waiting for process ${other}${place}, which ${doing} ${where}\n`);
  };
}
