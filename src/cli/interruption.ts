/** Ctrl-C: work is asked to stop and saves itself; a second Ctrl-C ends at once. */

/** What `main` shows and ends with exit code 130 for. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor() {
    super('interrupted; the same command goes on from here');
  }
}

/**
 * Runs work that can be interrupted.
 * @throws Interrupted when Ctrl-C (or a polite kill) stopped it
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write('\nstopping; what is done is being saved (again to end at once)\n');
    controller.abort(new Interrupted());
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}
