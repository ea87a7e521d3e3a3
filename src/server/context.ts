/** What the routes share: the catalogue, the model behind a queue, and what this server allows. No globals. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Embedder, Explainer } from '../bundle/index.js';
import type { Catalog, LiveCatalog } from '../catalog/index.js';
import type { AuditLog } from './access/audit-log.js';
import type { Admission } from './admission.js';
import type { FeedbackLog } from './feedback-log.js';
import type { ImageMaker } from './images.js';
import type { Metrics } from './metrics.js';
import type { ModelQueue } from './model-queue.js';
import type { RemoteOptions } from './remote-picture.js';
import type { HeldBytes, Slots } from './shedding.js';
import type { Trace } from './tracing.js';

/** Bounds on what a client can make the server do. */
export interface Limits {
  /** Bytes of a picture. Default 25 MB. A JSON body may be as long as such a picture in base64. */
  readonly pictureBytes: number;
  /** Pixels of a picture. Default 50,000,000. */
  readonly picturePixels: number;
  /** Pictures that are decoded and embedded at a time. Default 4: what is decoded while the model runs is its next batch. */
  readonly concurrentEmbeddings: number;
  /**
   * Pictures that may wait beyond those, for half a second; one more is answered with 503 and Retry-After. Default 64. When
   * more comes for longer, no more wait than are embedded at a time.
   */
  readonly queuedEmbeddings: number;
  /** Searches worked on at a time, at most; fewer where that is quicker. More wait, and are answered with 503 when that takes long. Default 32. */
  readonly searches: number;
  /** Bulk requests at a time; more are answered with 503. Default 4: each may hold 85 MB of pictures. */
  readonly bulks: number;
  /** Requests of any kind at a time; more are answered with 503. Default 1000. */
  readonly requests: number;
  /** Connections at a time; more are closed unanswered. Default 5000. */
  readonly connections: number;
  /** Bytes of all bodies, and of pictures by URL, that are read or worked on at a time; more are answered with 503. Default 500 MB. */
  readonly bodyBytes: number;
  /**
   * Milliseconds for a request to arrive and be answered; of a bulk request, for the next of it to arrive. As long as that
   * an answer may go without the client taking any of it; to take the whole it has ten times that. Default 60,000.
   */
  readonly requestTimeoutMs: number;
}

export const DEFAULT_LIMITS: Limits = {
  pictureBytes: 25_000_000,
  picturePixels: 50_000_000,
  concurrentEmbeddings: 4,
  queuedEmbeddings: 64,
  searches: 32,
  bulks: 4,
  requests: 1000,
  connections: 5000,
  bodyBytes: 500_000_000,
  requestTimeoutMs: 60_000,
};

/** What all requests share. */
export interface ServerContext {
  /**
   * Runs the work of a request with the catalogue and the model as they are when it begins; both stay open until it is
   * done, whatever the catalogue moves to in between.
   */
  use<T>(request: FastifyRequest, work: (context: RequestContext) => Promise<T>): Promise<T>;
  /** As `use`, for an answer that is a stream: until it ends, is given up, or nobody takes what is ready of it. */
  stream<T>(request: FastifyRequest, work: (context: RequestContext) => AsyncGenerator<T>): AsyncGenerator<T>;
  /** To look at the catalogue without a request. */
  withCatalog<T>(work: (catalog: Catalog) => Promise<T>): Promise<T>;
  /** For writes. */
  readonly live: LiveCatalog;
  readonly queue: ModelQueue;
  /** For searches, before their bodies are read. */
  readonly admission: Admission;
  readonly bulks: Slots;
  /** Of bodies, of pictures that are fetched, and of those that are sent as they are. */
  readonly bytes: HeldBytes;
  readonly images: ImageMaker;
  /** Read when it is first asked for. */
  readonly feedback: () => Promise<FeedbackLog>;
  readonly limits: Limits;
  readonly metrics: Metrics;
  /** Names a part of a request's work in its trace. */
  readonly trace: Trace;
  /** Where writes are told; undefined: nowhere. */
  readonly audit: AuditLog | undefined;
  /** Nothing can be written through this server. */
  readonly readOnly: boolean;
  /** Examples may be URLs, which the server fetches under these conditions; undefined: they may not. */
  readonly remote: Pick<RemoteOptions, 'hosts' | 'allows'> | undefined;
}

/** What one request works with. */
export interface RequestContext extends ServerContext {
  readonly catalog: Catalog;
  readonly embedder: Embedder;
  /** Another whenever the catalogue has moved to another model. */
  readonly generation: string;
  /** Made when it is first asked for: it loads a second graph. */
  readonly explainer: () => Promise<Explainer>;
  /** The uploaded file. */
  readonly upload: Uint8Array | undefined;
  /** Counts bytes that came from elsewhere to the request. @throws HttpError `too-busy` */
  readonly hold: (bytes: number) => void;
  /** Aborted when the client goes away, or the answer takes too long. */
  readonly signal: AbortSignal;
}

/** The Fastify instance that routes are added to. */
export type Server = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;
