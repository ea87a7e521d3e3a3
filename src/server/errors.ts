/**
 * What can go wrong with a request, in one table, and how it is told: RFC 9457 problems. A client branches on `code`;
 * `detail` is for people. What is not in the table is our own bug: it is logged, and the client learns no more than that.
 */
import type { FastifyError } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { DataError, errorMessage, StorageError, type StorageFault } from '../util/index.js';
import type { Problem } from './contract.js';
import { type Issue, issueErrors } from './issues.js';

/** Code → HTTP status and title. */
export const PROBLEMS = {
  'invalid-request': [400, 'The request does not fit its schema'],
  'invalid-json': [400, 'The body is not JSON'],
  'invalid-multipart': [400, 'The multipart body cannot be read'],
  'invalid-url': [400, 'The address of the request cannot be read'],
  'invalid-cursor': [400, 'The cursor is not one of this search'],
  'bad-request': [400, 'The request cannot be read'],
  unauthorized: [401, 'A key is demanded'],
  forbidden: [403, 'The key does not allow that'],
  'read-only': [403, 'The catalogue is read-only here'],
  'url-not-allowed': [403, 'Pictures by URL are not allowed here'],
  'wrong-host': [403, 'This host name is not served'],
  'wrong-origin': [403, 'Pages of this origin may not call this server'],
  'not-found': [404, 'There is no such resource'],
  'unknown-picture': [404, 'There is no such picture'],
  'unknown-feedback': [404, 'There is no such feedback'],
  'no-map': [404, 'The catalogue has no map'],
  'method-not-allowed': [405, 'The resource has no such method'],
  'not-acceptable': [406, 'The answer has no such form'],
  'request-timeout': [408, 'The request did not arrive in time'],
  'other-model': [409, 'The vector was made by another model'],
  'too-large': [413, 'The request is too large'],
  'url-too-long': [414, 'The address is too long'],
  'unsupported-media-type': [415, 'The body has a type that is not read here'],
  'unreadable-picture': [422, 'The picture cannot be read'],
  'unreachable-url': [422, 'The URL gave no picture'],
  'unknown-column': [422, 'The catalogue has no such column'],
  unprocessable: [422, 'The request cannot be carried out'],
  'too-many-requests': [429, 'Too many requests'],
  'headers-too-large': [431, 'The headers are too large'],
  'client-closed': [499, 'The client went away'],
  internal: [500, 'The server has a bug or a broken catalogue'],
  'too-busy': [503, 'Too many pictures are waiting for the model'],
  unavailable: [503, 'The server is starting or stopping'],
  timeout: [503, 'The request took too long'],
  'cannot-write': [507, 'The catalogue cannot be written'],
} as const satisfies Record<string, readonly [number, string]>;

export type ProblemCode = keyof typeof PROBLEMS;

/** An answer that is a problem. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: ProblemCode;
  readonly status: number;
  readonly errors: Problem['errors'];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ProblemCode,
    detail: string,
    options: { errors?: Problem['errors']; headers?: Readonly<Record<string, string>>; cause?: unknown } = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = PROBLEMS[code][0];
    this.errors = options.errors;
    this.headers = options.headers ?? {};
  }
}

/** A refusal of what may be done in a moment. @param what is the matter */
export function tooBusy(what: string): HttpError {
  return new HttpError('too-busy', `${what}. Try again`, { headers: { 'retry-after': '2' } });
}

/** The media type of a problem. */
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** The body of a problem. */
export function problemOf(error: HttpError): Problem {
  return {
    type: `urn:semblance:problem:${error.code}`,
    title: PROBLEMS[error.code][1],
    status: error.status,
    detail: error.message,
    code: error.code,
    ...(error.errors === undefined ? {} : { errors: error.errors }),
  };
}

/**
 * The message of a `DataError` for a client: without the name of the file on the server.
 * @param called what the file is called instead. Default: nothing.
 */
export function clientMessage(error: unknown, called = ''): string {
  const message = errorMessage(error);
  const file = error instanceof DataError ? error.file : undefined;
  if (file === undefined || !message.startsWith(file)) return message;
  const rest = message.slice(file.length).replace(/^:\d*:? */, '');
  return called === '' ? rest : `${called}: ${rest}`;
}

/** The problem of a value that does not fit its schema. @param where what the paths begin with, e.g. `/body` */
export function schemaProblem(where: string, issues: readonly Issue[]): HttpError {
  const errors = issueErrors(where, issues);
  const [first] = errors;
  return new HttpError(
    'invalid-request',
    first === undefined ? 'is wrong' : `${first.path}: ${first.message}`,
    { errors },
  );
}

/** Turns whatever a handler or the framework threw into a problem. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    return schemaProblem(
      `/${error.validationContext ?? 'body'}`,
      error.validation.map(({ instancePath, message = 'is wrong', params }) => ({
        path: instancePath.split('/').slice(1).filter(Boolean),
        message,
        errors: params.errors as Issue['errors'],
      })),
    );
  }
  const { code = '', statusCode, message = '' } = (error ?? {}) as Partial<FastifyError>;
  const known = FRAMEWORK_ERRORS[code];
  if (known !== undefined) return new HttpError(known[0], known[1] ?? errorMessage(error), { cause: error });
  // A stack that runs out while a deeply nested value is checked: the value was at fault.
  if (error instanceof RangeError && /call stack/.test(message))
    return new HttpError('invalid-request', 'the body is nested too deeply', { cause: error });
  if (error instanceof Error && error.name === 'AbortError')
    return new HttpError('client-closed', 'the client went away', { cause: error });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const code = BY_STATUS[statusCode] ?? 'bad-request';
    return new HttpError(code, clientMessage(error), { cause: error });
  }
  if (error instanceof StorageError)
    return new HttpError('cannot-write', STORAGE_FAULTS[error.fault], { cause: error });
  return new HttpError('internal', 'the server could not answer; its log says why', { cause: error });
}

// --- internal ---

/** What a client learns of a disk that takes nothing: no names of files. */
const STORAGE_FAULTS: Readonly<Record<StorageFault, string>> = {
  full: 'the disk of the server is full; what was there stays, and searches go on',
  'read-only': 'the file system of the server is read-only; searches go on',
  'not-permitted': 'the server may not write its catalogue; searches go on',
  other: 'the disk of the server does not take it; its log says why',
};

/** The framework's codes → ours, with our own words where its own would not help a client. */
const FRAMEWORK_ERRORS: Readonly<Record<string, readonly [ProblemCode, string?]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['too-large', 'the body has more bytes than are read here'],
  FST_REQ_FILE_TOO_LARGE: ['too-large', 'the file has more bytes than are read here'],
  FST_PARTS_LIMIT: ['too-large', 'the multipart body has too many parts'],
  FST_FILES_LIMIT: ['too-large', 'the multipart body has too many files'],
  FST_FIELDS_LIMIT: ['too-large', 'the multipart body has too many fields'],
  FST_PROTO_VIOLATION: ['invalid-multipart'],
  FST_INVALID_JSON_FIELD_ERROR: ['invalid-json', 'the field is not JSON'],
  FST_MP_PREMATURE_CLOSE: ['invalid-multipart', 'the body ended early'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported-media-type',
    'the route reads application/json, and where it takes a picture multipart/form-data',
  ],
  FST_ERR_CTP_EMPTY_TYPE: ['unsupported-media-type', 'the body has no Content-Type'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid-json', 'the body is empty'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['invalid-json', "the body is not JSON, or has the key '__proto__'"],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['bad-request', 'the body has another length than Content-Length says'],
  FST_ERR_BAD_URL: ['invalid-url', 'the path is not well encoded'],
  FST_ERR_MAX_PARAM_LENGTH: ['url-too-long', 'the id is too long'],
  FST_ERR_HANDLER_TIMEOUT: ['timeout', 'the answer took too long'],
  FST_ERR_REOPENED_CLOSE_SERVER: ['unavailable', 'the server is stopping'],
};

const BY_STATUS: Readonly<Record<number, ProblemCode>> = {
  404: 'not-found',
  405: 'method-not-allowed',
  406: 'not-acceptable',
  408: 'request-timeout',
  413: 'too-large',
  414: 'url-too-long',
  415: 'unsupported-media-type',
  431: 'headers-too-large',
};
