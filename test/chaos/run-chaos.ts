/**
 * Kills processes at random moments and checks what they leave. The children run compiled code, which starts in a
 * second; where exactly the kill falls depends on the machine: a seed repeats the work and the plan, not the instant.
 */
import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Random } from '../../src/util/index.js';
import { KINDS, type Kind } from './kinds.js';
import { parseTold } from './workload.js';

export interface ChaosResult {
  readonly kind: Kind;
  readonly what: string;
  readonly rounds: number;
  /** Writes that were acknowledged, in all rounds. */
  readonly acknowledged: number;
  /** Rounds whose kill fell into a write that was under way. */
  readonly interrupted: number;
  /** Rounds whose kill fell before the first write. */
  readonly early: number;
  /** Unfinished files at the end, and the most after any round. */
  readonly litter: { readonly end: number; readonly most: number };
  /** The longest that opening and checking took, milliseconds. */
  readonly slowestCheckMs: number;
  readonly violations: readonly string[];
}

/**
 * Compiles the children beside the sources, since packages are found from there.
 * @returns the program, and what removes it
 */
export function compileChildren(): { program: string; remove(): void } {
  const root = resolve(import.meta.dirname, '../..');
  const build = join(root, `.chaos-${process.pid}`);
  const remove = () => rmSync(build, { recursive: true, force: true });
  const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
  const configuration = join(root, `.chaos-${process.pid}.json`);
  try {
    writeFileSync(
      configuration,
      JSON.stringify({
        extends: './tsconfig.json',
        compilerOptions: { outDir: build, declaration: false },
        include: [],
        files: ['test/chaos/child.ts'],
      }),
    );
    execFileSync(process.execPath, [join(typescript, 'bin', 'tsc'), '-p', configuration], {
      stdio: 'inherit',
    });
    copyFileSync(join(root, 'package.json'), join(build, 'package.json'));
  } catch (error) {
    remove();
    throw error;
  } finally {
    rmSync(configuration, { force: true });
  }
  return { program: join(build, 'test/chaos/child.js'), remove };
}

/** Kills processes of one kind, `rounds` times. */
export async function runChaos(
  kind: Kind,
  options: {
    readonly program: string;
    readonly rounds: number;
    readonly seed: number;
    readonly report?: (round: number, violations: readonly string[]) => void;
  },
): Promise<ChaosResult> {
  const { program, rounds, seed, report } = options;
  const random = Random.from(seed, ...Buffer.from(kind));
  const workload = await KINDS[kind]();
  const folder = await mkdtemp(join(tmpdir(), `semblance-chaos-${kind}-`));
  const violations: string[] = [];
  let [acknowledged, interrupted, early, most, end, slowestCheckMs] = [0, 0, 0, 0, 0, 0];
  let round = 0;
  let turn = random.integer(workload.writes);
  try {
    await mkdir(folder, { recursive: true });
    await workload.prepare(folder);
    for (; round < rounds; round++) {
      // A third while the files are being opened, where what an earlier kill left is put in order; the others in each write in
      // turn, so that some writes are surely done before.
      const writes = round % 3 === 0 ? 0 : 1 + (turn++ % workload.writes);
      const output = await runAndKill([program, kind, folder, String(seed), String(round)], writes, random);
      if (output.failure !== undefined)
        violations.push(`round ${round}: the process ended: ${output.failure}`);
      const told = parseTold(output.text);
      acknowledged += told.filter(({ isDone }) => isDone).length;
      if (told.length === 0) early++;
      else if (told.at(-1)?.isDone === false) interrupted++;
      const start = performance.now();
      try {
        for (const violation of await workload.check(folder, told))
          violations.push(`round ${round}: ${violation}`);
      } catch (error) {
        violations.push(`round ${round}: it does not open again: ${String(error)}`);
      }
      slowestCheckMs = Math.max(slowestCheckMs, performance.now() - start);
      end = await workload.litter(folder);
      // One process leaves one unfinished file or folder at most, and the next one removes it.
      if (most <= LITTER_LIMIT && end > LITTER_LIMIT)
        violations.push(`round ${round}: ${end} unfinished files lie about`);
      most = Math.max(most, end);
      report?.(round + 1, violations);
    }
  } finally {
    if (violations.length === 0) await rm(folder, { recursive: true, force: true });
  }
  return {
    kind,
    what: workload.what,
    rounds: round,
    acknowledged,
    interrupted,
    early,
    litter: { end, most },
    slowestCheckMs,
    violations,
  };
}

// --- internal ---

const LITTER_LIMIT = 4;
/** For a process that has not even begun. */
const START_MS = 60_000;
/** About what opening takes. */
const OPENING_MS = 60;

/**
 * Lets a process begin so many writes, then kills it after part of the time that a write takes, or a little more; or
 * that opening the files takes, with `writes` 0.
 */
async function runAndKill(
  argv: readonly string[],
  writes: number,
  random: Random,
): Promise<{ text: string; failure: string | undefined }> {
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [text, stderr] = ['', ''];
  let timer = setTimeout(() => child.kill('SIGKILL'), START_MS);
  let openedAt: number | undefined;
  let isDue = false;
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    if (!text.startsWith('opening\n')) return;
    openedAt ??= performance.now();
    const begun = text.split('\nwill ').length - 1;
    if (isDue || (begun < writes && !text.endsWith('idle\n'))) return;
    isDue = true;
    clearTimeout(timer);
    const each = writes === 0 ? OPENING_MS : (performance.now() - openedAt) / Math.max(1, begun);
    timer = setTimeout(() => child.kill('SIGKILL'), 1.3 * each * random.uniform());
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    stderr += part;
  });
  return await new Promise((resolvePromise, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const isKilled = signal === 'SIGKILL' && isDue;
      const failure = isKilled ? undefined : `code ${code}, signal ${signal}: ${stderr.trim().slice(-500)}`;
      resolvePromise({ text, failure });
    });
  });
}
