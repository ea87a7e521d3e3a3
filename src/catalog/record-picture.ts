/** The picture that a record of a catalogue was made of. */
import type { PictureSource } from '../bundle/index.js';
import type { StoredRecord } from './store.js';

/**
 * The file of a record, with the box that counts: where a manifest has boxes, a record's id ends with `#left,top,right,bottom`
 * and its path does not.
 */
export function recordPicture({ id, fields }: Pick<StoredRecord, 'id' | 'fields'>): PictureSource {
  const path = fields.path?.[0] ?? id;
  const match = /#([\d.]+),([\d.]+),([\d.]+),([\d.]+)$/.exec(id);
  if (match === null || path.endsWith(match[0])) return path;
  const [left, top, right, bottom] = match.slice(1).map(Number) as [number, number, number, number];
  return { path, box: { left, top, right, bottom } };
}
