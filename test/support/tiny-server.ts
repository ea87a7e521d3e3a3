/** A server on a tiny catalogue of its own, for tests, and requests as clients send them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LiveCatalog } from '../../src/catalog/index.js';
import { buildServer, type Server, type ServerOptions } from '../../src/server/index.js';
import { type TinyCatalog, writeTinyCatalog } from './tiny-catalog.js';

export interface TinyServer extends TinyCatalog {
  readonly root: string;
  readonly live: LiveCatalog;
  readonly server: Server;
  close(): Promise<void>;
}

export async function openTinyServer(options: Omit<ServerOptions, 'catalog'> = {}): Promise<TinyServer> {
  const root = await mkdtemp(join(tmpdir(), 'semblance-server-'));
  const tiny = await writeTinyCatalog(root);
  const live = await LiveCatalog.open(tiny.catalog, { threads: 1, pollMs: 0 });
  const server = await buildServer({ ...options, catalog: live });
  return {
    ...tiny,
    root,
    live,
    server,
    async close() {
      await server.close();
      await live.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** A multipart body with its header, as `inject` takes it. */
export async function multipart(
  parts: Readonly<Record<string, string | Uint8Array>>,
): Promise<{ payload: Buffer; headers: Record<string, string> }> {
  const form = new FormData();
  for (const [name, value] of Object.entries(parts))
    form.append(name, typeof value === 'string' ? value : new Blob([new Uint8Array(value)]));
  const request = new Request('http://localhost/', { method: 'POST', body: form });
  return {
    payload: Buffer.from(await request.arrayBuffer()),
    headers: { 'content-type': request.headers.get('content-type') ?? '' },
  };
}
