/**
 * What is to be indexed: a picture, or a box of one, with what is known of it. Entries come from the rows of a manifest,
 * or from the records of a catalogue that is indexed again with another model.
 */
import type { Box, ManifestRow } from '../data/index.js';
import { recordPicture } from './record-picture.js';
import type { StoredRecord } from './store.js';

export interface PictureEntry {
  /** Of the record. */
  readonly id: string;
  /** Of the file. */
  readonly path: string;
  /** The part that counts, pixels of the upright picture. Default: all of it. */
  readonly box?: Box | undefined;
  /** Column → values, without `content_hash`. */
  readonly fields: Readonly<Record<string, readonly string[]>>;
}

/**
 * The id of a row's picture in a catalogue: its path as the manifest has it and, where only a box of the picture
 * counts, `#left,top,right,bottom`.
 */
export function recordId({ relativePath, box }: Pick<ManifestRow, 'relativePath' | 'box'>): string {
  return box === undefined
    ? relativePath
    : `${relativePath}#${box.left},${box.top},${box.right},${box.bottom}`;
}

/** The box that an id ends with, as those of `recordId` do. */
export function boxOfId(id: string): Box | undefined {
  const [, ...sides] = BOX.exec(id) ?? [];
  const [left, top, right, bottom] = sides.map(Number);
  return left === undefined || top === undefined || right === undefined || bottom === undefined
    ? undefined
    : { left, top, right, bottom };
}

/** The entry of a manifest's row. */
export function entryOfRow(row: ManifestRow): PictureEntry {
  const optional = (value: string | undefined) => (value === undefined ? [] : [value]);
  return {
    id: recordId(row),
    path: row.path,
    box: row.box,
    fields: {
      ...row.attributes,
      path: [row.path],
      item_id: [row.itemId],
      split: [row.split],
      source: optional(row.source),
      source_group: optional(row.sourceGroup),
    },
  };
}

/** The entry that made a catalogue's record, or would. */
export function entryOfRecord({ id, fields }: Pick<StoredRecord, 'id' | 'fields'>): PictureEntry {
  const { content_hash: _, ...rest } = fields;
  const path = fields.path?.[0] ?? id;
  const isWhole = typeof recordPicture({ id, fields }) === 'string';
  return { id, path, box: isWhole ? undefined : boxOfId(id), fields: rest };
}

// --- internal ---

const BOX = /#(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)$/;
