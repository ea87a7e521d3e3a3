/**
 * The OpenAPI document, made of the schemas that validate. What zod cannot say of a route (multipart bodies, pictures,
 * NDJSON, problems) is added here.
 */
import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { packageVersion } from '../util/index.js';
import { OPERATION_SCOPES } from './access/scopes.js';
import type { Server } from './context.js';
import { OPERATIONS_WITH_PICTURE } from './request-body.js';

const PROBLEM = 'application/problem+json';
const MULTIPART = 'multipart/form-data';
const NDJSON = 'application/x-ndjson';

/** To be called before the routes are added. */
export async function documentRoutes(server: Server): Promise<void> {
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'semblance',
        version: packageVersion(),
        description: 'Visual search: the same item, the same look, or the same kind.',
        license: { name: 'MIT', identifier: 'MIT' } as { name: string },
      },
      tags: [
        { name: 'search', description: 'Search by picture, and reasons' },
        { name: 'pictures', description: 'The records of the catalogue' },
        { name: 'catalog', description: 'The catalogue as a whole' },
        { name: 'feedback', description: 'What people said of hits' },
        { name: 'health', description: 'For whoever runs it' },
      ],
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => complete(jsonSchemaTransformObject(document) as Document) as never,
  });
  let text: string | undefined;
  server.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    text ??= JSON.stringify(server.swagger());
    return reply.type('application/json; charset=utf-8').send(text);
  });
}

// --- internal ---

interface Content {
  [type: string]: { schema?: object };
}

interface Operation {
  operationId?: string;
  parameters?: { name: string; in: string }[];
  requestBody?: { content: Content; required?: boolean };
  responses: Record<string, { description: string; content?: Content }>;
  security?: Record<string, readonly string[]>[];
}

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, object>; securitySchemes?: Record<string, object> };
}

const KEY_SCHEME = {
  type: 'http',
  scheme: 'bearer',
  description:
    'An API key, where the server demands one. An operation names the scope that it needs: search, write or admin; ' +
    'admin includes the others.',
};

const FILE = { type: 'string', contentMediaType: 'application/octet-stream' };

function complete(document: Document): Document {
  for (const path of Object.values(document.paths))
    for (const operation of Object.values(path)) completeOperation(operation);
  document.components = { ...document.components, securitySchemes: { key: KEY_SCHEME } };
  return withPlainNames(document);
}

/**
 * Every schema comes twice, as what is sent (`<id>Input`) and as what is answered (`<id>`): with defaults filled in or not.
 * What no route refers to goes; what is left once, or twice the same, has its plain name.
 */
function withPlainNames(document: Document): Document {
  const schemas = document.components?.schemas ?? {};
  const used = new Set<string>();
  const follow = (value: unknown) => {
    for (const name of referencedNames(value)) {
      if (used.has(name)) continue;
      used.add(name);
      follow(schemas[name]);
    }
  };
  follow(document.paths);
  const plainText = (name: string) =>
    JSON.stringify(schemas[name]).replaceAll(REFERENCE, '"#/components/schemas/$1"');
  const names = new Map<string, string>();
  for (const name of used) {
    const plain = name.replace(/Input$/, '');
    const isOnly = !used.has(plain) || plainText(plain) === plainText(name);
    names.set(name, plain !== name && isOnly ? plain : name);
  }
  const renamed = (value: unknown) =>
    JSON.parse(
      JSON.stringify(value).replaceAll(/"#\/components\/schemas\/([^"]+)"/g, (_, name: string) =>
        JSON.stringify(`#/components/schemas/${names.get(name) ?? name}`),
      ),
    );
  const kept = [...used].sort().map((name) => [names.get(name) ?? name, renamed(schemas[name])] as const);
  return {
    ...document,
    paths: renamed(document.paths),
    components: { ...document.components, schemas: Object.fromEntries(kept) },
  };
}

const REFERENCE = /"#\/components\/schemas\/([^"]+?)(?:Input)?"/g;

function referencedNames(value: unknown): string[] {
  const text = JSON.stringify(value) ?? '';
  return [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name as string);
}

function completeOperation(operation: Operation): void {
  const { operationId = '', requestBody, responses } = operation;
  const scope = OPERATION_SCOPES[operationId] ?? 'admin';
  // A server on the machine itself asks for no key: the empty requirement.
  operation.security = scope === 'open' ? [] : [{ key: [scope] }, {}];
  responses.default = {
    description: 'A problem',
    content: { [PROBLEM]: { schema: { $ref: '#/components/schemas/Problem' } } },
  };
  for (const response of Object.values(responses))
    if (response.description === 'Default Response') response.description = 'The answer';
  const json = requestBody?.content['application/json']?.schema;
  if (requestBody !== undefined && json !== undefined && OPERATIONS_WITH_PICTURE.includes(operationId))
    requestBody.content[MULTIPART] = {
      schema: { type: 'object', properties: { picture: FILE, request: json }, required: ['picture'] },
    };
  if (['getPictureImage', 'getFeedbackImage', 'getRemotePicture'].includes(operationId))
    responses['200'] = { description: 'The picture', content: { 'image/*': { schema: FILE } } };
  if (operationId === 'metrics')
    responses['200'] = {
      description: 'Prometheus exposition',
      content: { 'text/plain': { schema: { type: 'string' } } },
    };
  if (operationId === 'bulk') {
    const lines = (name: string, component: string) => ({
      schema: {
        type: 'string',
        description: `A ${name} a line.`,
        contentMediaType: 'application/json',
        contentSchema: { $ref: `#/components/schemas/${component}` },
      },
    });
    const asked = lines('BulkOperation', 'BulkOperationInput');
    operation.requestBody = { required: true, content: { [NDJSON]: asked } };
    const answered = lines('BulkResult', 'BulkResult');
    responses['200'] = { description: 'A BulkResult a line', content: { [NDJSON]: answered } };
  }
}
