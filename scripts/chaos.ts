/**
 * Kills processes at random moments while they train, index, write and export, and checks that nothing acknowledged is
 * lost and nothing partial is seen.
 *
 *     npm run chaos -- [--rounds 200] [--kind upsert …] [--seed 0] [--json]
 *
 * Default: 200 rounds of each kind, about 25 minutes on two cores. Exit code 1 on a violation.
 */
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { KINDS, type Kind } from '../test/chaos/kinds.js';
import { type ChaosResult, compileChildren, runChaos } from '../test/chaos/run-chaos.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    kind: { type: 'string', multiple: true },
    seed: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(
    `npm run chaos -- [--rounds 200] [--kind ${Object.keys(KINDS).join('|')} …] [--seed 0] [--json]\n\n` +
      'Example: npm run chaos -- --rounds 20 --kind upsert',
  );
  process.exit(0);
}
const rounds = Number(values.rounds);
const seed = Number(values.seed);
const kinds = values.kind ?? Object.keys(KINDS);
const unknown = kinds.find((kind) => !Object.hasOwn(KINDS, kind));
if (unknown !== undefined || !Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) {
  console.error(
    `chaos: --rounds and --seed take whole numbers, --kind one of ${Object.keys(KINDS).join(', ')}, got ` +
      `${JSON.stringify(values)}. Correct the command`,
  );
  process.exit(2);
}

const { program, remove } = compileChildren();
process.on('exit', remove);
process.on('SIGINT', () => process.exit(130));
const results: ChaosResult[] = [];
for (const kind of kinds as Kind[]) {
  let told = 0;
  const report = (round: number, violations: readonly string[]) => {
    for (const violation of violations.slice(told)) console.error(`${kind}: ${violation}`);
    told = violations.length;
    if (process.stderr.isTTY || round % 50 === 0)
      process.stderr.write(
        `${process.stderr.isTTY ? '\r' : ''}${kind}: ${round} of ${rounds}, ${told} violations${process.stderr.isTTY ? '' : '\n'}`,
      );
  };
  results.push(await runChaos(kind, { program, rounds, seed, report }));
  if (process.stderr.isTTY) process.stderr.write('\n');
}
if (values.json) console.log(JSON.stringify(results, null, 2));
else {
  const table = new Table({
    head: [
      'kind',
      'kills',
      'within a write',
      'before any',
      'acknowledged',
      'left-over files',
      'slowest reopening',
      'violations',
    ],
    style: { head: [], border: [] },
  });
  for (const {
    kind,
    rounds: kills,
    interrupted,
    early,
    acknowledged,
    litter,
    slowestCheckMs,
    violations,
  } of results)
    table.push([
      kind,
      kills,
      interrupted,
      early,
      acknowledged,
      `${litter.end} (most ${litter.most})`,
      `${slowestCheckMs.toFixed(0)} ms`,
      violations.length,
    ]);
  console.log(table.toString());
}
process.exitCode = results.some(({ violations }) => violations.length > 0) ? 1 : 0;
