/**
 * `semblance dataset check <manifest>`: duplicates, leaks between splits, unreadable pictures, singletons, balance; in
 * plain words with what to do. Exit code 1 when there are errors, 0 with warnings alone.
 */
import { parse } from 'node:path';
import CliTable from 'cli-table3';
import { Command } from 'commander';
import {
  type CheckReport,
  checkManifest,
  makeContactSheet,
  type Repair,
  repairManifest,
} from '../data/index.js';
import { DataError, silentProgress, streamProgress } from '../util/index.js';
import { sheetOfReport } from './check-sheet.js';
import { interruptible } from './interruption.js';
import { positiveInteger } from './options.js';

interface Options {
  contactSheet?: string;
  fix?: true | string;
  minSide: number;
  manifestOnly?: true;
  json?: true;
  quiet?: true;
}

export function datasetCheckCommand(): Command {
  return new Command('check')
    .description('check a manifest and its pictures, and say what to do')
    .argument('<manifest>', 'CSV or JSONL')
    .option('--contact-sheet <file>', 'a PNG: samples of each split, and what was found side by side')
    .option(
      '--fix [file]',
      'write a copy without unusable rows, training pictures that are judged, and second copies (default: <manifest>-fixed beside it)',
    )
    .option('--min-side <pixels>', 'smaller pictures are reported as tiny', positiveInteger, 32)
    .option('--manifest-only', 'do not open the pictures')
    .option('--json', 'print the report as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nExit code 0 when all is well or there are warnings alone, 1 when there are errors: unusable pictures, and items or\n' +
        'pictures that are both in training and in test. Pictures that look the same are found when they were encoded or\n' +
        'scaled anew, not when they were cropped, turned or mirrored.\n\n' +
        'Example:\n  $ semblance dataset check shop.csv --contact-sheet shop.png --fix\n',
    )
    .action(run);
}

// --- internal ---

async function run(file: string, options: Options): Promise<void> {
  const progress = options.quiet ? silentProgress : streamProgress();
  const { report, repair } = await interruptible(
    async (signal) => {
      const report = await checkManifest(file, {
        minimumSide: options.minSide,
        manifestOnly: options.manifestOnly === true,
        progress,
        signal,
      });
      if (options.contactSheet !== undefined) {
        const { rows, labelWidth } = sheetOfReport(report);
        await makeContactSheet(options.contactSheet, rows, { labelWidth });
      }
      const target = options.fix === true ? beside(file) : options.fix;
      return { report, repair: target === undefined ? undefined : await repairManifest(report, target) };
    },
    { isResumable: false },
  );
  const errors = report.findings.filter(({ severity }) => severity === 'error').length;
  if (options.json) process.stdout.write(`${JSON.stringify(asJson(report, repair), null, 2)}\n`);
  else {
    process.stdout.write(`${describe(report)}\n`);
    if (repair !== undefined) process.stdout.write(`${describeRepair(repair)}\n`);
    if (options.contactSheet !== undefined) process.stdout.write(`contact sheet: ${options.contactSheet}\n`);
  }
  if (errors > 0) {
    throw new DataError(`${errors === 1 ? 'one error' : `${errors} errors`} found; see above`, { file });
  }
}

/** `shop.csv` → `shop-fixed.csv` */
function beside(file: string): string {
  const { dir, name, ext } = parse(file);
  return `${dir === '' ? '' : `${dir}/`}${name}-fixed${ext}`;
}

const count = (number: number) => number.toLocaleString('en');

function describe(report: CheckReport): string {
  const { manifest, items, splits, picturesPerItem, sources, attributes, findings } = report;
  const splitTexts = Object.entries(splits).map(
    ([split, { pictures, items: own }]) => `${split} ${count(pictures)} of ${count(own)}`,
  );
  const sourceCount = Object.keys(sources).length;
  const { fewest, median, most } = picturesPerItem;
  const lines = [
    `${manifest.file}: ${count(manifest.rows.length)} pictures of ${count(items)} items`,
    `  pictures of items by split: ${splitTexts.join(', ')}`,
    `  pictures an item: ${fewest} to ${count(most)}, median ${median}`,
    ...(sourceCount === 0 ? [] : [`  sources: ${count(sourceCount)}`]),
  ];
  if (attributes.length > 0) lines.push(attributeTable(report));
  for (const { severity, message, advice, examples, count: total } of findings) {
    lines.push(`${severity}: ${message}.`, `    ${advice}.`);
    for (const example of examples) lines.push(`    - ${example}`);
    if (examples.length > 0 && total > examples.length)
      lines.push(`    - and ${count(total - examples.length)} more`);
  }
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.length - errors;
  lines.push(
    findings.length === 0
      ? 'Nothing was found.'
      : `${count(errors)} ${errors === 1 ? 'error' : 'errors'}, ${count(warnings)} ${warnings === 1 ? 'warning' : 'warnings'}.`,
  );
  return lines.join('\n');
}

function attributeTable({ attributes, items }: CheckReport): string {
  const table = new CliTable({
    head: ['attribute', 'kind', 'values', 'known', 'most frequent', ''],
    colAligns: ['left', 'left', 'right', 'right', 'left', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, kind, values, items: known, mostFrequent, mostFrequentShare, isLevel } of attributes) {
    table.push([
      name.slice(0, 30),
      isLevel ? 'level' : kind,
      count(values),
      `${Math.floor((100 * known) / items)} %`,
      (mostFrequent ?? '').slice(0, 30),
      mostFrequent === undefined ? '' : `${Math.round(100 * mostFrequentShare)} %`,
    ]);
  }
  return table.toString();
}

function describeRepair({ file, removed, kept }: Repair): string {
  return (
    `repaired copy: ${file}, ${count(kept)} pictures; left out: ${count(removed.unusable)} unusable, ` +
    `${count(removed.leaked)} that are judged or validated as well, ${count(removed.repeated)} second copies`
  );
}

function asJson(report: CheckReport, repair: Repair | undefined): unknown {
  const { manifest, problems, duplicates, tiny, ...rest } = report;
  const place = (row: number) => ({
    line: manifest.rows[row]!.line,
    path: manifest.rows[row]!.relativePath,
    item: manifest.rows[row]!.itemId,
    split: manifest.rows[row]!.split,
  });
  return {
    manifest: manifest.file,
    pictures: manifest.rows.length,
    ...rest,
    problems: [...problems].map(([row, { message }]) => ({ ...place(row), message })),
    duplicates: duplicates.map(({ isExact, rows }) => ({ exact: isExact, pictures: rows.map(place) })),
    tiny: tiny.map(place),
    ...(repair === undefined ? {} : { repair }),
  };
}
