import { describe, expect, it } from 'vitest';
import { crc32c, encodeEvents, scalarsOf } from './event-file.js';

/** Reads the records as the format says, with nothing of ours: fields by their wire types, checksums bit by bit. */
function parseEvents(bytes: Uint8Array) {
  const buffer = Buffer.from(bytes);
  const events = [];
  for (let at = 0; at < buffer.length; ) {
    const length = Number(buffer.readBigUInt64LE(at));
    expect(buffer.readUInt32LE(at + 8)).toBe(maskedByBits(buffer.subarray(at, at + 8)));
    const data = buffer.subarray(at + 12, at + 12 + length);
    expect(buffer.readUInt32LE(at + 12 + length)).toBe(maskedByBits(data));
    const event = fields(data);
    const value = event[5] === undefined ? undefined : fields(fields(event[5] as Buffer)[1] as Buffer);
    events.push({
      wallTime: (event[1] as Buffer).readDoubleLE(),
      step: event[2] ?? 0,
      version: (event[3] as Buffer | undefined)?.toString(),
      tag: (value?.[1] as Buffer | undefined)?.toString(),
      value: (value?.[2] as Buffer | undefined)?.readFloatLE(),
    });
    at += 12 + length + 4;
  }
  return events;
}

function fields(data: Buffer): Record<number, Buffer | number> {
  const result: Record<number, Buffer | number> = {};
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = data[at++]!;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const [field, wire] = [key >>> 3, key & 7];
    if (wire === 0) result[field] = varint();
    else {
      const size = wire === 1 ? 8 : wire === 5 ? 4 : varint();
      result[field] = data.subarray(at, at + size);
      at += size;
    }
  }
  return result;
}

function maskedByBits(bytes: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f63b78n : crc >> 1n;
  }
  crc ^= 0xffffffffn;
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

describe('event files', () => {
  const log = [
    { step: 1, loss: 1.5, metricLoss: 1.25, attributeLoss: 2.5, gradientNorm: 0.5, learningRate: 0.001 },
    { step: 70_000, validation: { score: 0.75, details: { recallAt1: 0.5, 'subgroup mapAtR': 0.25 } } },
    { step: 70_001, validation: { score: Number.NaN, details: {} } },
  ];

  it('hold every number of the log under its tag, and no NaN', () => {
    expect(scalarsOf(log)).toEqual([
      { tag: 'loss/total', step: 1, value: 1.5 },
      { tag: 'loss/metric', step: 1, value: 1.25 },
      { tag: 'loss/attributes', step: 1, value: 2.5 },
      { tag: 'optimizer/gradient_norm', step: 1, value: 0.5 },
      { tag: 'optimizer/learning_rate', step: 1, value: 0.001 },
      { tag: 'validation/score', step: 70_000, value: 0.75 },
      { tag: 'validation/recall_at_1', step: 70_000, value: 0.5 },
      { tag: 'validation/subgroup/map_at_r', step: 70_000, value: 0.25 },
    ]);
  });

  it('are records of the format: version first, then a scalar each, with right checksums', () => {
    const scalars = scalarsOf(log);
    const [first, ...events] = parseEvents(encodeEvents(scalars, 1_700_000_000.5));
    expect(first).toMatchObject({ version: 'brain.Event:2', wallTime: 1_700_000_000.5 });
    expect(events).toEqual(
      scalars.map(({ tag, step, value }) => ({
        tag,
        step,
        value: Math.fround(value),
        wallTime: 1_700_000_000.5,
        version: undefined,
      })),
    );
  });

  // RFC 3720, B.4, and the check value of the polynomial
  it.each([
    [Buffer.from('123456789'), 0xe3069283],
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(255), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ])('CRC-32C of %s', (bytes, crc) => {
    expect(crc32c(bytes)).toBe(crc);
  });
});
