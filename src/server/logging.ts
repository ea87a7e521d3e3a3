/**
 * What the server logs: JSON lines of pino. A request's line has method, address, status, time, and who asked; never a header and
 * never a body, so no key and no picture can be in it.
 */
import type { FastifyRequest, FastifyServerOptions } from 'fastify';
import { whoOf } from './access/access.js';

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** `info`: two lines a request. Default `error`: only what is a bug or a broken catalogue. */
  readonly level?: LogLevel;
  /** Default: stderr. */
  readonly stream?: NodeJS.WritableStream;
}

/** As Fastify takes it. */
export function loggerOptions(options: LogOptions | false = {}): NonNullable<FastifyServerOptions['logger']> {
  if (options === false) return false;
  return {
    level: options.level ?? 'error',
    stream: options.stream ?? process.stderr,
    redact: { paths: [...SECRET, ...SECRET.map((path) => `*.${path}`)], censor: '[not logged]' },
    serializers: {
      req: (request: FastifyRequest) => ({
        method: request.method,
        url: request.url.slice(0, MAXIMUM_ADDRESS),
        host: request.host,
        address: request.ip,
      }),
      res: (reply) => {
        const { request } = reply as { request?: FastifyRequest };
        return { statusCode: reply.statusCode, ...(request === undefined ? {} : whoOf(request)) };
      },
    },
  } as NonNullable<FastifyServerOptions['logger']>;
}

// --- internal ---

const MAXIMUM_ADDRESS = 1000;
/** Nothing of ours logs headers; if something ever does, these are left out. */
const SECRET = ['headers.authorization', 'headers.cookie', 'authorization', 'cookie', 'token'];
