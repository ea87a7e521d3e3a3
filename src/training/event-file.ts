/**
 * The training log as a TensorBoard event file: TFRecords (length, CRC-32C of the length, data, CRC-32C of the data) that
 * hold `Event` messages with one scalar each. The description below is the part of `event.proto` and `summary.proto` that
 * is written. Source of the format: TensorFlow's `record_writer.h` and `event.proto`.
 */
import protobuf from 'protobufjs';
import type { LogEntry } from './train.js';

export interface Scalar {
  /** E.g. `loss/total`. */
  readonly tag: string;
  readonly step: number;
  readonly value: number;
}

/** What of a log goes into an event file: every number of every entry, under its tag. */
export function scalarsOf(log: readonly LogEntry[]): Scalar[] {
  return log.flatMap(({ step, validation, ...numbers }) => {
    const own = Object.entries(numbers).map(([name, value]) => ({ tag: TAGS[name] ?? snake(name), value }));
    const judged =
      validation === undefined
        ? []
        : [
            { tag: 'validation/score', value: validation.score },
            ...Object.entries(validation.details ?? {}).map(([name, value]) => ({
              tag: `validation/${name.split(' ').map(snake).join('/')}`,
              value,
            })),
          ];
    return [...own, ...judged].flatMap(({ tag, value }) =>
      typeof value === 'number' && Number.isFinite(value) ? [{ tag, step, value }] : [],
    );
  });
}

/**
 * The bytes of an event file.
 * @param wallTime seconds since 1970 that all events bear: the log keeps no times, so that it is the same at every run.
 */
export function encodeEvents(scalars: readonly Scalar[], wallTime: number): Uint8Array {
  const records = [
    record(Event.encode(Event.fromObject({ wallTime, fileVersion: 'brain.Event:2' })).finish()),
    ...scalars.map(({ tag, step, value }) =>
      record(
        Event.encode(
          Event.fromObject({ wallTime, step, summary: { value: [{ tag, simpleValue: value }] } }),
        ).finish(),
      ),
    ),
  ];
  const bytes = new Uint8Array(records.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const one of records) {
    bytes.set(one, offset);
    offset += one.length;
  }
  return bytes;
}

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// --- internal ---

/** Tags of the log's fields; what is not here is written in snake case. */
const TAGS: Readonly<Record<string, string>> = {
  loss: 'loss/total',
  metricLoss: 'loss/metric',
  attributeLoss: 'loss/attributes',
  gradientNorm: 'optimizer/gradient_norm',
  learningRate: 'optimizer/learning_rate',
};

/** `recallAt1` → `recall_at_1` */
function snake(name: string): string {
  return name
    .replace(/([a-z])([A-Z0-9])/g, '$1_$2')
    .replace(/[^A-Za-z0-9_.-]/g, '_')
    .toLowerCase();
}

const Event = protobuf.Root.fromJSON({
  nested: {
    tensorflow: {
      nested: {
        Event: {
          fields: {
            wallTime: { id: 1, type: 'double' },
            step: { id: 2, type: 'int64' },
            fileVersion: { id: 3, type: 'string' },
            summary: { id: 5, type: 'Summary' },
          },
        },
        Summary: {
          fields: { value: { id: 1, type: 'Value', rule: 'repeated' } },
          nested: {
            Value: { fields: { tag: { id: 1, type: 'string' }, simpleValue: { id: 2, type: 'float' } } },
          },
        },
      },
    },
  },
}).lookupType('tensorflow.Event');

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** Rotated and shifted, since a checksum of data that hold checksums is no good. */
function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length + 4);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, masked(data), true);
  return bytes;
}
