// Compiles src/ to dist/ from scratch, makes the command executable, and builds the page of web/ into dist/web.
// Sizes go to standard error: `npm pack` runs this, and its standard output is the name of the package.
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const root = join(import.meta.dirname, '..');
const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
rmSync(join(root, 'dist'), { recursive: true, force: true });
execFileSync(process.execPath, [join(typescript, 'bin', 'tsc'), '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
chmodSync(join(root, 'dist', 'cli', 'main.js'), 0o755);

await build({ configFile: join(root, 'web', 'vite.config.ts'), logLevel: 'warn' });
const folder = join(root, 'dist', 'web', 'assets');
for (const file of readdirSync(folder).sort()) {
  const bytes = readFileSync(join(folder, file));
  console.error(`web/assets/${file}: ${kilobytes(bytes)}, gzipped ${kilobytes(gzipSync(bytes))}`);
}

function kilobytes(bytes) {
  return `${(bytes.length / 1000).toFixed(1)} kB`;
}
