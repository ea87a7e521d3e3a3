/** Records of the store as the wire shows them. */
import { sourceParts } from '../bundle/index.js';
import {
  type Filter,
  isBaseColumn,
  literalsOf,
  recordPicture,
  type StoredRecord,
  splitLiteral,
} from '../catalog/index.js';
import type { Region } from '../data/index.js';
import type { RequestContext } from './context.js';
import type { Picture } from './contract.js';
import { HttpError } from './errors.js';

/** A record without its vector and without what concerns only the server (paths, hashes, splits). */
export function toPicture(record: Pick<StoredRecord, 'id' | 'fields'>): Picture {
  const { id, fields } = record;
  const source = fields.source?.[0];
  return {
    id,
    itemId: fields.item_id?.[0] ?? '',
    ...(source === undefined ? {} : { source }),
    attributes: Object.fromEntries(
      Object.entries(fields)
        .filter(([name, values]) => values.length > 0 && !isBaseColumn(name))
        .map(([name, values]) => [name, [...values]]),
    ),
  };
}

/** The record of an id. @throws HttpError `unknown-picture` */
export async function requireRecord(context: RequestContext, id: string): Promise<StoredRecord> {
  if (/\p{Surrogate}/u.test(id)) throw new HttpError('unknown-picture', 'there is no picture of that id');
  const [record] = await context.catalog.store.get([id]);
  if (record === undefined)
    throw new HttpError('unknown-picture', `there is no picture '${id.slice(0, 200)}'`);
  return record;
}

/** Where a record's picture lies on the server, and the part of it that the record shows. */
export function pictureFile(record: Pick<StoredRecord, 'id' | 'fields'>): { path: string; box?: Region } {
  const { source, box } = sourceParts(recordPicture(record));
  return { path: String(source), ...(box === undefined ? {} : { box }) };
}

/** Whether clients may know a column. Where files lie, what they hash to and how they were split is the server's own business. */
export function isPublicColumn(name: string): boolean {
  return !isBaseColumn(name) || name === 'item_id' || name === 'source';
}

/**
 * Columns that are searched, counted and sorted by.
 * @throws HttpError `unknown-column` naming the choices
 */
export function requireColumns(context: RequestContext, names: readonly string[]): void {
  requireAmong(context.catalog.description.columns.filter(isPublicColumn), names);
}

/** Columns that a write may name as attributes: none of the catalogue's own. @throws HttpError `unknown-column` */
export function requireAttributes({ catalog }: RequestContext, names: readonly string[]): void {
  requireAmong(
    catalog.description.columns.filter((column) => !isBaseColumn(column)),
    names,
  );
}

/** The columns that a filter names. */
export function filterColumns(filter: Filter): string[] {
  return filter.flatMap(literalsOf).map((literal) => splitLiteral(literal).test.column);
}

// --- internal ---

function requireAmong(columns: readonly string[], names: readonly string[]): void {
  for (const name of names)
    if (!columns.includes(name))
      throw new HttpError(
        'unknown-column',
        `there is no column '${name.slice(0, 100)}'. Choose from: ${columns.join(', ')}`,
      );
}
