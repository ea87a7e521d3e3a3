/** Who is waited for, told on standard error. */

/**
 * @param doing what the other process does
 * @param where the catalogue, or the model bundle
 */
export function tellWait(where: string, doing = 'writes to'): (holder: { readonly process: number }) => void {
  return ({ process: other }) => {
    process.stderr.write(`waiting for process ${other}, which ${doing} ${where}\n`);
  };
}
