/**
 * The page's files, where they were built: what Vite names by its content stays in caches, the rest is asked for anew.
 * The page keeps its state in the fragment, so `/` is its only address.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { Server } from './context.js';

/** Nothing from elsewhere; pictures that the page makes itself, and those of the camera. */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/** Serves the page from a folder; nothing where it was not built. */
export async function servePage(server: Server, folder: string): Promise<void> {
  const isBuilt = await stat(join(folder, 'index.html')).then(
    (status) => status.isFile(),
    () => false,
  );
  if (!isBuilt) return;
  await server.register(fastifyStatic, {
    root: folder,
    wildcard: false,
    cacheControl: false,
    schemaHide: true,
    setHeaders(reply, path) {
      reply.header('content-security-policy', PAGE_POLICY);
      const isNamedByContent = /[/\\]assets[/\\]/.test(path.slice(folder.length));
      reply.header('cache-control', isNamedByContent ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
}
