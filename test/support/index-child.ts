/**
 * A process that indexes and is killed: `index-child.ts <catalogue> <model> <manifest> <after>`. When so many pictures are
 * done it says `reached` and stands still.
 */
import { openEmbedder } from '../../src/bundle/index.js';
import { indexCatalog } from '../../src/catalog/index.js';
import { readManifest } from '../../src/data/index.js';

const [directory = '', model = '', manifestFile = '', after = ''] = process.argv.slice(2);
const { rows, attributeNames } = await readManifest(manifestFile);
const embedder = await openEmbedder(model, { threads: 1, batchSize: 4 });
await indexCatalog({
  directory,
  embedder,
  data: { rows, attributes: attributeNames },
  chunkSize: 4,
  startProgress: () => ({
    update(done) {
      if (done < Number(after)) return;
      process.stdout.write('reached\n');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
    stop() {},
  }),
});
process.stdout.write('finished\n');
