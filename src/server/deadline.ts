/**
 * The life of a request as an AbortSignal: aborted when the client goes away before its answer, or when the answer takes too
 * long. Who takes nothing of an answer, or takes for ever, is cut off. (Fastify's own signal ends with the request's body, long before the answer.)
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { HttpError } from './errors.js';

/** A hook for the beginning of a request. @param timeoutMs 0: as long as it takes. */
export function startDeadline(request: FastifyRequest, reply: FastifyReply, timeoutMs: number): void {
  const controller = new AbortController();
  signals.set(request, controller.signal);
  let timer =
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
          timer = setTimeout(() => request.raw.socket.destroy(), TAKING * timeoutMs);
        }, timeoutMs);
  reply.raw.on('timeout', () => {
    // Nothing moved for long (node counts what the client takes). Without an answer on its way somebody works on it.
    if (request.raw.socket.writableLength > 0) request.raw.socket.destroy();
  });
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

/** Times its limit that an answer may take to be taken. */
const TAKING = 9;

const signals = new WeakMap<FastifyRequest, AbortSignal>();
