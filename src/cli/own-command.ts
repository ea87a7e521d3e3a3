/** How to call this program again from where the user is, for lines that are there to be pasted. */
import { relative, resolve, sep } from 'node:path';

/**
 * `semblance` where it is on the path, `npx semblance` in a project that depends on it, and `node dist/cli/main.js` in this
 * project's own folder, where npm runs it.
 * @param script as `process.argv[1]`.
 * @param folder where the user is.
 */
export function ownCommand(script = process.argv[1] ?? '', folder = process.cwd()): string {
  const parts = resolve(folder, script).split(sep);
  if (parts.includes('node_modules') || parts.includes('_npx')) return 'npx semblance';
  if (parts.at(-1) === 'semblance') return 'semblance';
  return `node ${shellWord(relative(folder, resolve(folder, script)))}`;
}

/** A text as one word of a shell, quoted where it must be. */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return process.platform === 'win32'
    ? `"${text.replaceAll('"', '""')}"`
    : `'${text.replaceAll("'", `'\\''`)}'`;
}
