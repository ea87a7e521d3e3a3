/**
 * Decodes damaged pictures: none may crash or hang the process, take two seconds of the processor, or 500 MB of memory.
 *
 *     npm run fuzz -- [--cases 20000] [--seed 0] [--from 0] [--keep FOLDER] [--json]
 *
 * A child process decodes, and a parent watches it: after a crash or a hang the case is named, and another child goes on
 * behind it. `--keep` writes the pictures that failed. About half an hour on two cores. Exit code 1 on a failure.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { streamProgress } from '../src/util/index.js';
import { attempt, mutatePicture, type Outcome, seedPictures } from '../test/support/mutated-pictures.js';

const LIMITS = { cpuMs: 2000, memoryMb: 500, hangMs: 60_000 };

interface Told {
  readonly number: number;
  readonly outcome: Outcome;
  /** Processor time of all threads, milliseconds. */
  readonly cpuMs: number;
  /** More memory than before, at its highest, MB. */
  readonly memoryMb: number;
}

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '0' },
    from: { type: 'string', default: '0' },
    keep: { type: 'string' },
    json: { type: 'boolean', default: false },
    child: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const [cases, seed, from] = [values.cases, values.seed, values.from].map(Number) as [number, number, number];
if (values.help) {
  console.log(
    'npm run fuzz -- [--cases 20000] [--seed 0] [--from 0] [--keep FOLDER] [--json]\n\nExample: npm run fuzz -- --cases 500',
  );
} else if (![cases, seed, from].every((n) => Number.isInteger(n) && n >= 0)) {
  console.error(
    `fuzz: --cases, --seed and --from take whole numbers, got ${JSON.stringify(values)}. Correct the command`,
  );
  process.exitCode = 2;
} else if (values.child) await decodeCases();
else await watchCases();

/** The child: says which case it begins, then what became of it. */
async function decodeCases(): Promise<void> {
  const pictures = await seedPictures();
  for (const { bytes } of pictures) await attempt(bytes); // what the decoder sets up once is no case's memory
  for (let number = from; number < cases; number++) {
    process.stdout.write(`{"begin":${number}}\n`);
    const { bytes } = mutatePicture(pictures, seed, number);
    const before = memory('VmRSS');
    resetPeak();
    const cpu = process.cpuUsage();
    const outcome = await attempt(bytes);
    const { user, system } = process.cpuUsage(cpu);
    const told: Told = {
      number,
      outcome,
      cpuMs: (user + system) / 1000,
      memoryMb: Math.max(0, memory('VmHWM') - before),
    };
    process.stdout.write(`${JSON.stringify(told)}\n`);
  }
}

/** The parent. */
async function watchCases(): Promise<void> {
  const counts = { decoded: 0, refused: 0, crashed: 0 };
  const failures: { number: number; problem: string }[] = [];
  let [slowest, largest] = [
    { number: -1, cpuMs: 0 },
    { number: -1, memoryMb: 0 },
  ];
  const progress = streamProgress()('decoding', cases - from);
  let next = from;
  while (next < cases) {
    let begun = next;
    const problem = await runChild(next, (told) => {
      if ('begin' in told) {
        begun = told.begin;
        return;
      }
      const { number, outcome, cpuMs, memoryMb } = told;
      counts[outcome.kind]++;
      if (cpuMs > slowest.cpuMs) slowest = { number, cpuMs };
      if (memoryMb > largest.memoryMb) largest = { number, memoryMb };
      if (outcome.kind === 'crashed') failures.push({ number, problem: outcome.message });
      if (cpuMs > LIMITS.cpuMs)
        failures.push({ number, problem: `took ${cpuMs.toFixed(0)} ms of the processor` });
      if (memoryMb > LIMITS.memoryMb) failures.push({ number, problem: `took ${memoryMb.toFixed(0)} MB` });
      next = number + 1;
      progress.update(next - from, failures.length === 0 ? '' : `${failures.length} failures`);
    });
    if (problem === undefined) break;
    counts.crashed++;
    failures.push({ number: begun, problem });
    next = begun + 1;
  }
  progress.stop();
  if (values.keep !== undefined && failures.length > 0) {
    mkdirSync(values.keep, { recursive: true });
    const pictures = await seedPictures();
    for (const { number } of failures)
      writeFileSync(join(values.keep, `${seed}-${number}.bin`), mutatePicture(pictures, seed, number).bytes);
  }
  if (values.json)
    console.log(JSON.stringify({ cases: cases - from, seed, counts, slowest, largest, failures }, null, 2));
  else {
    for (const { number, problem } of failures) console.log(`case ${number} (seed ${seed}): ${problem}`);
    console.log(
      `${cases - from} pictures: ${counts.decoded} decoded, ${counts.refused} refused, ${failures.length} failures; ` +
        `slowest ${slowest.cpuMs.toFixed(0)} ms of the processor (case ${slowest.number}), ` +
        `largest ${largest.memoryMb.toFixed(0)} MB (case ${largest.number})`,
    );
  }
  process.exitCode = failures.length > 0 ? 1 : 0;
}

/** @returns what ended the child before it was done */
async function runChild(
  start: number,
  tell: (told: Told | { begin: number }) => void,
): Promise<string | undefined> {
  const argv = [
    ...process.execArgv,
    process.argv[1] as string,
    '--child',
    '--seed',
    String(seed),
    '--from',
    String(start),
    '--cases',
    String(cases),
  ];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = () => child.kill('SIGKILL');
  process.once('exit', stop);
  const interrupt = () => process.exit(130);
  process.once('SIGINT', interrupt);
  let isHanging = false;
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said = (said + part).slice(-500);
  });
  const hang = () => {
    isHanging = true;
    stop();
  };
  let timer = setTimeout(hang, LIMITS.hangMs);
  createInterface({ input: child.stdout }).on('line', (line) => {
    clearTimeout(timer);
    timer = setTimeout(hang, LIMITS.hangMs);
    tell(JSON.parse(line) as Told);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((done) => {
    child.on('close', (...ended) => done(ended));
  });
  clearTimeout(timer);
  process.off('exit', stop);
  process.off('SIGINT', interrupt);
  if (code === 0) return undefined;
  return isHanging
    ? `hung for ${LIMITS.hangMs} ms`
    : `ended the process: code ${code}, signal ${signal}: ${said.trim()}`;
}

/** MB, where the system tells; else 0. */
function memory(field: 'VmRSS' | 'VmHWM'): number {
  try {
    const found = new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync('/proc/self/status', 'utf8'));
    return Number(found?.[1] ?? 0) / 1024;
  } catch {
    return process.resourceUsage().maxRSS / 1024;
  }
}

/** Lets the highest memory so far be counted from now on, where the system can. */
function resetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {}
}
