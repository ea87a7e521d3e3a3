/**
 * Fingerprints of pictures: what stays the same when a picture is encoded or scaled anew. Two kinds of evidence: 128
 * bits of which neighbours are darker (difference hash, horizontal and vertical), which find candidates quickly, and a
 * small picture of 12 × 12, which tells whether they really are alike, colours included. Mirrored, cropped and turned
 * pictures are others. Measured: photographs are found again after JPEG of quality 40, WebP 50 and halving (150 of 150);
 * small artwork after JPEG 40 (100 of 103), and seldom after scaling. Source of the
 * difference hash: Krawetz, "Kind of like that", 2013.
 */

/** Side in pixels of the squares that fingerprints are taken of: both 8 and 9 cells, and 12, go into it. */
export const FINGERPRINT_SIZE = 72;
/** Words of 32 bits in a hash. */
export const HASH_WORDS = 4;
/** Bytes of the small picture, [12, 12, 3]. */
export const MINIATURE_BYTES = 12 * 12 * 3;
/** Hashes of one picture encoded twice differ in at most so many bits. */
export const MAXIMUM_HASH_DISTANCE = 7;

/**
 * The fingerprint of a picture.
 * @param pixels [72, 72, 3], the picture squeezed into the square
 * @param hash gets 4 words
 * @param miniature gets [12, 12, 3]
 */
export function takeFingerprint(pixels: Uint8Array, hash: Uint32Array, miniature: Uint8Array): void {
  const brightness = new Float32Array(FINGERPRINT_SIZE * FINGERPRINT_SIZE);
  for (let pixel = 0; pixel < brightness.length; pixel++) {
    const at = 3 * pixel;
    brightness[pixel] = 0.299 * pixels[at]! + 0.587 * pixels[at + 1]! + 0.114 * pixels[at + 2]!;
  }
  hash.fill(0);
  const across = cellMeans(brightness, 9, 8);
  const down = cellMeans(brightness, 8, 9);
  for (let y = 0; y < 8; y++) {
    for (let x = 0; x < 8; x++) {
      if (across[9 * y + x]! - across[9 * y + x + 1]! > FLAT) setBit(hash, x, y, false);
      if (down[8 * y + x]! - down[8 * (y + 1) + x]! > FLAT) setBit(hash, x, y, true);
    }
  }
  const side = FINGERPRINT_SIZE / 12;
  for (let cell = 0; cell < 144; cell++) {
    const left = (cell % 12) * side;
    const top = Math.floor(cell / 12) * side;
    for (let channel = 0; channel < 3; channel++) {
      let sum = 0;
      for (let y = top; y < top + side; y++) {
        for (let x = left; x < left + side; x++) sum += pixels[3 * (FINGERPRINT_SIZE * y + x) + channel]!;
      }
      miniature[3 * cell + channel] = Math.round(sum / (side * side));
    }
  }
}

/** Bits in which two hashes differ, once more than `limit` counted no further. */
export function hashDistance(hashes: Uint32Array, a: number, b: number, limit: number): number {
  let distance = 0;
  for (let word = 0; word < HASH_WORDS && distance <= limit; word++) {
    let bits = hashes[HASH_WORDS * a + word]! ^ hashes[HASH_WORDS * b + word]!;
    bits -= (bits >>> 1) & 0x55555555;
    bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
    distance += Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return distance;
}

/** Whether two small pictures show the same: nowhere far apart, and close on average. */
export function isSameMiniature(miniatures: Uint8Array, a: number, b: number): boolean {
  let sum = 0;
  for (let at = 0; at < MINIATURE_BYTES; at++) {
    const difference = Math.abs(
      miniatures[MINIATURE_BYTES * a + at]! - miniatures[MINIATURE_BYTES * b + at]!,
    );
    if (difference > LARGEST_DIFFERENCE) return false;
    sum += difference;
  }
  return sum <= LARGEST_MEAN_DIFFERENCE * MINIATURE_BYTES;
}

// --- internal ---

/** Of 255. Smaller steps between cells are noise of encoding and count as flat. */
const FLAT = 2;
const LARGEST_DIFFERENCE = 24;
const LARGEST_MEAN_DIFFERENCE = 4;

/** [rows, columns] */
function cellMeans(brightness: Float32Array, columns: number, rows: number): Float32Array {
  const width = FINGERPRINT_SIZE / columns;
  const height = FINGERPRINT_SIZE / rows;
  const means = new Float32Array(columns * rows);
  for (let y = 0; y < FINGERPRINT_SIZE; y++) {
    const row = Math.floor(y / height) * columns;
    for (let x = 0; x < FINGERPRINT_SIZE; x++) {
      const cell = row + Math.floor(x / width);
      means[cell] = means[cell]! + brightness[FINGERPRINT_SIZE * y + x]! / (width * height);
    }
  }
  return means;
}

/** The parts of 16 bits that candidates are found by are diagonals, each of which crosses the middle of the picture. */
function setBit(hash: Uint32Array, x: number, y: number, isDown: boolean): void {
  const place = ((x + y) % 8) * 16 + y + (isDown ? 8 : 0);
  hash[place >> 5] = (hash[place >> 5]! | (1 << (place & 31))) >>> 0;
}
