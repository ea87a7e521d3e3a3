/** One member of a large JSON object, read without holding the rest in memory. */
import { DataError, errorMessage, type StartProgress, silentProgress } from '../../util/index.js';
import { chunksOf } from './text-lines.js';

/**
 * Streams through a file that holds one JSON object and parses the value of one of its own (top-level) members.
 * @param name of the member; must need no escapes
 * @returns undefined when the object has no such member
 * @throws DataError when the file cannot be read, is not a JSON object, or ends too early
 */
export async function readJsonMember(
  file: string,
  name: string,
  { signal, progress = silentProgress }: { signal?: AbortSignal | undefined; progress?: StartProgress } = {},
): Promise<unknown> {
  const scanner = new MemberScanner(name);
  try {
    for await (const chunk of chunksOf(file, progress)) {
      signal?.throwIfAborted();
      if (scanner.take(chunk)) return JSON.parse(scanner.value);
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof DataError) throw error;
    throw new DataError(`cannot be read as JSON: ${errorMessage(error)}`, { file, cause: error });
  }
  if (!scanner.isFinished) {
    throw new DataError('must hold a whole JSON object, got one that is cut off. Unpack the dataset again', {
      file,
    });
  }
  return undefined;
}

// --- internal ---

/**
 * Follows depth and strings only. A string at depth 1 that a colon follows is the name of a member; what comes next, up
 * to the comma or brace of the same depth, is its value.
 */
class MemberScanner {
  value = '';
  isFinished = false;
  readonly #name: string;
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  /** The last string at depth 1, without its quotes. */
  #text = '';
  #isWanted = false;

  constructor(name: string) {
    this.#name = name;
  }

  /** @returns whether the value is complete */
  take(chunk: string): boolean {
    let from = this.#isWanted ? 0 : -1;
    for (let at = 0; at < chunk.length; at++) {
      const code = chunk.charCodeAt(at);
      if (this.#inString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (code === BACKSLASH) this.#isEscaped = true;
        else if (code === QUOTE) this.#inString = false;
        if (this.#inString && this.#depth === 1 && this.#text.length <= this.#name.length)
          this.#text += chunk[at];
        continue;
      }
      if (code === QUOTE) {
        this.#inString = true;
        if (this.#depth === 1 && !this.#isWanted) this.#text = '';
      } else if (code === OPEN_BRACE || code === OPEN_BRACKET) this.#depth++;
      else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
        this.#depth--;
        if (this.#depth === 0) {
          this.isFinished = true;
          if (this.#isWanted) return this.#end(chunk, from, at);
        }
      } else if (this.#depth === 0 && code > SPACE && code !== BYTE_ORDER_MARK) {
        throw new Error(`a JSON object is required, got '${chunk.slice(at, at + 20)}'`);
      } else if (this.#depth === 1 && code === COMMA && this.#isWanted) return this.#end(chunk, from, at);
      else if (this.#depth === 1 && code === COLON && !this.#isWanted && this.#text === this.#name) {
        this.#isWanted = true;
        from = at + 1;
      }
    }
    if (this.#isWanted) this.value += chunk.slice(Math.max(0, from));
    return false;
  }

  #end(chunk: string, from: number, to: number): true {
    this.value += chunk.slice(Math.max(0, from), to);
    return true;
  }
}

const [QUOTE, BACKSLASH, COMMA, COLON, SPACE] = [34, 92, 44, 58, 32] as const;
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [123, 125, 91, 93] as const;
const BYTE_ORDER_MARK = 0xfeff;
