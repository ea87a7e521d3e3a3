/** Folders of files for tests: made from a record of paths and contents, and damaged at random. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { expect } from 'vitest';
import { DataError } from '../../src/util/index.js';

/** Contents by path; `picture` stands for a small JPEG. */
export type FileTree = Readonly<Record<string, string | Uint8Array>>;

/** A JPEG of 8 × 6 pixels. */
export const picture: Uint8Array = await sharp({
  create: { width: 8, height: 6, channels: 3, background: '#3060c0' },
})
  .jpeg()
  .toBuffer();

/** Writes the files under a folder, a fresh one where none is given. @returns the folder */
export async function makeTree(files: FileTree, root?: string): Promise<string> {
  const folder = root ?? (await mkdtemp(join(tmpdir(), 'semblance-tree-')));
  for (const [path, content] of Object.entries(files)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  return folder;
}

/**
 * Damages one text file again and again: cuts, doubled and changed characters, lines that move, bytes of binary files.
 * Whatever reads it must go on, or fail with one `DataError` of one line.
 */
export async function expectToSurviveDamage(
  files: Readonly<Record<string, string | Uint8Array>>,
  damaged: string,
  read: (root: string) => Promise<unknown>,
  { runs = 60 }: { runs?: number } = {},
): Promise<void> {
  const root = await makeTree(files);
  const original = Buffer.from(files[damaged]!);
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            at: fc.nat(original.length),
            remove: fc.nat(12),
            insert: fc.oneof(
              fc.constantFrom(
                '',
                '\n',
                '\r\n',
                ' ',
                '\0',
                '|',
                ',',
                '"',
                '-1',
                '0',
                '../',
                '\\',
                '99999999999',
              ),
              fc.string({ maxLength: 6 }),
              fc.nat(original.length).map((from) => original.toString('latin1', from, from + 40)),
            ),
          }),
          { minLength: 1, maxLength: 4 },
        ),
        async (edits) => {
          let bytes = original;
          for (const { at, remove, insert } of edits) {
            bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(insert), bytes.subarray(at + remove)]);
          }
          await writeFile(join(root, damaged), bytes);
          try {
            await read(root);
          } catch (error) {
            if (!(error instanceof DataError)) throw error;
            expect(error.message).not.toContain('\n');
            expect(error.message.length).toBeLessThan(600);
          }
        },
      ),
      { numRuns: runs },
    );
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
