/**
 * S3-compatible object storage for the tests: s3rver on loopback, in this process. Where it falls behind S3 it is helped:
 * it shows objects that are half written, and takes no heed of `If-None-Match: *`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import S3rver from 's3rver';

export interface ObjectStorage {
  /** `s3://bucket`. */
  readonly bucket: string;
  /** What a process needs to use it. */
  readonly environment: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export async function startObjectStorage(): Promise<ObjectStorage> {
  const directory = await mkdtemp(join(tmpdir(), 'semblance-objects-'));
  const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: 'shop' }],
  });
  const turns = pLimit(1);
  server.middleware.unshift((context, next) =>
    turns(async () => {
      if (context.method === 'PUT' && context.get('if-none-match') === '*') {
        const [bucket = '', ...key] = decodeURIComponent(context.path).slice(1).split('/');
        if (await context.app.store.existsObject(bucket, key.join('/'))) {
          context.status = 412;
          return;
        }
      }
      await next();
    }),
  );
  const { port } = await server.run();
  return {
    bucket: 's3://shop',
    environment: {
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      AWS_ACCESS_KEY_ID: 'S3RVER',
      AWS_SECRET_ACCESS_KEY: 'S3RVER',
    },
    async stop() {
      const closed = server.close();
      // LanceDB keeps its connections for a minute and a half, and the server would wait for them.
      server.httpServer.closeAllConnections();
      await closed;
      await rm(directory, { recursive: true, force: true });
    },
  };
}
