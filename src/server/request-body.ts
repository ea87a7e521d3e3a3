/**
 * Requests with a picture: JSON as it is, or multipart with a file `picture` and the JSON in a field `request`. Either
 * way the route's schema sees the same object, and the uploaded bytes are kept beside the request.
 */
import type { FastifyRequest } from 'fastify';
import { HttpError } from './errors.js';

/**
 * A hook before validation that reads a multipart body.
 * @param options.pictureBytes at most so many bytes of the file.
 * @param options.absent what the body is when there is no field `request`. Default: the field is required.
 */
export function readMultipart(options: { readonly pictureBytes: number; readonly absent?: () => unknown }) {
  return async (request: FastifyRequest): Promise<void> => {
    if (!request.isMultipart()) return;
    let picture: Buffer | undefined;
    let text: string | undefined;
    let body: unknown;
    const limits = {
      fileSize: options.pictureBytes,
      fieldSize: MAXIMUM_FIELD_BYTES,
      files: 2,
      fields: 2,
      parts: 4,
    };
    try {
      for await (const part of request.parts({ limits })) {
        const { fieldname } = part;
        if (fieldname !== 'picture' && fieldname !== 'request') {
          if (part.type === 'file') part.file.resume();
          throw new HttpError(
            'invalid-multipart',
            `the parts are 'picture' (a file) and 'request' (JSON), got '${fieldname.slice(0, 100)}'`,
          );
        }
        if (part.type === 'file') {
          const bytes = await part.toBuffer();
          if (fieldname === 'picture') picture = once(picture, bytes, fieldname);
          else text = once(text, bytes.toString('utf8'), fieldname);
        } else if (fieldname === 'request') {
          if (part.valueTruncated) throw new HttpError('too-large', "the part 'request' is too long");
          if (typeof part.value === 'string') text = once(text, part.value, fieldname);
          else body = once(body, part.value, fieldname);
        } else throw new HttpError('invalid-multipart', "the part 'picture' must be a file");
      }
    } catch (error) {
      throw asMultipartError(error);
    }
    if (text !== undefined) body = parseJson(text);
    if (body === undefined) {
      if (options.absent === undefined)
        throw new HttpError('invalid-multipart', "there is no part 'request'");
      body = options.absent();
    }
    request.body = body;
    if (picture !== undefined) uploads.set(request, picture);
  };
}

/** The operations that read a file part `picture` beside their JSON. */
export const OPERATIONS_WITH_PICTURE: readonly string[] = [
  'search',
  'predictAttributes',
  'explain',
  'putPicture',
  'addFeedback',
];

/** A hook for all routes: a multipart body is refused where it is not read. */
export async function refuseMultipart(request: FastifyRequest): Promise<void> {
  const operation = String((request.routeOptions.schema as { operationId?: string })?.operationId);
  if (request.isMultipart() && !request.is404 && !OPERATIONS_WITH_PICTURE.includes(operation))
    throw new HttpError('unsupported-media-type', 'the route takes no picture: it reads application/json');
}

/** The bytes of the file part, where the request had one. */
export function uploadOf(request: FastifyRequest): Uint8Array | undefined {
  return uploads.get(request);
}

// --- internal ---

/** Of the JSON beside a picture: vectors of 32 examples fit well. */
const MAXIMUM_FIELD_BYTES = 2_000_000;

const uploads = new WeakMap<FastifyRequest, Buffer>();

function once<T>(before: T | undefined, value: T, name: string): T {
  if (before !== undefined) throw new HttpError('invalid-multipart', `the part '${name}' is there twice`);
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError('invalid-json', "the part 'request' is not JSON");
  }
}

/** What the parser of multipart bodies throws has no code; its words are fit for a client. */
function asMultipartError(error: unknown): unknown {
  if (error instanceof HttpError || (error instanceof Error && 'statusCode' in error)) return error;
  if (error instanceof Error && !('code' in error))
    return new HttpError('invalid-multipart', error.message, { cause: error });
  return error;
}
