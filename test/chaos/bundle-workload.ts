/**
 * Kind `export`: a model bundle that is replaced again and again, with smaller variants beside the model. Two contents
 * change places; what a reader finds must be one of them, with variants that are whole.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addVariant } from '../../src/bundle/bundle.js';
import { readBundle, variantPath, writeBundle } from '../../src/bundle/index.js';
import { sha256 } from '../../src/util/index.js';
import { tinyBundle } from '../support/tiny-bundle.js';
import { unfinishedFiles } from './litter.js';
import type { Workload } from './workload.js';

interface Intent {
  /** Which of the contents is written. */
  readonly content?: number;
  /** Or which bytes a variant has. */
  readonly fp16?: number;
}

interface Expected {
  readonly content: number;
  readonly fp16: number | undefined;
}

export function bundleWorkload(): Workload {
  let known: Expected | undefined;
  return {
    kind: 'export',
    what: 'replacing a model bundle and its smaller variants',
    writes: 5,
    prepare: async () => {},
    async work(folder, random, teller) {
      const directory = join(folder, 'model');
      teller.opening();
      for (;;) {
        const content = random.integer(CONTENTS.length);
        await teller.write({ content } satisfies Intent, () => writeBundle(directory, CONTENTS[content]!));
        for (let variants = random.integer(4); variants > 0; variants--) {
          const fp16 = random.integer(1 << 20);
          await teller.write({ fp16 } satisfies Intent, () =>
            addVariant(directory, 'fp16', variantBytes(fp16), RECORD),
          );
        }
      }
    },
    async check(folder, told) {
      let wanted = known;
      for (const { intent, isDone } of told) if (isDone) wanted = apply(wanted, intent as Intent);
      const last = told.at(-1);
      const orElse = last === undefined || last.isDone ? wanted : apply(wanted, last.intent as Intent);
      let found: Expected | undefined;
      try {
        const bundle = await readBundle(join(folder, 'model'));
        const content = CONTENTS.findIndex(({ onnxModel }) => sha256(onnxModel) === bundle.modelHash);
        const isWhole = sha256(await readFile(bundle.modelPath)) === bundle.modelHash;
        if (!isWhole) return ['the model is not the one that its card describes'];
        const fp16 =
          bundle.variants.fp16 === undefined
            ? undefined
            : (await readFile(await variantPath(bundle, 'fp16'))).readUInt32LE(0);
        found = { content, fp16 };
      } catch (error) {
        if (wanted !== undefined) return [`the bundle does not open: ${String(error)}`];
      }
      const texts = [found, wanted, orElse].map((expected) => JSON.stringify(expected));
      known = found;
      return texts[0] === texts[1] || texts[0] === texts[2]
        ? []
        : [`acknowledged ${texts[1]}, under way ${texts[2]}, found ${texts[0]}`];
    },
    litter: unfinishedFiles,
  };
}

// --- internal ---

const CONTENTS = [tinyBundle(), tinyBundle({ offset: -0.3 })];
const RECORD = { notes: [], cosineDifference: { largest: 0, mean: 0, pictures: 1 }, measuredOn: 'nothing' };

function variantBytes(number: number): Uint8Array {
  const bytes = Buffer.alloc(300_000, number & 255);
  bytes.writeUInt32LE(number);
  return bytes;
}

function apply(before: Expected | undefined, { content, fp16 }: Intent): Expected | undefined {
  if (content !== undefined) return { content, fp16: undefined };
  return before === undefined ? undefined : { ...before, fp16 };
}
