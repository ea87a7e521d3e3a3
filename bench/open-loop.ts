/**
 * Requests at a rate, evenly spaced, whatever is answered: an open loop, as a crowd is one. Latency counts from the moment that a
 * request was due, so a client that falls behind makes figures worse, never better. Plain sockets and requests that are bytes
 * already: at ten times what a server can do, node's own HTTP client would take more of a shared machine than the refusals.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';

/** A request as bytes: HTTP/1.1, with `Content-Length`. */
export interface PreparedRequest {
  readonly kind: string;
  readonly bytes: Uint8Array;
}

export interface Answer {
  readonly kind: string;
  /** 0: none, within ten seconds or because the connection broke. */
  readonly status: number;
  /** Milliseconds since it was due. */
  readonly latency: number;
  readonly retryAfter: boolean;
}

/** Makes the bytes of a request. */
export function prepareRequest(
  url: URL,
  request: {
    kind: string;
    method: string;
    path: string;
    headers?: Record<string, string>;
    body?: Uint8Array;
  },
): PreparedRequest {
  const { kind, method, path, headers = {}, body = new Uint8Array() } = request;
  const all = { host: url.host, ...headers, 'content-length': String(body.length) };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return {
    kind,
    bytes: Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${head.join('')}\r\n`), body]),
  };
}

/**
 * Sends `next()` at a rate. Connections are kept and used again; where none is free another is opened.
 * @returns the connections that were opened
 */
export async function openLoop(
  url: URL,
  options: {
    readonly rate: number;
    readonly seconds: number;
    readonly signal?: AbortSignal;
    readonly next: () => PreparedRequest;
    readonly told: (answer: Answer) => void;
  },
): Promise<{ connections: number }> {
  const { rate, seconds, next, told, signal } = options;
  const free: Connection[] = [];
  let [connections, open] = [0, 0];
  const startedAt = performance.now();
  for (let n = 0; n < rate * seconds && signal?.aborted !== true; n++) {
    const due = startedAt + (1000 * n) / rate;
    const early = due - performance.now();
    if (early > 1) await setTimeout(early);
    let connection = free.pop();
    while (connection?.isOver === true) connection = free.pop();
    if (connection === undefined) {
      connection = new Connection(url);
      connections++;
    }
    const used = connection;
    const request = next();
    open++;
    used.send(request.bytes, ({ status, retryAfter }) => {
      open--;
      told({ kind: request.kind, status, retryAfter, latency: performance.now() - due });
      if (!used.isOver) free.push(used);
    });
  }
  const end = performance.now() + 11_000;
  while (open > 0 && performance.now() < end) await setTimeout(20);
  for (const connection of free) connection.end();
  return { connections };
}

// --- internal ---

const PATIENCE_MS = 10_000;

type Told = (answer: { readonly status: number; readonly retryAfter: boolean }) => void;

/** One request at a time. */
class Connection {
  isOver = false;
  readonly #socket: Socket;
  #told: Told | undefined;
  #timer: NodeJS.Timeout | undefined;
  #head = '';
  #left: number | undefined;
  #status = 0;

  constructor(url: URL) {
    this.#socket = connect(Number(url.port), url.hostname);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk) => this.#read(chunk));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.end());
  }

  send(bytes: Uint8Array, told: Told): void {
    [this.#told, this.#head, this.#left] = [told, '', undefined];
    this.#timer = globalThis.setTimeout(() => this.end(), PATIENCE_MS);
    this.#socket.write(bytes);
  }

  end(): void {
    this.isOver = true;
    this.#socket.destroy();
    this.#tell(0);
  }

  #read(chunk: Buffer): void {
    if (this.#left === undefined) {
      this.#head += chunk.toString('latin1');
      const end = this.#head.indexOf('\r\n\r\n');
      if (end === -1) return;
      const length = /\r\ncontent-length: (\d+)/i.exec(this.#head)?.[1];
      this.#status = Number(this.#head.slice(9, 12));
      this.#left = this.#status === 204 ? 0 : Number(length ?? Number.NaN);
      if (Number.isNaN(this.#left)) {
        this.end();
        return;
      }
      this.#left -= this.#head.length - end - 4;
    } else this.#left -= chunk.length;
    if (this.#left > 0) return;
    if (/\r\nconnection: close/i.test(this.#head)) {
      this.isOver = true;
      this.#socket.destroy();
    }
    this.#tell(this.#status);
  }

  #tell(status: number): void {
    clearTimeout(this.#timer);
    const told = this.#told;
    this.#told = undefined;
    told?.({ status, retryAfter: /\r\nretry-after: \d/i.test(this.#head) });
  }
}
