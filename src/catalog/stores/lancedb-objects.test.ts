import { basename } from 'node:path';
import { afterAll, beforeAll, vi } from 'vitest';
import { type ObjectStorage, startObjectStorage } from '../../../test/conformance/object-storage.js';
import { vectorStoreConformance } from '../../../test/conformance/vector-store.js';
import { openLanceStore } from './lancedb.js';

let storage: ObjectStorage;
beforeAll(async () => {
  storage = await startObjectStorage();
  for (const [name, value] of Object.entries(storage.environment)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await storage.stop();
});

vectorStoreConformance('LanceDB in object storage', {
  open: (directory, shape) => openLanceStore(`${storage.bucket}/${basename(directory)}`, shape),
  persistent: true,
});
