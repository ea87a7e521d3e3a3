import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ownCommand, shellWord } from './own-command.js';

describe('ownCommand', () => {
  for (const [script, folder, expected] of [
    ['/home/me/semblance/dist/cli/main.js', '/home/me/semblance', 'node dist/cli/main.js'],
    ['dist/cli/main.js', '/home/me/semblance', 'node dist/cli/main.js'],
    ['/home/me/my project/dist/cli/main.js', '/home/me', "node 'my project/dist/cli/main.js'"],
    ['/shop/node_modules/.bin/semblance', '/shop', 'npx semblance'],
    ['/shop/node_modules/semblance/dist/cli/main.js', '/shop', 'npx semblance'],
    ['/home/me/.npm/_npx/1a2b/node_modules/.bin/semblance', '/shop', 'npx semblance'],
    ['/usr/local/bin/semblance', '/shop', 'semblance'],
  ] as const)
    it(`${script} in ${folder}`, () => expect(ownCommand(script, folder)).toBe(expected));
});

it('shellWord: a shell reads back what was written', () => {
  for (const text of ['runs/demo', 'my folder/ä', "it's", '$HOME `x` "y"', '*', ''])
    expect(execFileSync('/bin/sh', ['-c', `printf %s ${shellWord(text)}`], { encoding: 'utf8' })).toBe(text);
});
