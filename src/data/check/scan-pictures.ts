/**
 * Opens every picture of a manifest once: can it be read, how large is it, and its fingerprint. A few pictures are in
 * memory at a time; what is kept of one is some 500 bytes.
 */
import { DataError, errorMessage, type StartProgress, sha256, silentProgress } from '../../util/index.js';
import { decodePicture, pictureSize, readPictureBytes } from '../decode.js';
import type { ManifestRow } from '../manifest.js';
import { forEachInParallel } from '../parallel.js';
import { FINGERPRINT_SIZE, HASH_WORDS, MINIATURE_BYTES, takeFingerprint } from './perceptual-hash.js';

export interface PictureScan {
  /** Why a row's picture cannot be used, by row. */
  readonly problems: ReadonlyMap<number, { readonly message: string; readonly isMissing: boolean }>;
  /** SHA-256 of the file (and box) by row; undefined where there is a problem. */
  readonly contents: readonly (string | undefined)[];
  /** Shorter side in pixels of the part that is used, by row; 0 where there is a problem. */
  readonly shorterSides: Uint32Array;
  /** [rows, 4] */
  readonly hashes: Uint32Array;
  /** [rows, 12, 12, 3] */
  readonly miniatures: Uint8Array;
}

/** Scans the pictures of rows. A picture that cannot be read is a finding, not an error. */
export async function scanPictures(
  rows: readonly Pick<ManifestRow, 'path' | 'box'>[],
  { progress = silentProgress, signal }: { progress?: StartProgress; signal?: AbortSignal | undefined } = {},
): Promise<PictureScan> {
  const problems = new Map<number, { message: string; isMissing: boolean }>();
  const contents = new Array<string | undefined>(rows.length).fill(undefined);
  const shorterSides = new Uint32Array(rows.length);
  const hashes = new Uint32Array(rows.length * HASH_WORDS);
  const miniatures = new Uint8Array(rows.length * MINIATURE_BYTES);
  const bar = progress('opening', rows.length);
  let done = 0;
  try {
    await forEachInParallel(
      rows.length,
      async (index) => {
        const { path, box } = rows[index]!;
        try {
          const bytes = await readPictureBytes(path);
          const options = box === undefined ? {} : { box };
          const { data } = await decodePicture(bytes, {
            size: FINGERPRINT_SIZE,
            fit: 'fill',
            name: path,
            ...options,
          });
          takeFingerprint(
            data,
            hashes.subarray(HASH_WORDS * index, HASH_WORDS * (index + 1)),
            miniatures.subarray(MINIATURE_BYTES * index, MINIATURE_BYTES * (index + 1)),
          );
          const { width, height } = await pictureSize(bytes, { name: path });
          shorterSides[index] =
            box === undefined
              ? Math.min(width, height)
              : Math.min(Math.min(width, box.right) - box.left, Math.min(height, box.bottom) - box.top);
          const part = box === undefined ? '' : ` ${[box.left, box.top, box.right, box.bottom].join(' ')}`;
          contents[index] = sha256(bytes) + part;
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          const isMissing = error.message.endsWith('no such file');
          problems.set(index, { message: errorMessage(error), isMissing });
        }
        bar.update(++done);
      },
      { signal },
    );
  } finally {
    bar.stop();
  }
  return { problems, contents, shorterSides, hashes, miniatures };
}
