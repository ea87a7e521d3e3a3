import { describe, expect, it } from 'vitest';
import { readSyncTrace } from './sync-trace.js';

const read = (...lines: string[]) => readSyncTrace(lines.join('\n'), '/w', (path) => path.endsWith('.lock'));
const ACKNOWLEDGED = '7 write(1<pipe:[5]>, "done\\n", 5) = 5';
const made = (path: string) =>
  `7 openat(AT_FDCWD</h>, "${path}", O_WRONLY|O_CREAT|O_EXCL, 0666) = 20<${path}>`;

describe('readSyncTrace', () => {
  const written = [made('/w/a.tmp'), '7 write(20</w/a.tmp>, "x", 1) = 1'];
  const renamed = '7 rename("/w/a.tmp", "/w/a") = 0';

  it('is content with a file and its folder that were synced in time', () => {
    const report = read(
      ...written,
      '7 fsync(20</w/a.tmp>) = 0',
      renamed,
      '7 fsync(21</w>) = 0',
      ACKNOWLEDGED,
    );
    expect(report).toEqual({ acknowledged: 1, written: 1, syncs: 2, violations: [] });
  });

  it.each([
    [
      'a file that was not synced',
      [...written, renamed, '7 fsync(21</w>) = 0', ACKNOWLEDGED],
      ['a: was not synced'],
    ],
    [
      'a folder that was not synced',
      [...written, '7 fsync(20</w/a.tmp>) = 0', renamed, ACKNOWLEDGED],
      ['.: a name in this folder was not synced'],
    ],
    [
      'a folder that was synced before the name was there',
      [...written, '7 fsync(20</w/a.tmp>) = 0', '7 fsync(21</w>) = 0', renamed, ACKNOWLEDGED],
      ['.: a name in this folder was not synced'],
    ],
    [
      'a write while another thread syncs',
      [
        ...written,
        '8 fsync(20</w/a.tmp> <unfinished ...>',
        '7 write(20</w/a.tmp>, "y", 1) = 1',
        '8 <... fsync resumed>) = 0',
        '7 fsync(21</w>) = 0',
        ACKNOWLEDGED,
      ],
      ['a.tmp: was not synced'],
    ],
    [
      'a sync that failed',
      [
        ...written,
        '7 fsync(20</w/a.tmp>) = -1 EIO (Input/output error)',
        '7 fsync(21</w>) = 0',
        ACKNOWLEDGED,
      ],
      ['a.tmp: was not synced'],
    ],
    [
      'a sync that had not returned',
      [...written, '7 fsync(21</w>) = 0', '8 fsync(20</w/a.tmp> <unfinished ...>', ACKNOWLEDGED],
      ['a.tmp: was not synced'],
    ],
    [
      'a folder that was made',
      ['7 mkdir("/w/sub", 0777) = 0', ACKNOWLEDGED],
      ['.: a name in this folder was not synced'],
    ],
  ])('tells of %s', (_, lines, violations) => {
    expect(read(...lines).violations).toEqual(violations);
  });

  it('leaves alone what is elsewhere, transient, or was removed before', () => {
    const report = read(
      made('/h/other'),
      '7 write(20</h/other>, "x", 1) = 1',
      made('/w/l.lock'),
      '7 write(20</w/l.lock>, "x", 1) = 1',
      ...written,
      '7 unlink("/w/a.tmp") = 0',
      '7 fsync(21</w>) = 0',
      ACKNOWLEDGED,
    );
    expect(report.violations).toEqual([]);
  });
});
