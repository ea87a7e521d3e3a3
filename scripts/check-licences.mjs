// Holds every installed package, and every one of the lock file, to permissive licences. Reads package-lock.json and
// node_modules, asks nobody. What is not permissive must be in EXCEPTIONS, with the reason why it may stay.
// Prints one line a violation; exit code 1 if there is any.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const PERMISSIVE = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BSL-1.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Python-2.0',
  'Unlicense',
  'Zlib',
]);
/** Name (a `*` at the end stands for anything) → licence → why it may stay. */
const EXCEPTIONS = [
  [
    '@img/sharp-*',
    'LGPL-3.0-or-later',
    'libvips: a library of its own, loaded at run time, that a user can replace',
  ],
  ['axe-core', 'MPL-2.0', 'runs in the browser under test, unchanged; not shipped'],
  ['lightningcss*', 'MPL-2.0', 'builds the page, unchanged; not shipped'],
  ['@iconify-json/*', 'CC-BY-4.0', 'art of the demo, named in its LICENSES.md; not shipped'],
  ['flatbuffers', 'SEE LICENSE IN LICENSE.txt', "Google's FlatBuffers: Apache-2.0 in its repository"],
  ['humanize-number', '', 'MIT by its readme; below s3rver, in tests only'],
  ['only', '', 'MIT by its readme; below s3rver, in tests only'],
];

const root = join(import.meta.dirname, '..');
const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
let [checked, wrong] = [0, 0];
for (const [path, locked] of Object.entries(packages)) {
  if (path === '' || locked.link) continue;
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
  const manifest = join(root, path, 'package.json');
  // What is installed counts; what is for another platform has only its line in the lock file.
  const installed = existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')) : locked;
  const licence = textOf(installed.license ?? installed.licenses ?? locked.license);
  checked++;
  if (isPermissive(licence) || isException(name, licence)) continue;
  console.error(
    `${path}: its licence must be permissive, got ${licence || 'none'}. Leave it, or say in scripts/check-licences.mjs why it may stay`,
  );
  wrong++;
}
console.log(`${checked} packages, ${wrong} with a licence that is not permissive`);
process.exit(wrong === 0 ? 0 : 1);

function textOf(licence) {
  if (Array.isArray(licence)) return licence.map(textOf).join(' OR ');
  return typeof licence === 'object' && licence !== null ? (licence.type ?? '') : (licence ?? '');
}

/** Of an SPDX expression: OR needs one, AND needs all. */
function isPermissive(expression) {
  const plain = expression.replaceAll(/[()]/g, ' ').trim();
  return plain
    .split(/\s+OR\s+/)
    .some((either) => either.split(/\s+AND\s+/).every((part) => PERMISSIVE.has(part.trim())));
}

function isException(name, licence) {
  return EXCEPTIONS.some(
    ([pattern, allowed]) =>
      licence.split(/\s+AND\s+/).every((part) => part === allowed || PERMISSIVE.has(part)) &&
      (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern),
  );
}
