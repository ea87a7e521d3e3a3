/**
 * Runs that end early: killed at a random step, interrupted, or with a full disk; and what they resume to.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canMount } from '../../test/support/small-disk.js';
import { tinyConfiguration, tinyTraining } from '../../test/support/tiny-training.js';
import { DataError, Random } from '../util/index.js';
import {
  type LogEntry,
  readTensorFile,
  type TrainingConfigurationInput,
  type TrainingOptions,
  train,
} from './index.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-resume-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const CHILD = join(import.meta.dirname, '../../test/support/train-child.ts');

/** Runs the training child; `endAt` sends a signal when it has said that it is at that step. */
function runChild(
  directory: string,
  configuration: TrainingConfigurationInput,
  endAt?: { step: number; signal: NodeJS.Signals },
): Promise<{ steps: number[]; done: string | undefined; stderr: string; killed: boolean }> {
  const argv = ['--import', 'tsx', CHILD, directory, JSON.stringify(configuration)];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stderr.on('data', (part: Buffer) => (stderr += part));
  child.stdout.on('data', (part: Buffer) => {
    stdout += part;
    if (endAt !== undefined && stdout.includes(`step ${endAt.step}\n`)) child.kill(endAt.signal);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (_code, signal) => {
      const steps = [...stdout.matchAll(/step (\d+)\n/g)].map(([, step]) => Number(step));
      resolve({ steps, done: /done .*/.exec(stdout)?.[0], stderr, killed: signal === 'SIGKILL' });
    });
  });
}

async function outcome(directory: string) {
  const log = await readFile(join(directory, 'metrics.jsonl'), 'utf8');
  const checkpoint = await readTensorFile(join(directory, 'checkpoint.safetensors'));
  const best = await readTensorFile(join(directory, 'best.safetensors'));
  return { log, checkpoint, best };
}

const readEntries = (log: string) =>
  log
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LogEntry);

const CONFIGURATION: TrainingConfigurationInput = {
  steps: 40,
  checkpointEvery: 3,
  validateEvery: 7,
  memory: { batches: 3, startStep: 2 },
};

describe('kill and resume', () => {
  it('ends with the same parameters to the bit and the same log as a run that was left alone', async () => {
    const alone = join(root, 'alone');
    const undisturbed = await runChild(alone, CONFIGURATION);
    expect(undisturbed.stderr).toBe('');
    expect(undisturbed.steps).toHaveLength(40);

    const directory = join(root, 'killed');
    const seed = (Date.now() ^ process.pid) >>> 0; // another place each time; printed on failure
    const random = Random.from(seed);
    const killSteps = [1 + random.integer(12), 13 + random.integer(12), 25 + random.integer(13)];
    const where = `seed ${seed}, killed at ${killSteps.join(', ')}`;
    for (const step of killSteps) {
      const { killed, stderr } = await runChild(directory, CONFIGURATION, { step, signal: 'SIGKILL' });
      expect(stderr, where).toBe('');
      expect(killed, where).toBe(true);
    }
    const last = await runChild(directory, CONFIGURATION);
    expect(last.stderr, where).toBe('');
    expect(last.done, where).toBe(undisturbed.done);
    expect(last.steps[0], where).toBeGreaterThan(1);
    const [wanted, got] = await Promise.all([outcome(alone), outcome(directory)]);
    expect(got.log, where).toBe(wanted.log);
    expect(got, where).toEqual(wanted);
    const kinds = readEntries(got.log).map(({ step, validation }) => `${step} ${validation === undefined}`);
    expect(new Set(kinds).size, where).toBe(kinds.length);
  });

  it('Ctrl-C saves at the step where it was, and the run goes on from there', async () => {
    const directory = join(root, 'interrupted');
    const configuration = { ...CONFIGURATION, checkpointEvery: 1000 };
    const { done, stderr, steps } = await runChild(directory, configuration, { step: 9, signal: 'SIGINT' });
    expect(done).toBeUndefined();
    expect(stderr).toBe('interrupted\n');
    const saved = await readTensorFile(join(directory, 'checkpoint.safetensors'));
    expect(saved.metadata.step).toBe(String(steps.at(-1)));
    const resumed = await runChild(directory, configuration);
    expect(resumed.steps[0]).toBe((steps.at(-1) as number) + 1);
    expect(resumed.done).toMatch(/^done/);
  });
});

describe('aborting, wherever it happens', () => {
  const reason = new Error('enough');
  const configuration = tinyConfiguration({ steps: 12, validateEvery: 4, checkpointEvery: 1000 });
  let wanted: Awaited<ReturnType<typeof outcome>>;
  beforeAll(async () => {
    const directory = join(root, 'not-aborted');
    await train(tinyTraining(directory, configuration));
    wanted = await outcome(directory);
  });

  /** Waits as the real loader and judge do: until the signal says stop. */
  const untilAborted = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });

  it.each<
    [string, string, (options: TrainingOptions, controller: AbortController) => Partial<TrainingOptions>]
  >([
    [
      'before the first step',
      '0',
      (_, controller) => {
        controller.abort(reason);
        return {};
      },
    ],
    [
      'while a step runs',
      '6',
      ({ batch }, controller) => ({
        batch: (step) => {
          if (step === 5) setImmediate(() => controller.abort(reason));
          return batch(step);
        },
      }),
    ],
    [
      'while a batch is awaited',
      '6',
      ({ batch }, controller) => ({
        batch: (step) => {
          if (step < 6) return batch(step);
          setImmediate(() => controller.abort(reason));
          return untilAborted(controller.signal);
        },
      }),
    ],
    [
      'while a validation runs',
      '8',
      ({ validate }, controller) => {
        let calls = 0;
        return {
          validate: (model) => {
            if (++calls < 2) return validate!(model);
            setImmediate(() => controller.abort(reason));
            return untilAborted(controller.signal);
          },
        };
      },
    ],
    [
      'while the last validation runs',
      '12',
      ({ validate }, controller) => {
        let calls = 0;
        return {
          validate: (model) => {
            if (++calls < 3) return validate!(model);
            setImmediate(() => controller.abort(reason));
            return untilAborted(controller.signal);
          },
        };
      },
    ],
  ])('%s: saved, and resumed to the same end', async (name, step, change) => {
    const directory = join(root, name.replaceAll(' ', '-'));
    const options = tinyTraining(directory, configuration);
    const controller = new AbortController();
    const aborted = train({ ...options, ...change(options, controller), signal: controller.signal });
    await expect(aborted).rejects.toBe(reason);
    const { metadata } = await readTensorFile(join(directory, 'checkpoint.safetensors'));
    expect(metadata.step).toBe(step);
    await train(options);
    const got = await outcome(directory);
    expect(got.log).toBe(wanted.log);
    expect(got).toEqual(wanted);
  });
});

describe.skipIf(!canMount())('a full disk (skipped where this user may not mount a tmpfs)', () => {
  it.each([
    ['checkpoint', 1000],
    ['best', 10],
  ])(
    'while %s.safetensors is written: one line that names it, and the earlier checkpoint stays',
    async (name, validateEvery) => {
      const directory = join(root, `full-${name}`);
      await mkdir(directory);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', directory]);
      try {
        const options = tinyTraining(directory, tinyConfiguration({ checkpointEvery: 5, validateEvery }));
        const filling: TrainingOptions = {
          ...options,
          batch: async (step) => {
            if (step === 7)
              execFileSync('sh', ['-c', `cat /dev/zero > '${directory}/filler' 2>/dev/null || true`]);
            return options.batch(step);
          },
        };
        const error = await train(filling).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(DataError);
        expect((error as Error).message).toMatch(
          new RegExp(
            `^\\S+/${name}\\.safetensors: cannot be written: ENOSPC: no space left on device[^\\n]*$`,
          ),
        );
        const { metadata } = await readTensorFile(join(directory, 'checkpoint.safetensors'));
        expect(metadata.step).toBe('5');
        await rm(join(directory, 'filler'));
        expect((await train(options)).stepsRun).toBe(25);
      } finally {
        execFileSync('umount', [directory]);
      }
    },
  );
});
