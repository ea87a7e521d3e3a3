// Compiles src/ to dist/ from scratch, makes the command executable, and builds web/: the page into dist/web, the custom
// element into dist/web/element.js, its React wrapper into dist/react, their types into dist/types.
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
compile('tsconfig.build.json');
chmodSync(join(root, 'dist', 'cli', 'main.js'), 0o755);

for (const config of ['vite.config.ts', 'element/vite.config.ts', 'react/vite.config.ts'])
  await build({ configFile: join(root, 'web', config), logLevel: 'warn' });
compile(join('web', 'tsconfig.build.json'));

const assets = readdirSync(join(root, 'dist', 'web', 'assets')).sort();
for (const file of [...assets.map((name) => `web/assets/${name}`), 'web/element.js', 'react/index.js']) {
  const bytes = readFileSync(join(root, 'dist', file));
  console.error(`${file}: ${kilobytes(bytes)}, gzipped ${kilobytes(gzipSync(bytes))}`);
}

function compile(project) {
  const compiler = join(typescript, 'bin', 'tsc');
  execFileSync(process.execPath, [compiler, '-p', join(root, project)], { stdio: 'inherit' });
}

function kilobytes(bytes) {
  return `${(bytes.length / 1000).toFixed(1)} kB`;
}
