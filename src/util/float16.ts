/** Half-precision numbers (IEEE 754 binary16), which JavaScript has no array of before Node 24: bits in a Uint16Array. */

/** The numbers of bit patterns, exactly: zeros keep their sign, denormals, infinities and NaN stay what they are. */
export function float16ToFloat32(
  bits: Uint16Array,
  result: Float32Array = new Float32Array(bits.length),
): Float32Array {
  numbers ??= Float32Array.from({ length: 65_536 }, (_, pattern) => numberOf(pattern));
  for (let i = 0; i < bits.length; i++) result[i] = numbers[bits[i]!]!;
  return result;
}

/**
 * The bit patterns of the nearest half-precision numbers, ties to the even one. Magnitudes from 65,520 on become
 * infinite, as IEEE 754 has it.
 */
export function float32ToFloat16(
  values: Float32Array,
  result: Uint16Array = new Uint16Array(values.length),
): Uint16Array {
  const patterns = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < patterns.length; i++) {
    const pattern = patterns[i]!;
    const sign = (pattern >>> 16) & 0x8000;
    const magnitude = pattern & 0x7fff_ffff;
    if (magnitude >= 0x477f_f000) {
      result[i] = sign | (magnitude > 0x7f80_0000 ? 0x7e00 : 0x7c00);
    } else if (magnitude >= 0x3880_0000) {
      const rebased = magnitude - 0x3800_0000; // exponent bias 127 → 15
      result[i] = sign | ((rebased + 0x0fff + ((rebased >>> 13) & 1)) >>> 13);
    } else {
      // Denormal: adding 0.5 leaves the number in units of 2⁻²⁴ in the lowest bits, rounded by the processor.
      scratch[0] = Math.abs(values[i]!) + 0.5;
      result[i] = sign | (scratchBits[0]! - 0x3f00_0000);
    }
  }
  return result;
}

// --- internal ---

let numbers: Float32Array | undefined;
const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

function numberOf(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const exponent = (pattern >> 10) & 0x1f;
  const fraction = pattern & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
