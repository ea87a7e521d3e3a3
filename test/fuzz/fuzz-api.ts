/**
 * Sends requests that nobody should send to a server, and judges the answers: no 5xx but a deliberate 503, nothing that takes
 * longer than the limit, every error a problem that fits its schema, every success what the OpenAPI document says of it.
 * The judge is ajv with the document, not the zod schemas that the server validates by.
 */
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import type { Hints } from './from-schema.js';
import { type ApiDocument, anyRequest, type FuzzRequest } from './requests.js';

export interface FuzzOptions {
  /** E.g. `http://127.0.0.1:7700`. */
  readonly baseUrl: string;
  readonly cases: number;
  readonly seed: number;
  /** Milliseconds for an answer. Default 5,000. */
  readonly limitMs?: number;
  readonly hints: Hints;
  readonly pictures: readonly Uint8Array[];
  readonly onCase?: (done: number, failures: number) => void;
}

export interface FuzzFailure {
  readonly what: string;
  readonly request: FuzzRequest;
  readonly answer: string;
}

export interface FuzzResult {
  readonly cases: number;
  readonly failures: readonly FuzzFailure[];
  /** Route and kind → status → how often. */
  readonly statuses: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly slowestMs: number;
  /** Of a valid request: route → how many succeeded, of how many. */
  readonly valid: Readonly<Record<string, readonly [succeeded: number, of: number]>>;
}

/** Runs the cases one after the other. */
export async function fuzzApi(options: FuzzOptions): Promise<FuzzResult> {
  const { baseUrl, cases, seed, limitMs = 5000, hints, pictures, onCase } = options;
  const document = (await (await fetch(`${baseUrl}/openapi.json`)).json()) as ApiDocument;
  const judge = new Judge(document);
  const drawn = anyRequest(document, hints, pictures);
  const { hostname, port } = new URL(baseUrl);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const target = { host: hostname, port: Number(port), agent, limitMs };
  const failures: FuzzFailure[] = [];
  const statuses: Record<string, Record<string, number>> = {};
  const valid: Record<string, [number, number]> = {};
  let [done, slowestMs] = [0, 0];
  for (let chunk = 0; done < cases; chunk++) {
    const requests = fc.sample(drawn, {
      numRuns: Math.min(CHUNK, cases - done),
      seed: seed + chunk,
    });
    for (const request of requests) {
      const answer = await send(request, target);
      if (answer.ms > 500 && process.env.FUZZ_SLOW)
        console.error(
          Math.round(answer.ms),
          request.route,
          request.kind,
          request.path.slice(0, 80),
          Buffer.from(request.body ?? [])
            .toString('latin1')
            .slice(0, 80),
          answer.status,
        );
      slowestMs = Math.max(slowestMs, answer.ms);
      const what = judge.problemOf(request, answer);
      if (what !== undefined) failures.push({ what, request, answer: answer.text.slice(0, 500) });
      const row = `${request.route} ${request.kind}`;
      statuses[row] ??= {};
      statuses[row][answer.status] = (statuses[row][answer.status] ?? 0) + 1;
      if (request.kind === 'valid') {
        valid[request.route] ??= [0, 0];
        const counts = valid[request.route] as [number, number];
        counts[0] += answer.status >= 200 && answer.status < 400 ? 1 : 0;
        counts[1]++;
      }
      done++;
      onCase?.(done, failures.length);
    }
  }
  agent.destroy();
  return { cases: done, failures, statuses, slowestMs, valid };
}

/** A failure in a few lines, with what is needed to send it again. */
export function describeFailure({ what, request, answer }: FuzzFailure): string {
  const { route, kind, method, path, headers, body } = request;
  const shown = body === undefined ? '' : JSON.stringify(Buffer.from(body).toString('latin1').slice(0, 400));
  return `${what}\n  ${route} (${kind}): ${method} ${path.slice(0, 300)} ${JSON.stringify(headers).slice(0, 300)}\n  ${shown}\n  → ${answer}`;
}

// --- internal ---

/** Requests that are drawn at a time. */
const CHUNK = 200;

interface Answer {
  /** 0: none came before the connection was closed; -1: none in time. */
  readonly status: number;
  readonly type: string;
  readonly text: string;
  readonly ms: number;
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly agent: Agent;
  readonly limitMs: number;
}

class Judge {
  readonly #document: ApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(document: ApiDocument) {
    this.#document = document;
    this.#ajv.addSchema({ $id: 'api', ...document });
  }

  /** What is wrong with an answer, if anything is. */
  problemOf(request: FuzzRequest, { status, type, text, ms }: Answer): string | undefined {
    if (status === -1) return `no answer within ${ms.toFixed(0)} ms`;
    // A socket of nonsense may be closed without a word.
    if (status === 0)
      return request.route === 'socket' ? undefined : 'the connection was closed without an answer';
    if (status === 100 || status === 304) return undefined;
    if (status >= 400) return this.#ofError(request, status, type, text);
    if (status >= 300) return `status ${status}`;
    if (request.kind !== 'valid' || request.method === 'HEAD') return undefined;
    return this.#ofSuccess(request, status, type, text);
  }

  #ofError(request: FuzzRequest, status: number, type: string, text: string): string | undefined {
    if (!type.startsWith('application/problem+json')) return `status ${status} with the type '${type}'`;
    if (request.method === 'HEAD') return undefined;
    let problem: { status: number; code: string };
    try {
      problem = JSON.parse(text);
    } catch {
      return `status ${status}: the problem is no JSON`;
    }
    const wrong = this.#mismatch('#/components/schemas/Problem', problem);
    if (wrong !== undefined) return `the problem does not fit its schema: ${wrong}`;
    if (problem.status !== status) return `status ${status}, but the problem says ${problem.status}`;
    if (status >= 500 && !(status === 503 && DELIBERATE.has(problem.code)))
      return `status ${status} (${problem.code})`;
    return undefined;
  }

  #ofSuccess(request: FuzzRequest, status: number, type: string, text: string): string | undefined {
    const [method = '', path = ''] = request.route.split(' ');
    const { responses } = this.#document.paths[path]?.[method.toLowerCase()] ?? {};
    const response = responses?.[status];
    if (response === undefined) return `status ${status} is not in the document`;
    const { content } = response;
    if (content === undefined) return text === '' ? undefined : `status ${status} must have no body`;
    const plain = type.split(';')[0] ?? '';
    const documented = content[plain] ?? content[plain.replace(/\/.*/, '/*')];
    if (documented === undefined) return `the type '${plain}' is not in the document`;
    const pointer = [
      '#',
      'paths',
      path,
      method.toLowerCase(),
      'responses',
      String(status),
      'content',
      plain,
      'schema',
    ]
      .map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1'))
      .map((step, i) => (i === 0 ? step : encodeURIComponent(step)))
      .join('/');
    if (plain === 'application/x-ndjson') {
      for (const line of text.split('\n').filter(Boolean)) {
        const wrong = this.#mismatch('#/components/schemas/BulkResult', JSON.parse(line));
        if (wrong !== undefined) return `a line does not fit its schema: ${wrong}`;
      }
      return undefined;
    }
    if (plain !== 'application/json') return undefined;
    const wrong = this.#mismatch(pointer, JSON.parse(text));
    return wrong === undefined ? undefined : `the answer does not fit its schema: ${wrong}`;
  }

  #mismatch(pointer: string, value: unknown): string | undefined {
    let validate = this.#compiled.get(pointer);
    if (validate === undefined) {
      validate = this.#ajv.compile({ $ref: `api${pointer}` });
      this.#compiled.set(pointer, validate);
    }
    return validate(value) ? undefined : this.#ajv.errorsText(validate.errors);
  }
}

const DELIBERATE = new Set(['too-busy', 'timeout', 'unavailable']);

async function send(request: FuzzRequest, target: Target): Promise<Answer> {
  const start = performance.now();
  const answer =
    request.route === 'socket' ? await sendBytes(request, target) : await sendHttp(request, target);
  return { ...answer, ms: performance.now() - start };
}

function sendHttp(request: FuzzRequest, { host, port, agent, limitMs }: Target): Promise<Omit<Answer, 'ms'>> {
  const { method, path, headers, body } = request;
  return new Promise((resolve) => {
    const end = (status: number, type = '', text = '') => {
      clearTimeout(timer);
      resolve({ status, type, text });
    };
    const length = body === undefined ? {} : { 'content-length': String(body.length) };
    const outgoing = httpRequest({
      host,
      port,
      agent,
      method,
      path,
      headers: 'transfer-encoding' in headers ? headers : { ...length, ...headers },
      setHost: !('host' in headers),
    });
    const timer = setTimeout(() => {
      end(-1);
      outgoing.destroy();
    }, limitMs);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      const finish = () =>
        end(
          response.statusCode ?? 0,
          response.headers['content-type'] ?? '',
          Buffer.concat(chunks).toString('utf8'),
        );
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', finish);
      response.on('error', finish);
    });
    // An answer that came before all was sent is kept: the server may close the connection then.
    outgoing.on('error', () => setTimeout(() => end(0), 50));
    outgoing.end(body);
  });
}

function sendBytes({ body }: FuzzRequest, { host, port, limitMs }: Target): Promise<Omit<Answer, 'ms'>> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const chunks: Buffer[] = [];
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      const text = Buffer.concat(chunks).toString('utf8');
      const [head = '', content = ''] = text.split(/\r\n\r\n(.*)/s);
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0);
      const type = /^content-type: (.*)$/im.exec(head)?.[1] ?? '';
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? content.length);
      resolve({ status, type, text: Buffer.from(content).subarray(0, length).toString('utf8') });
    };
    // The rest never comes: a server may well wait for it for a while.
    const timer = setTimeout(finish, Math.min(limitMs, 300));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', finish);
    socket.on('close', finish);
    socket.on('connect', () => {
      if (body !== undefined) socket.write(body);
      socket.end();
    });
  });
}
