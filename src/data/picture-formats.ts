/**
 * What a file is by its first bytes; names and extensions are never trusted.
 * Six formats are read. The others are recognised only so that the message can name them.
 */

/** Formats that are decoded. */
export type PictureFormat = 'JPEG' | 'PNG' | 'WebP' | 'GIF' | 'AVIF' | 'TIFF';

export type SniffedContent =
  | { readonly readable: true; readonly format: PictureFormat }
  | { readonly readable: false; readonly description: string };

/** Tells what the bytes are. `description` completes the sentence "is …, not a picture that can be read". */
export function sniffContent(bytes: Uint8Array): SniffedContent {
  if (bytes.length === 0) return { readable: false, description: 'an empty file' };
  for (const [format, matches] of READABLE) if (matches(bytes)) return { readable: true, format };
  for (const [description, matches] of RECOGNISED)
    if (matches(bytes)) return { readable: false, description };
  return { readable: false, description: 'of an unknown kind' };
}

// --- internal ---

type Test = (bytes: Uint8Array) => boolean;

const startsWith =
  (...prefix: number[]): Test =>
  (bytes) =>
    prefix.every((byte, index) => bytes[index] === byte);

const ascii = (bytes: Uint8Array, from: number, to: number) =>
  String.fromCharCode(...bytes.subarray(from, Math.min(to, bytes.length)));

/**
 * Brands of an ISO media file: the major one at byte 8, then the compatible ones to the end of the first box. As strict on
 * the box's length as the decoder: `<!--ftypavif--><svg …` would be an SVG to it.
 */
function hasBrand(bytes: Uint8Array, brands: readonly string[]): boolean {
  if (ascii(bytes, 4, 8) !== 'ftyp' || bytes[0] !== 0 || bytes[1] !== 0) return false;
  const length = ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
  if (length > 2048 || length % 4 !== 0) return false;
  const end = Math.min(bytes.length, 256, length);
  for (let at = 8; at + 4 <= end; at += 4) if (brands.includes(ascii(bytes, at, at + 4))) return true;
  return false;
}

const isText: Test = (bytes) =>
  bytes.subarray(0, 512).every((byte) => byte >= 32 || (byte >= 9 && byte <= 13));
const isMarkup =
  (pattern: RegExp): Test =>
  (bytes) =>
    pattern.test(ascii(bytes, 0, 4096).replace(/^\xEF\xBB\xBF/, ''));

const READABLE: readonly (readonly [PictureFormat, Test])[] = [
  ['JPEG', startsWith(0xff, 0xd8, 0xff)],
  ['PNG', startsWith(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)],
  ['GIF', (bytes) => /^GIF8[79]a/.test(ascii(bytes, 0, 6))],
  ['WebP', (bytes) => ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 12) === 'WEBP'],
  ['AVIF', (bytes) => hasBrand(bytes, ['avif', 'avis'])],
  ['TIFF', (bytes) => /^(II[*+]\0|MM\0[*+])/.test(ascii(bytes, 0, 4))],
];

const RECOGNISED: readonly (readonly [string, Test])[] = [
  ['HEIC', (bytes) => hasBrand(bytes, ['heic', 'heix', 'heim', 'heis', 'hevc', 'mif1'])],
  ['a PDF', (bytes) => ascii(bytes, 0, 5) === '%PDF-'],
  ['a ZIP archive', startsWith(0x50, 0x4b, 0x03, 0x04)],
  ['a gzip archive', startsWith(0x1f, 0x8b)],
  ['a 7z archive', startsWith(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c)],
  ['a RAR archive', startsWith(0x52, 0x61, 0x72, 0x21, 0x1a, 0x07)],
  ['a bzip2 archive', startsWith(0x42, 0x5a, 0x68)],
  ['an xz archive', startsWith(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)],
  ['a zstd archive', startsWith(0x28, 0xb5, 0x2f, 0xfd)],
  ['a tar archive', (bytes) => ascii(bytes, 257, 262) === 'ustar'],
  ['a BMP', (bytes) => ascii(bytes, 0, 2) === 'BM' && bytes.length > 26],
  ['SVG', isMarkup(/<svg[\s>]|<!DOCTYPE\s+svg/i)],
  ['HTML', isMarkup(/^\s*<(!doctype html|html)/i)],
  ['XML', isMarkup(/^\s*<\?xml/i)],
  ['text', isText],
];
