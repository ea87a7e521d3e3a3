/**
 * A repaired copy of a manifest. Rows go, nothing is moved: pictures that cannot be used; training (then validation)
 * rows whose picture is judged as well, so that test stays what it was; second copies of identical files of one item in
 * one split. What only a person can decide (items in two splits, a picture of two items) is left.
 */
import { dirname, resolve } from 'node:path';
import { manifestPath, writeManifest } from '../manifest.js';
import type { CheckReport } from './check-manifest.js';
import { roleOf } from './finding.js';

export interface Repair {
  readonly file: string;
  /** Rows left out, by reason. */
  readonly removed: { readonly unusable: number; readonly leaked: number; readonly repeated: number };
  readonly kept: number;
}

/** @throws DataError when nothing would be left, or the file cannot be written */
export async function repairManifest(report: CheckReport, file: string): Promise<Repair> {
  const { manifest, problems, duplicates } = report;
  const leaked = new Set<number>();
  const repeated = new Set<number>();
  for (const { isExact, rows } of duplicates) {
    const roles = new Set(rows.map((row) => roleOf(manifest.rows[row]!.split)));
    const seen = new Set<string>();
    for (const row of rows) {
      const { split, itemId } = manifest.rows[row]!;
      const role = roleOf(split);
      const isLeak = (role === 'trained' && roles.size > 1) || (role === 'validated' && roles.has('judged'));
      const key = `${split} ${itemId}`;
      if (isLeak) leaked.add(row);
      else if (isExact && seen.has(key)) repeated.add(row);
      seen.add(key);
    }
  }
  const kept = manifest.rows.filter((_, row) => !problems.has(row) && !leaked.has(row) && !repeated.has(row));
  const isBeside = dirname(resolve(file)) === dirname(resolve(manifest.file));
  const hasGroups = kept.some(({ source, sourceGroup }) => sourceGroup !== source);
  await writeManifest(
    file,
    kept.map(({ sourceGroup, ...row }) => ({
      ...row,
      ...(hasGroups ? { sourceGroup } : {}),
      relativePath: isBeside ? row.relativePath : manifestPath(file, row.path),
    })),
    { attributeNames: manifest.attributeNames },
  );
  return {
    file,
    removed: { unusable: problems.size, leaked: leaked.size, repeated: repeated.size },
    kept: kept.length,
  };
}
