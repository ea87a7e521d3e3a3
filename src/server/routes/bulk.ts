/**
 * `POST /v1/bulk`: any number of writes as NDJSON, answered line by line while they come in. A few are read, carried out in
 * their order, and answered before the next are read: who sends faster than the catalogue stores is slowed down.
 */
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { FastifyBaseLogger, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { isBaseColumn } from '../../catalog/index.js';
import type { RequestContext, Server, ServerContext } from '../context.js';
import { type BulkResult, bulkOperation } from '../contract.js';
import { HttpError } from '../errors.js';
import { type Issue, issueErrors } from '../issues.js';
import { readLines } from '../ndjson.js';
import { requireWritable } from '../searching.js';

export function bulkRoutes(server: Server, shared: ServerContext): void {
  server.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/x-ndjson', (_request, payload, done) => done(null, payload));
    scope.addContentTypeParser('*', async () => {
      throw wrongType();
    });
    scope.post(
      '/v1/bulk',
      {
        config: { timeoutMs: 0 },
        onRequest: async () => requireWritable(shared),
        schema: {
          operationId: 'bulk',
          tags: ['pictures'],
          summary: 'Many writes: a BulkOperation a line, answered by a BulkResult a line, in order.',
        },
      },
      async (request, reply) => {
        if (request.headers['content-type'] === undefined) throw wrongType();
        const body = request.body instanceof Readable ? request.body : Readable.from([]);
        const results = shared.stream(request, (context) => carryOut(context, shared, body, request));
        // Answers may wait for a client that reads none before it has sent all.
        const options = { objectMode: false, highWaterMark: ANSWER_BYTES };
        return reply.type('application/x-ndjson').send(Readable.from(results, options));
      },
    );
  });
}

// --- internal ---

const ANSWER_BYTES = 16_000_000;
/** Operations that are carried out together, and bytes of their lines. */
const BATCH = { operations: 32, bytes: 50_000_000 };

type Operation = z.output<typeof bulkOperation>;
type Step = { readonly line: number; readonly operation: Operation } | { readonly result: BulkResult };

async function* carryOut(
  context: RequestContext,
  shared: ServerContext,
  body: AsyncIterable<Uint8Array>,
  request: FastifyRequest,
): AsyncGenerator<string> {
  const { pictureBytes, requestTimeoutMs } = context.limits;
  const maximumBytes = Math.ceil((pictureBytes * 4) / 3) + 100_000;
  let [steps, bytes]: [Step[], number] = [[], 0];
  const flush = async () => {
    const results = await carryOutSteps(context, shared, steps, request.log);
    await audit(shared, request, results);
    [steps, bytes] = [[], 0];
    return results.map((result) => `${JSON.stringify(result)}\n`).join('');
  };
  for await (const { number, text } of readLines(whileComing(body, requestTimeoutMs), maximumBytes)) {
    context.signal.throwIfAborted();
    steps.push(readStep(context, number, text, maximumBytes));
    bytes += text?.length ?? 0;
    if (steps.length < BATCH.operations && bytes < BATCH.bytes) continue;
    yield await flush();
    await setImmediate(); // lines that write nothing would otherwise keep the process from everybody else
  }
  if (steps.length > 0) yield await flush();
}

/**
 * A body, as long as it keeps coming: who sends nothing for so long must not keep the catalogue's generation, or a server that
 * is to end, for good.
 * @param idleMs between two chunks that are waited for; 0: any time
 */
async function* whileComing(body: AsyncIterable<Uint8Array>, idleMs: number): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  for (;;) {
    let timer: NodeJS.Timeout | undefined;
    const idle = new Promise<never>((_, reject) => {
      const error = new HttpError('request-timeout', `nothing more came for ${idleMs / 1000} s`);
      if (idleMs > 0) timer = setTimeout(() => reject(error), idleMs);
    });
    try {
      const { value, done } = await Promise.race([chunks.next(), idle]);
      if (done === true) return;
      yield value;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** One line for what was written together. */
async function audit(
  shared: ServerContext,
  request: FastifyRequest,
  results: readonly BulkResult[],
): Promise<void> {
  const written: Partial<Record<BulkResult['status'], string[]>> = {};
  for (const { id, status } of results)
    if (id !== null && status !== 'failed' && status !== 'not-found')
      written[status] = [...(written[status] ?? []), id];
  if (Object.keys(written).length > 0) await shared.audit?.add(request, { operation: 'bulk', ...written });
}

function readStep(
  { catalog, limits }: RequestContext,
  line: number,
  text: string | undefined,
  maximumBytes: number,
): Step {
  const fail = (detail: string, id: string | null = null): Step => ({
    result: { line, id, status: 'failed', detail },
  });
  if (text === undefined) return fail(`the line is longer than ${maximumBytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail('the line is not JSON');
  }
  const parsed = bulkOperation.safeParse(value);
  if (!parsed.success) {
    const [first] = issueErrors('', parsed.error.issues as readonly Issue[]);
    const where = first === undefined || first.path === '' ? 'line' : first.path.slice(1);
    return fail(`${where}: ${first?.message ?? 'is wrong'}`, claimedId(value));
  }
  const operation = parsed.data;
  const id = idOf(operation);
  if (/\p{Surrogate}/u.test(id)) return fail('the id must be well-formed Unicode');
  if ('put' in operation) {
    if (operation.picture === undefined) return fail("put: needs the 'picture' in base64", id);
    if ((operation.picture.length * 3) / 4 > limits.pictureBytes + 2)
      return fail(`put: a picture may have ${limits.pictureBytes} bytes`, id);
  }
  const attributes = 'delete' in operation ? {} : (operation.attributes ?? {});
  const unknown = Object.keys(attributes).find(
    (name) => !catalog.description.columns.includes(name) || isBaseColumn(name),
  );
  if (unknown !== undefined) return fail(`there is no column '${unknown.slice(0, 100)}'`, id);
  return { line, operation };
}

function wrongType(): HttpError {
  return new HttpError(
    'unsupported-media-type',
    'the route reads application/x-ndjson: one operation a line',
  );
}

/** The id of a line that does not fit the schema, where it says one. */
function claimedId(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const { put, patch, delete: deleted } = value as Record<string, unknown>;
  const id = put ?? patch ?? deleted;
  return typeof id === 'string' ? id.slice(0, 1024) : null;
}

function idOf(operation: Operation): string {
  return 'put' in operation ? operation.put : 'patch' in operation ? operation.patch : operation.delete;
}

/** Carries out steps in order; those of one kind that follow each other go together. */
async function carryOutSteps(
  context: RequestContext,
  shared: ServerContext,
  steps: readonly Step[],
  log: FastifyBaseLogger,
): Promise<BulkResult[]> {
  const results: BulkResult[] = [];
  for (let start = 0; start < steps.length; ) {
    const first = steps[start] as Step;
    if ('result' in first) {
      results.push(first.result);
      start++;
      continue;
    }
    const kind = kindOf(first.operation);
    const run: { line: number; operation: Operation }[] = [];
    for (; start < steps.length; start++) {
      const step = steps[start] as Step;
      if ('result' in step || kindOf(step.operation) !== kind || (kind === 'patch' && run.length > 0)) break;
      run.push(step);
    }
    try {
      results.push(...(await carryOutRun(context, shared, run)));
    } catch (error) {
      context.signal.throwIfAborted();
      log.error(error);
      for (const { line, operation } of run)
        results.push({
          line,
          id: idOf(operation),
          status: 'failed',
          detail: 'the catalogue could not be written',
        });
    }
  }
  return results;
}

function kindOf(operation: Operation): 'put' | 'patch' | 'delete' {
  return 'put' in operation ? 'put' : 'patch' in operation ? 'patch' : 'delete';
}

async function carryOutRun(
  { queue, signal, limits: { picturePixels } }: RequestContext,
  { live }: ServerContext,
  run: readonly { readonly line: number; readonly operation: Operation }[],
): Promise<BulkResult[]> {
  const puts = run.flatMap(({ line, operation }) => ('put' in operation ? [{ line, operation }] : []));
  if (puts.length > 0) {
    const writes = puts.map(({ operation: { put, picture = '', ...known } }) => ({
      id: put,
      picture: Buffer.from(picture, 'base64'),
      ...known,
    }));
    const outcomes = await queue.run(
      () => live.put(writes, { signal, maximumPixels: picturePixels }),
      signal,
      { isPatient: true }, // its client is slowed down instead
    );
    return outcomes.map((outcome, n) => ({
      line: puts[n]?.line ?? 0,
      id: outcome.id,
      ...(outcome.status === 'failed'
        ? { status: 'failed' as const, detail: outcome.reason }
        : { status: 'stored' as const }),
    }));
  }
  const [first] = run;
  if (first !== undefined && 'patch' in first.operation) {
    const { patch, ...change } = first.operation;
    const record = await live.change(patch, change);
    return [{ line: first.line, id: patch, status: record === undefined ? 'not-found' : 'changed' }];
  }
  const left = new Set(await live.delete(run.map(({ operation }) => idOf(operation))));
  return run.map(({ line, operation }) => {
    const id = idOf(operation);
    return { line, id, status: left.delete(id) ? 'deleted' : 'not-found' };
  });
}
