/** What the routes share: the catalogue, the model behind a queue, and what this server allows. No globals. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Embedder, Explainer } from '../bundle/index.js';
import type { Catalog, LiveCatalog } from '../catalog/index.js';
import type { AuditLog } from './access/audit-log.js';
import type { FeedbackLog } from './feedback-log.js';
import type { ImageMaker } from './images.js';
import type { Metrics } from './metrics.js';
import type { ModelQueue } from './model-queue.js';
import type { RemoteOptions } from './remote-picture.js';

/** Bounds on what a client can make the server do. */
export interface Limits {
  /** Bytes of a picture. Default 25 MB. A JSON body may be as long as such a picture in base64. */
  readonly pictureBytes: number;
  /** Pixels of a picture. Default 50,000,000. */
  readonly picturePixels: number;
  /** Pictures that are decoded and embedded at a time. Default 2: one is decoded while another is with the model. */
  readonly concurrentEmbeddings: number;
  /** Pictures that may wait beyond those; one more is answered with 503 and Retry-After. Default 64. */
  readonly queuedEmbeddings: number;
  /** Milliseconds for a request to arrive, and again for its answer. Default 60,000. */
  readonly requestTimeoutMs: number;
}

export const DEFAULT_LIMITS: Limits = {
  pictureBytes: 25_000_000,
  picturePixels: 50_000_000,
  concurrentEmbeddings: 2,
  queuedEmbeddings: 64,
  requestTimeoutMs: 60_000,
};

/** What all requests share. */
export interface ServerContext {
  /**
   * Runs the work of a request with the catalogue and the model as they are when it begins; both stay open until it is
   * done, whatever the catalogue moves to in between.
   */
  use<T>(request: FastifyRequest, work: (context: RequestContext) => Promise<T>): Promise<T>;
  /** As `use`, for an answer that is a stream: until it ends, or is given up. */
  stream<T>(request: FastifyRequest, work: (context: RequestContext) => AsyncGenerator<T>): AsyncGenerator<T>;
  /** To look at the catalogue without a request. */
  withCatalog<T>(work: (catalog: Catalog) => Promise<T>): Promise<T>;
  /** For writes. */
  readonly live: LiveCatalog;
  readonly queue: ModelQueue;
  readonly images: ImageMaker;
  /** Read when it is first asked for. */
  readonly feedback: () => Promise<FeedbackLog>;
  readonly limits: Limits;
  readonly metrics: Metrics;
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
