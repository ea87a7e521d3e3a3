// Enforces the import table of AGENTS.md: which room of src/ may import which.
// Also: from another room a folder is entered through its index.ts only, where it has one (tests may look inside),
// and no file is longer than 600 lines. Prints one line a violation; exit code 1 if there is any.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';

const ALLOWED = {
  util: [],
  graph: ['util'],
  onnx: ['graph', 'util'],
  models: ['graph', 'onnx', 'util'],
  pretrained: ['onnx', 'data', 'bundle', 'util'],
  granularity: ['graph', 'util'],
  losses: ['graph', 'granularity', 'util'],
  optimizers: ['graph', 'util'],
  data: ['util'],
  bundle: ['graph', 'granularity', 'onnx', 'data', 'util'],
  training: ['util', 'graph', 'onnx', 'models', 'granularity', 'losses', 'optimizers', 'data', 'bundle'],
  evaluation: ['graph', 'onnx', 'granularity', 'util'],
  catalog: ['graph', 'granularity', 'onnx', 'data', 'bundle', 'util'],
  client: [],
  server: ['catalog', 'bundle', 'granularity', 'data', 'util'],
  cli: [
    'util',
    'graph',
    'onnx',
    'models',
    'pretrained',
    'granularity',
    'losses',
    'optimizers',
    'data',
    'training',
    'evaluation',
    'bundle',
    'catalog',
    'server',
  ],
};
const MAXIMUM_LINES = 600;
/** Made by scripts/write-openapi.ts. */
const GENERATED = [join('src', 'client', 'schema.ts')];

const root = join(import.meta.dirname, '..');
const source = join(root, 'src');
const problems = [];

const files = readdirSync(root, { recursive: true })
  .map(String)
  .filter((file) => /^(src|web|test|bench|examples|scripts)\b/.test(file) && /\.(ts|tsx|mjs)$/.test(file))
  .sort();

for (const file of files) {
  const path = join(root, file);
  const text = readFileSync(path, 'utf8');
  const lineCount = text.split('\n').length;
  if (lineCount > MAXIMUM_LINES && !GENERATED.includes(file))
    problems.push(`${file}: ${lineCount} lines, at most ${MAXIMUM_LINES}. Split it.`);
  if (file.startsWith(`web${sep}`) && !/\.test\.tsx?$/.test(file)) checkPage(file, path, text);
  if (!file.startsWith(`src${sep}`)) continue;
  const room = relative(source, path).split(sep)[0];
  if (room.endsWith('.ts')) continue; // src/index.ts gathers the public names
  const allowed = ALLOWED[room];
  if (allowed === undefined) {
    problems.push(`${file}: the room ${room}/ is not in the import table.`);
    continue;
  }
  if (/\.test\.tsx?$/.test(file)) continue;
  for (const match of text.matchAll(/(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g)) {
    const target = resolve(dirname(path), match[1]);
    const targetRoom = relative(source, target).split(sep)[0];
    if (targetRoom === room) continue;
    const folder = dirname(target);
    if (!target.endsWith(`${sep}index.js`) && existsSync(join(folder, 'index.ts')))
      problems.push(
        `${file}: ${relative(source, folder)}/ must be entered through its index.ts, got ${match[1]}.`,
      );
    if (!allowed.includes(targetRoom)) {
      problems.push(
        `${file}: ${room}/ may not import ${targetRoom}/ (allowed: ${allowed.join(', ') || 'nothing'}).`,
      );
    }
  }
}

/** Of src/ the page and the element take the client alone, with its types: nothing else may reach a browser. */
function checkPage(file, path, text) {
  for (const match of text.matchAll(/(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g)) {
    const target = relative(root, resolve(dirname(path), match[1]));
    if (!target.startsWith(`web${sep}`) && target !== join('src', 'client', 'index.js'))
      problems.push(`${file}: web/ may import src/client/index.js only, got ${match[1]}.`);
  }
}

for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(`layers: ${files.length} files, no violation`);
