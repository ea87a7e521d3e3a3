/**
 * Ctrl-C: work is asked to stop and saves itself; a second Ctrl-C ends at once. So it is where another process of this
 * program started this one, with a channel to it, and ends.
 */

/** What `main` shows and ends with exit code 130 for. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor(isResumable: boolean) {
    super(isResumable ? 'interrupted; the same command goes on from here' : 'interrupted');
  }
}

/**
 * Runs work that can be interrupted.
 * @param options.isResumable whether the work saves what it has done, for the message. Default true.
 * @throws Interrupted when Ctrl-C (or a polite kill) stopped it
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { isResumable = true }: { isResumable?: boolean } = {},
): Promise<T> {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(130);
    const saving = isResumable ? '; what is done is being saved' : '';
    process.stderr.write(`\nstopping${saving} (again to end at once)\n`);
    controller.abort(new Interrupted(isResumable));
  };
  const orphaned = () => controller.abort(new Interrupted(isResumable));
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  process.on('disconnect', orphaned);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    process.off('disconnect', orphaned);
  }
}
