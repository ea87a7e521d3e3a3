/**
 * The life of a request as an AbortSignal: aborted when the client goes away before its answer, or when the answer takes too
 * long. (Fastify's own signal ends with the request's body, long before the answer.)
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { HttpError } from './errors.js';

/** A hook for the beginning of a request. @param timeoutMs 0: as long as it takes. */
export function startDeadline(request: FastifyRequest, reply: FastifyReply, timeoutMs: number): void {
  const controller = new AbortController();
  signals.set(request, controller.signal);
  const timer =
    timeoutMs === 0
      ? undefined
      : setTimeout(() => {
          const seconds = `${timeoutMs / 1000} s`;
          const error = request.raw.complete
            ? new HttpError('timeout', `the answer took longer than ${seconds}`, {
                headers: { 'retry-after': '5' },
              })
            : new HttpError('request-timeout', `the request did not arrive within ${seconds}`);
          controller.abort(error);
          if (!reply.sent) reply.send(error);
        }, timeoutMs);
  reply.raw.once('close', () => {
    clearTimeout(timer);
    if (!reply.raw.writableFinished)
      controller.abort(new HttpError('client-closed', 'the client went away before the answer'));
  });
}

/** The signal of a request that `startDeadline` has seen. */
export function signalOf(request: FastifyRequest): AbortSignal {
  const signal = signals.get(request);
  if (signal === undefined) throw new Error('internal: the request has no deadline');
  return signal;
}

// --- internal ---

const signals = new WeakMap<FastifyRequest, AbortSignal>();
