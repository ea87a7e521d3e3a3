import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { connectLance } from './lance-connection.js';

it('what Lance keeps of a table that is written again and again stays within its bound', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'semblance-connection-'));
  const metadataBytes = 1_000_000;
  const { connection, session } = await connectLance(directory, { metadataBytes });
  try {
    const columns = Array.from({ length: 30 }, (_, n) => [`column_${n}`, 'x']);
    const row = (id: string) => ({ id, ...Object.fromEntries(columns) });
    const table = await connection.createTable('pictures', [row('first')]);
    // Without the bound it would be 2.1 MB.
    for (let n = 0; n < 60; n++) await table.add([row(`${n}`)]);
    table.close();
    expect(Number(session.sizeBytes())).toBeGreaterThan(metadataBytes / 4);
    expect(Number(session.sizeBytes())).toBeLessThanOrEqual(metadataBytes);
  } finally {
    connection.close();
    await rm(directory, { recursive: true, force: true });
  }
});
