/** What Prometheus is told: requests by route and status, how long they and their parts took, and what is served. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { stopwatch } from '../util/index.js';
import type { Server, ServerContext } from './context.js';

export interface Metrics {
  readonly registry: Registry;
  /** Pictures that went through the model together. */
  observeBatch(pictures: number): void;
  /** A request that was answered. @param route its pattern, never its address: an id must not become a time series */
  observeAnswer(method: string, route: string, status: number): void;
  /** A search's two parts. */
  observeSearch(timing: { readonly embedMs: number; readonly searchMs: number }): void;
}

/** Metrics of one server: each has a registry of its own. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const embed = new Histogram({
    name: 'semblance_embed_seconds',
    help: 'Decoding and embedding the examples of a search, waiting included',
    buckets: [...BUCKETS],
    registers: [registry],
  });
  const search = new Histogram({
    name: 'semblance_search_seconds',
    help: 'A search in the store, facets included',
    buckets: [...BUCKETS],
    registers: [registry],
  });
  const batch = new Histogram({
    name: 'semblance_model_batch_pictures',
    help: 'Pictures of queries that went through the model together',
    buckets: [1, 2, 4, 8],
    registers: [registry],
  });
  const requests = new Counter({
    name: 'semblance_http_requests_total',
    help: 'Requests answered',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
  });
  return {
    registry,
    observeBatch: (pictures) => batch.observe(pictures),
    observeAnswer: (method, route, status) => requests.inc({ method, route, status: String(status) }),
    observeSearch({ embedMs, searchMs }) {
      embed.observe(embedMs / 1000);
      search.observe(searchMs / 1000);
    },
  };
}

/** Watches all requests, and answers `GET /metrics`. */
export function metricsRoutes(server: Server, context: ServerContext): void {
  const { registry } = context.metrics;
  const seconds = new Histogram({
    name: 'semblance_http_request_seconds',
    help: 'From the head of a request to the end of its answer',
    labelNames: ['method', 'route'],
    buckets: [...BUCKETS],
    registers: [registry],
  });
  new Gauge({
    name: 'semblance_model_queue',
    help: 'Pictures that are with the model or wait for it',
    registers: [registry],
    collect() {
      this.set(context.queue.length);
    },
  });
  new Gauge({
    name: 'semblance_search_limit',
    help: 'Searches that may be under way at a time',
    registers: [registry],
    collect() {
      this.set(context.admission.limit);
    },
  });
  new Counter({
    name: 'semblance_refused_total',
    help: 'Requests and pictures that were refused because too many waited',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(context.queue.refused + context.admission.refused);
    },
  });
  new Gauge({
    name: 'semblance_catalog_pictures',
    help: 'Pictures of the catalogue',
    registers: [registry],
    async collect() {
      this.set(await context.withCatalog((catalog) => catalog.store.count()));
    },
  });
  new Gauge({
    name: 'semblance_catalog_generation',
    help: '1, labelled with the model that the catalogue was made with',
    labelNames: ['generation'],
    registers: [registry],
    async collect() {
      this.reset();
      const generation = await context.withCatalog(async ({ description }) => description.model.vectorHash);
      this.set({ generation: generation.slice(0, 16) }, 1);
    },
  });

  const clocks = new WeakMap<object, () => number>();
  server.addHook('onRequest', async (request) => {
    clocks.set(request, stopwatch());
  });
  server.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    context.metrics.observeAnswer(request.method, route, reply.statusCode);
    seconds.observe({ method: request.method, route }, clocks.get(request)?.() ?? 0);
  });
  server.get(
    '/metrics',
    { schema: { operationId: 'metrics', tags: ['health'], summary: 'Metrics for Prometheus.' } },
    async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
  );
}

// --- internal ---

/** Seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;
