/**
 * The HTTP server: `buildServer` returns a Fastify instance that a test can ask without a socket. Every answer that is no
 * success is a problem (RFC 9457); nothing of the server's paths or stacks leaves it.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import cors from '@fastify/cors';
import multipart from '@fastify/multipart';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { type Explainer, openExplainer, type PictureSource } from '../bundle/index.js';
import { catalogFolder, type Generation, type LiveCatalog } from '../catalog/index.js';
import { addAccess } from './access/access.js';
import { AuditLog, auditWrites } from './access/audit-log.js';
import type { KeyRing } from './access/key-ring.js';
import { Admission } from './admission.js';
import {
  DEFAULT_LIMITS,
  type Limits,
  type RequestContext,
  type Server,
  type ServerContext,
} from './context.js';
import { signalOf, startDeadline } from './deadline.js';
import { forgetBody, shedAtDoor } from './door.js';
import { HttpError, PROBLEM_TYPE, type ProblemCode, problemOf, toHttpError } from './errors.js';
import { FeedbackLog } from './feedback-log.js';
import { ImageMaker } from './images.js';
import { type LogOptions, loggerOptions } from './logging.js';
import { createMetrics, metricsRoutes } from './metrics.js';
import { ModelQueue } from './model-queue.js';
import { documentRoutes } from './openapi.js';
import { servePage } from './page.js';
import { QueryBatches } from './query-batches.js';
import type { RemoteOptions } from './remote-picture.js';
import { refuseMultipart, uploadOf } from './request-body.js';
import { bulkRoutes } from './routes/bulk.js';
import { catalogRoutes } from './routes/catalog.js';
import { explainRoutes } from './routes/explain.js';
import { feedbackRoutes } from './routes/feedback.js';
import { healthRoutes } from './routes/health.js';
import { mapRoutes } from './routes/map.js';
import { pictureRoutes } from './routes/pictures.js';
import { remoteRoutes } from './routes/remote.js';
import { searchRoutes } from './routes/search.js';
import { writeRoutes } from './routes/writes.js';
import { HeldBytes, Slots, shedEarly } from './shedding.js';
import { tracedStore } from './traced-store.js';
import { type Tracing, untraced } from './tracing.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Milliseconds for the answer; 0: as long as it takes. Default: the server's limit. */
    readonly timeoutMs?: number;
  }
}

export interface ServerOptions {
  readonly catalog: LiveCatalog;
  readonly limits?: Partial<Limits>;
  /** Refuse all writes. Default false. */
  readonly readOnly?: boolean;
  /** Fetch pictures by URL: from any public host, or with `hosts` from those and what is below them. Default: none. */
  readonly allowUrls?: boolean | Pick<RemoteOptions, 'hosts' | 'allows'>;
  /** Folder of the built page. Default: no page. */
  readonly page?: string;
  /** Origins whose pages may call the API. Default: none but our own. */
  readonly origins?: readonly string[];
  /** Host names that are served, without port; others are refused, against rebinding of names. Default: all. */
  readonly hosts?: readonly string[];
  /** Keys that are demanded. Default: none are, and whoever reaches the server may use it. */
  readonly keys?: KeyRing;
  /** Requests a minute of one key, and of one address. Default: any number. */
  readonly requestsPerMinute?: number;
  /** Addresses of proxies whose X-Forwarded headers are believed, as addresses or CIDR. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** The file that every write is added to. Default: none. */
  readonly audit?: string;
  /** JSON lines: what is worth a line, and where to. Default: errors, on stderr. */
  readonly log?: LogOptions | false;
  /** Traces of requests. Default: none. The caller closes it. */
  readonly tracing?: Tracing;
  /** `/health/ready` says no until this has come true, e.g. until the catalogue is in memory. Default: at once. */
  readonly ready?: Promise<unknown>;
}

/** Builds the server; `listen` opens it, `close` finishes what was accepted. The caller closes the catalogue. */
export async function buildServer(options: ServerOptions): Promise<Server> {
  const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
  const live = options.catalog;
  const explainers = new WeakMap<Generation, () => Promise<Explainer>>();
  const explainerOf = (generation: Generation) => {
    const known = explainers.get(generation);
    if (known !== undefined) return known;
    const make = once(async () => {
      const explainer = await openExplainer(generation.embedder);
      generation.onClose(() => explainer.close());
      return explainer;
    });
    explainers.set(generation, make);
    return make;
  };
  const contextOf = (request: FastifyRequest, generation: Generation): RequestContext => ({
    ...context,
    ...partsOf(generation),
    generation: generation.id,
    explainer: explainerOf(generation),
    upload: uploadOf(request),
    hold: (bytes) => context.bytes.hold(request, bytes),
    signal: signalOf(request),
  });
  const metrics = createMetrics();
  const trace = options.tracing?.trace ?? untraced;
  const parts = new WeakMap<Generation, Pick<RequestContext, 'catalog' | 'embedder'>>();
  const partsOf = (generation: Generation) => {
    const { catalog, embedder } = generation;
    const known = parts.get(generation);
    if (known !== undefined) return known;
    const batches = new QueryBatches(embedder, { observe: metrics.observeBatch, trace });
    const made = {
      catalog:
        options.tracing === undefined ? catalog : { ...catalog, store: tracedStore(catalog.store, trace) },
      embedder: { ...embedder, embedOne: (picture: PictureSource) => batches.embedOne(picture) },
    };
    parts.set(generation, made);
    return made;
  };
  const context: ServerContext = {
    use: (request, work) => live.use((generation) => work(contextOf(request, generation))),
    async *stream(request, work) {
      const { generation, release } = live.acquire();
      try {
        for await (const part of work(contextOf(request, generation))) {
          const late = limits.requestTimeoutMs;
          const timer = late > 0 ? setTimeout(() => request.raw.socket.destroy(), late) : undefined;
          try {
            yield part;
          } finally {
            clearTimeout(timer);
          }
        }
      } finally {
        release();
      }
    },
    withCatalog: (work) => live.use(({ catalog }) => work(catalog)),
    live,
    queue: new ModelQueue({ concurrent: limits.concurrentEmbeddings, waiting: limits.queuedEmbeddings }),
    admission: new Admission(limits.searches),
    bulks: new Slots(limits.bulks, 'bulk requests'),
    bytes: new HeldBytes(limits.bodyBytes),
    images: new ImageMaker({ maximumPixels: limits.picturePixels }),
    feedback: once(() => FeedbackLog.open(catalogFolder(live.directory))),
    limits,
    metrics,
    trace,
    audit: options.audit === undefined ? undefined : new AuditLog(options.audit),
    readOnly: options.readOnly ?? false,
    remote: typeof options.allowUrls === 'object' ? options.allowUrls : options.allowUrls ? {} : undefined,
  };
  const server: Server = fastify({
    logger: loggerOptions(options.log),
    trustProxy: options.trustedProxies === undefined ? false : [...options.trustedProxies],
    bodyLimit: Math.ceil((limits.pictureBytes * 4) / 3) + JSON_BYTES,
    routerOptions: { maxParamLength: MAXIMUM_PATH },
    forceCloseConnections: 'idle',
    // Of a connection on which nothing moves: who takes nothing of an answer for so long is cut off (`deadline.ts`).
    connectionTimeout: limits.requestTimeoutMs,
    // Node would answer a request without a host itself, with no body.
    http: { requireHostHeader: false },
    // What still comes on a kept connection is answered by a problem of our own.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply as FastifyReply),
    clientErrorHandler: answerBrokenRequest,
  }).withTypeProvider<ZodTypeProvider>();
  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(serializerCompiler);
  server.setErrorHandler(sendProblem);

  options.tracing?.addTo(server);
  let isStopping = false;
  server.addHook('preClose', async () => {
    isStopping = true;
  });
  // A connection whose last answer came after the server began to stop would be kept for another request.
  server.addHook('onResponse', async (request) => {
    if (!request.raw.complete) forgetBody(request.raw);
    if (isStopping) setImmediate(() => server.server.closeIdleConnections());
  });
  const routes: { method: string; url: string }[] = [];
  server.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.push({ method: one, url });
  });
  server.addHook('onRequest', async (request, reply) => {
    startDeadline(request, reply, request.routeOptions.config.timeoutMs ?? limits.requestTimeoutMs);
    reply.headers(SECURITY_HEADERS);
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1')
      throw new HttpError('bad-request', 'the header Host is missing');
    if (isStopping)
      throw new HttpError('unavailable', 'the server is stopping', { headers: { 'retry-after': '5' } });
    if (options.hosts !== undefined && !options.hosts.includes(request.hostname.toLowerCase()))
      throw new HttpError('wrong-host', `'${request.hostname.slice(0, 100)}' is not served here`);
  });
  if (options.origins !== undefined && options.origins.length > 0)
    await server.register(cors, {
      origin: [...options.origins],
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      exposedHeaders: ['Retry-After', 'WWW-Authenticate'],
      maxAge: 600,
    });
  await addAccess(server, {
    keys: options.keys,
    requestsPerMinute: options.requestsPerMinute,
    origins: options.origins ?? [],
  });
  shedEarly(server, context);
  shedAtDoor(server, context, { origins: options.origins ?? [], headers: SECURITY_HEADERS });
  if (context.audit !== undefined) auditWrites(server, context.audit);
  await server.register(multipart);
  server.addHook('preValidation', refuseMultipart);
  await documentRoutes(server);
  metricsRoutes(server, context);
  if (options.page !== undefined) await servePage(server, options.page);
  searchRoutes(server, context);
  explainRoutes(server, context);
  feedbackRoutes(server, context);
  writeRoutes(server, context);
  bulkRoutes(server, context);
  pictureRoutes(server, context);
  remoteRoutes(server, context);
  catalogRoutes(server, context);
  mapRoutes(server, context);
  healthRoutes(server, context, options.ready);
  server.setNotFoundHandler((request) => {
    const path = request.url.split('?')[0] ?? '';
    const allowed = routes.filter(({ url }) => matchesPath(url, path)).map(({ method }) => method);
    if (allowed.length > 0) {
      const allow = [...new Set(allowed)].sort().join(', ');
      throw new HttpError('method-not-allowed', `${path.slice(0, 200)} has ${allow}`, { headers: { allow } });
    }
    throw new HttpError('not-found', `there is no ${path.slice(0, 200)}`);
  });
  return server;
}

// --- internal ---

/** Makes a thing when it is first asked for; what failed is tried again. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}

/** Room for the JSON around a picture. */
const JSON_BYTES = 2_000_000;
/** Characters of a parameter in a path: an id of 1,024 characters, each up to 12 when encoded. */
const MAXIMUM_PATH = 12_288;

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'permissions-policy': 'camera=(self), geolocation=(), microphone=()',
  'cross-origin-opener-policy': 'same-origin',
};

/** What a server says that is busy, starting or stopping: no fault to be told each time. */
const REFUSALS: ReadonlySet<ProblemCode> = new Set(['too-busy', 'unavailable', 'timeout']);

function sendProblem(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const error = toHttpError(thrown);
  if (error.status >= 500 && !(error.cause === undefined && REFUSALS.has(error.code)))
    request.log.error(error.cause ?? error);
  // What the client is still sending is not read: the connection cannot be used again.
  if (error.code === 'too-large' || error.code === 'request-timeout') reply.header('connection', 'close');
  return reply
    .code(error.status)
    .headers(error.headers)
    .header('content-type', PROBLEM_TYPE)
    .serializer(JSON.stringify)
    .send(problemOf(error));
}

/** What is not even HTTP has no request and no reply, only a socket. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new HttpError('headers-too-large', 'the headers are longer than 16 kB')
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new HttpError('request-timeout', 'the request did not arrive in time')
        : error.code === 'HPE_INVALID_METHOD'
          ? new HttpError('bad-request', 'there is no such HTTP method')
          : new HttpError('bad-request', 'this is not HTTP/1.1, or its head is broken');
  const body = JSON.stringify(problemOf(problem));
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\nContent-Type: ${PROBLEM_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Whether a path is one of a route's. */
function matchesPath(url: string, path: string): boolean {
  const [pattern, parts] = [url.split('/'), path.split('/')];
  return (
    pattern.length === parts.length &&
    pattern.every((part, i) => (part.startsWith(':') ? parts[i] !== '' : part === parts[i]))
  );
}
