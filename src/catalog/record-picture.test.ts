import { describe, expect, it } from 'vitest';
import { recordId } from './picture-entries.js';
import { recordPicture } from './record-picture.js';

describe('recordPicture', () => {
  const record = (id: string, path: string) => recordPicture({ id, fields: { path: [path] } });

  it('gives back the path and box of a row', () => {
    const box = { left: 1, top: 2.5, right: 30, bottom: 40 };
    for (const relativePath of ['a/b.png', 'odd #1,2,3,4', 'ö#x.png']) {
      const path = `/data/${relativePath}`;
      expect(record(recordId({ relativePath }), path)).toBe(path);
      expect(record(recordId({ relativePath, box }), path)).toEqual({ path, box });
    }
  });

  it('takes the id for the path where the record has none', () => {
    expect(recordPicture({ id: 'a.png', fields: {} })).toBe('a.png');
  });
});
