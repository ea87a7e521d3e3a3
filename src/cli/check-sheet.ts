/** The contact sheet of a check: samples of each split, then what was found, the pictures side by side. */
import {
  type CheckReport,
  type ContactSheetRow,
  type DuplicateGroup,
  roleOf,
  SPLITS,
} from '../data/index.js';

/** Pictures in a row, and rows of each kind of finding. */
const COLUMNS = 10;
const GROUPS = 6;

/** @returns rows for `makeContactSheet`, and the room that their labels need, pixels */
export function sheetOfReport(report: CheckReport): { rows: readonly ContactSheetRow[]; labelWidth: number } {
  const { manifest, problems, duplicates, tiny } = report;
  const fileOf = (row: number) => manifest.rows[row]!.path;
  const rows: ContactSheetRow[] = [];
  for (const split of SPLITS) {
    const usable = [...manifest.rows.keys()].filter(
      (row) => manifest.rows[row]!.split === split && !problems.has(row),
    );
    if (usable.length > 0) rows.push({ label: split, files: evenly(usable, COLUMNS).map(fileOf) });
  }
  const rolesOf = ({ rows: members }: DuplicateGroup) =>
    new Set(members.map((row) => roleOf(manifest.rows[row]!.split)));
  const itemsOf = ({ rows: members }: DuplicateGroup) =>
    new Set(members.map((row) => manifest.rows[row]!.itemId));
  const labelOf = (group: DuplicateGroup) => {
    const roles = rolesOf(group);
    if (roles.has('trained') && roles.has('judged')) return 'train and test';
    if (roles.has('trained') && roles.has('validated')) return 'train and val';
    return itemsOf(group).size > 1 ? 'several items' : 'repeated';
  };
  for (const label of ['train and test', 'train and val', 'several items', 'repeated']) {
    for (const { rows: members } of duplicates.filter((group) => labelOf(group) === label).slice(0, GROUPS)) {
      rows.push({ label, files: members.slice(0, COLUMNS).map(fileOf) });
    }
  }
  if (tiny.length > 0) rows.push({ label: 'tiny', files: tiny.slice(0, COLUMNS).map(fileOf) });
  const longest = Math.max(0, ...rows.map(({ label }) => label.length));
  return { rows, labelWidth: Math.max(80, 9 * longest) };
}

// --- internal ---

/** A few of many, at equal distances. */
function evenly(values: readonly number[], count: number): number[] {
  const chosen = Math.min(count, values.length);
  return Array.from({ length: chosen }, (_, at) => values[Math.floor((at * values.length) / chosen)]!);
}
