/**
 * Traces for OpenTelemetry, for whoever asks for them: a span a request, and in it the search, the wait for the model, decoding,
 * embedding and what the store is asked. A `traceparent` (W3C) that comes with a request is continued, and the answer's `traceresponse` names the
 * trace. Spans say the route and never the address, so no id of a picture is in them; nor is any header.
 *
 * OpenTelemetry's packages are loaded when they are asked for, and not before.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context, Span } from '@opentelemetry/api';
import type { FastifyRequest } from 'fastify';
import { DataError, errorMessage, packageVersion } from '../util/index.js';
import type { Server } from './context.js';

/** Runs work as a span of the request that it is part of; of no request, only runs it. */
export type Trace = <T>(name: string, work: () => Promise<T>) => Promise<T>;

export interface Tracing {
  /** Makes a span of each request from now on. */
  addTo(server: Server): void;
  readonly trace: Trace;
  /** Sends what was not sent yet. */
  close(): Promise<void>;
}

/** Only runs the work. */
export const untraced: Trace = (_, work) => work();

export interface TracingOptions {
  /** Where OTLP is taken over HTTP, without `/v1/traces`. Default: what OTEL_EXPORTER_OTLP_ENDPOINT and its kin say. */
  readonly endpoint?: string | undefined;
  /** Told when spans cannot be sent, once until they can be again. */
  readonly onFailure?: (reason: string) => void;
}

/**
 * Loads OpenTelemetry. Its own environment variables count: OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS,
 * OTEL_TRACES_SAMPLER and so on.
 * @throws DataError when its packages are not installed
 */
export async function openTracing(options: TracingOptions = {}): Promise<Tracing> {
  const { api, core, resources, sdk, otlp } = await load();
  const exporter = new otlp.OTLPTraceExporter(
    options.endpoint === undefined ? {} : { url: `${options.endpoint.replace(/\/+$/, '')}/v1/traces` },
  );
  let hasFailed = false;
  const { onFailure = () => {} } = options;
  const provider = new sdk.BasicTracerProvider({
    resource: resources.defaultResource().merge(
      resources.resourceFromAttributes({
        'service.name': process.env.OTEL_SERVICE_NAME ?? 'semblance',
        'service.version': packageVersion(),
      }),
    ),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        export: (spans, done) =>
          exporter.export(spans, (result) => {
            if (result.code !== 0 && !hasFailed) onFailure(errorMessage(result.error ?? 'refused'));
            hasFailed = result.code !== 0;
            done(result);
          }),
        shutdown: () => exporter.shutdown(),
        forceFlush: () => exporter.forceFlush(),
      }),
    ],
  });
  const tracer = provider.getTracer('semblance', packageVersion());
  const propagator = new core.W3CTraceContextPropagator();
  const current = new AsyncLocalStorage<Context>();
  const contexts = new WeakMap<FastifyRequest, Context>();
  const fail = (span: Span, error: unknown) => {
    // The class alone: a message may name a file or a picture.
    const type = error instanceof Error ? error.name : typeof error;
    span.setAttribute('error.type', type).setStatus({ code: api.SpanStatusCode.ERROR });
  };

  return {
    addTo(server) {
      server.addHook('onRequest', (request, reply, next) => {
        const outer = propagator.extract(api.ROOT_CONTEXT, request.headers, {
          get: (headers: typeof request.headers, name) => headers[name],
          keys: Object.keys,
        });
        const { url: route } = request.routeOptions;
        const span = tracer.startSpan(
          `${request.method} ${route ?? 'unknown'}`,
          {
            kind: api.SpanKind.SERVER,
            attributes: {
              'http.request.method': request.method,
              'url.scheme': request.protocol,
              ...(route === undefined ? {} : { 'http.route': route }),
            },
          },
          outer,
        );
        const context = api.trace.setSpan(outer, span);
        contexts.set(request, context);
        const { traceId, spanId, traceFlags } = span.spanContext();
        reply.header('traceresponse', `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`);
        reply.raw.once('close', () => {
          const isAnswered = reply.raw.writableFinished;
          const status = isAnswered ? reply.statusCode : 499;
          span.setAttribute('http.response.status_code', status);
          if (status >= 500 || !isAnswered)
            span.setAttribute('error.type', String(status)).setStatus({ code: api.SpanStatusCode.ERROR });
          span.end();
        });
        current.run(context, next);
      });
      // A body comes by events of its connection, which know nothing of the request.
      server.addHook('preHandler', (request, _, next) => {
        const context = contexts.get(request);
        if (context === undefined) next();
        else current.run(context, next);
      });
    },
    async trace(name, work) {
      const outer = current.getStore();
      if (outer === undefined) return await work();
      const span = tracer.startSpan(name, {}, outer);
      try {
        return await current.run(api.trace.setSpan(outer, span), work);
      } catch (error) {
        fail(span, error);
        throw error;
      } finally {
        span.end();
      }
    },
    async close() {
      // What cannot be sent any more was told.
      await provider.shutdown().catch(() => {});
    },
  };
}

// --- internal ---

const PACKAGES = [
  '@opentelemetry/api@1.9.1',
  '@opentelemetry/core@2.12.1',
  '@opentelemetry/resources@2.12.1',
  '@opentelemetry/sdk-trace-base@2.12.1',
  '@opentelemetry/exporter-trace-otlp-http@0.223.1',
];

async function load() {
  try {
    const [api, core, resources, sdk, otlp] = await Promise.all([
      import('@opentelemetry/api'),
      import('@opentelemetry/core'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/sdk-trace-base'),
      import('@opentelemetry/exporter-trace-otlp-http'),
    ]);
    return { api, core, resources, sdk, otlp };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new DataError(
      `traces: OpenTelemetry's packages must be installed beside semblance. Install them: npm install ${PACKAGES.join(' ')}`,
      { cause: error },
    );
  }
}
