/**
 * What a crash test is made of. A workload writes without end in a process of its own and says of each write, before,
 * what it will do, and after, that it is done: two lines on stdout, written synchronously, so that what was said is known
 * even of a process that was killed in the next instant. Another process then opens what is left and compares it with
 * what was said: all that is done must be there, what was under way must be there whole or not at all, nothing else.
 */
import { writeSync } from 'node:fs';
import type { Random } from '../../src/util/index.js';

/** One write, as the child told of it. */
export interface Told {
  readonly intent: unknown;
  readonly isDone: boolean;
}

/** How the child tells what it does. */
export interface Teller {
  /** Says that all is loaded and the files are opened next. */
  opening(): void;
  /** Says what is intended, does it, says that it is done. */
  write<T>(intent: unknown, action: () => Promise<T>): Promise<T>;
  /** The two halves of `write`, for writes that another function makes. */
  will(intent: unknown): void;
  done(): void;
  /** Says that there is nothing more to write, and waits to be killed. */
  idle(): Promise<never>;
}

export interface Workload {
  readonly kind: string;
  /** What the killed process was doing, in a few words. */
  readonly what: string;
  /** The process is killed in one of its first so many writes. */
  readonly writes: number;
  /** Makes what the first round starts from. */
  prepare(folder: string): Promise<void>;
  /** In the process that is killed: never ends by itself. */
  work(folder: string, random: Random, teller: Teller): Promise<void>;
  /**
   * In the process that checks, after each kill; keeps what is known from round to round.
   * @returns a line for each promise that was broken
   */
  check(folder: string, told: readonly Told[]): Promise<string[]>;
  /** How many unfinished or unused files lie about; a number that must not grow from round to round. */
  litter(folder: string): Promise<number>;
}

/** A teller on stdout. */
export function stdoutTeller(): Teller {
  return {
    opening: () => say('opening'),
    will: (intent) => say(`will ${JSON.stringify(intent)}`),
    done: () => say('done'),
    async idle() {
      say('idle');
      for (;;) await new Promise((resolve) => setTimeout(resolve, 1000));
    },
    async write(intent, action) {
      say(`will ${JSON.stringify(intent)}`);
      const result = await action();
      say('done');
      return result;
    },
  };
}

/** Tells nobody. */
export const SILENT: Teller = {
  opening() {},
  write: (_, action) => action(),
  will() {},
  done() {},
  idle: () => Promise.reject(new Error('internal: nobody ends this')),
};

/** What was told, from the lines of a teller; a last line that was cut off counts for nothing. */
export function parseTold(output: string): Told[] {
  const told: { intent: unknown; isDone: boolean }[] = [];
  for (const line of output.split('\n').slice(0, -1)) {
    if (line.startsWith('will ')) told.push({ intent: JSON.parse(line.slice(5)), isDone: false });
    else if (line === 'done') told.at(-1)!.isDone = true;
  }
  return told;
}

// --- internal ---

function say(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}
