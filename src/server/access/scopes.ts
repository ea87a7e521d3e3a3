/**
 * Which scope an operation of the API demands, in one table. What is not in it, of what lies below `/v1/`, demands `admin`: a new
 * route is shut until somebody has thought about it. A test holds the table to the API.
 */
import type { FastifyRequest } from 'fastify';
import type { Scope } from './keys.js';

/** operationId → scope; `open`: no key. */
export const OPERATION_SCOPES: Readonly<Record<string, Scope | 'open'>> = {
  live: 'open',
  ready: 'open',
  metrics: 'admin',
  getCatalog: 'search',
  getMap: 'search',
  search: 'search',
  facets: 'search',
  predictAttributes: 'search',
  explain: 'search',
  listPictures: 'search',
  getPicture: 'search',
  getPictureImage: 'search',
  getRemotePicture: 'search',
  similarPictures: 'search',
  listFeedback: 'search',
  getFeedbackImage: 'search',
  addFeedback: 'write',
  deleteFeedback: 'write',
  putPicture: 'write',
  patchPicture: 'write',
  deletePicture: 'write',
  bulk: 'write',
};

/** The operation that a request asks for; undefined: a file of the page, the OpenAPI document, or nothing that there is. */
export function operationOf(request: FastifyRequest): string | undefined {
  const { schema } = request.routeOptions;
  return (schema as { operationId?: string } | undefined)?.operationId;
}

/** The scope that a request demands. */
export function scopeOf(request: FastifyRequest): Scope | 'open' {
  const { url } = request.routeOptions;
  const operation = operationOf(request);
  if (operation !== undefined) return OPERATION_SCOPES[operation] ?? 'admin';
  return url?.startsWith('/v1/') === true ? 'admin' : 'open';
}
