/** PGlite with pgvector behind a socket, in a process of its own: prints its address and runs until its input closes. */
import { startPglite } from '../test/conformance/postgres-server.js';

const { url, stop } = await startPglite();
console.log(url);
process.stdin.resume();
process.stdin.once('end', async () => {
  await stop();
  process.exit(0);
});
