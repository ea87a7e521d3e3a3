/** Lines of a stream, one at a time: what follows is read only when it is asked for. */

export interface Line {
  /** From 1. */
  readonly number: number;
  /** `undefined`: longer than is read; the rest of it was skipped. */
  readonly text: string | undefined;
}

/** The lines of UTF-8 text that are not blank. @param maximumBytes of a line */
export async function* readLines(
  source: AsyncIterable<Uint8Array>,
  maximumBytes: number,
): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let [bytes, number, isTooLong] = [0, 1, false];
  const take = (): Line | undefined => {
    const text = isTooLong ? undefined : Buffer.concat(parts, bytes).toString('utf8').trim();
    const line = { number: number++, text };
    [parts, bytes, isTooLong] = [[], 0, false];
    return text === '' ? undefined : line;
  };
  const add = (part: Buffer) => {
    bytes += part.length;
    if (bytes > maximumBytes) [parts, isTooLong] = [[], true];
    else parts.push(part);
  };
  for await (const chunk of source) {
    const buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    for (let end = buffer.indexOf(NEWLINE); end !== -1; end = buffer.indexOf(NEWLINE, start)) {
      add(buffer.subarray(start, end));
      const line = take();
      if (line !== undefined) yield line;
      start = end + 1;
    }
    if (start < buffer.length) add(buffer.subarray(start));
  }
  const last = take();
  if (last !== undefined) yield last;
}

// --- internal ---

const NEWLINE = 10;
