#!/usr/bin/env node
/** The executable: runs the command line of this process. */
import { main } from './program.js';

// A reader that stops early (`semblance … | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await main(process.argv.slice(2));
