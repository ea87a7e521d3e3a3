import { describe, expect, it } from 'vitest';
import { CliError } from '../util/index.js';
import { merge, parseSettings } from './settings.js';

describe('parseSettings', () => {
  it.each([
    [[], {}],
    [['steps=5'], { steps: 5 }],
    [['loss.slack=0.2', 'loss.kind=triplet'], { loss: { kind: 'triplet' } }],
    [['loss.kind=triplet', 'loss.margin=0.3'], { loss: { kind: 'triplet', margin: 0.3 } }],
    [['network.widths=[8,16]', 'network.inputSize=32'], { network: { widths: [8, 16], inputSize: 32 } }],
    [['a.b.c=true', 'a.b.d=null'], { a: { b: { c: true, d: null } } }],
    [['text=a=b', 'empty=', 'quoted="5"'], { text: 'a=b', empty: '', quoted: '5' }],
    [['a={"b":1}', 'a.c=2'], { a: { b: 1, c: 2 } }],
    [['a=1', 'a=2'], { a: 2 }],
    [['a.b=1', 'a=2'], { a: 2 }],
  ])('%j', (pairs, settings) => {
    expect(parseSettings(pairs)).toEqual(settings);
  });

  it.each(['steps', '=5', ''])('%j is refused', (pair) => {
    expect(() => parseSettings([pair])).toThrow(CliError);
    expect(() => parseSettings([pair])).toThrow(`train --set: must be path=value, got '${pair}'`);
  });

  it('the names of what every object has are names like others', () => {
    parseSettings(['__proto__.polluted=1', 'constructor.prototype.polluted=1']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('merge', () => {
  it.each([
    [{ a: 1 }, { b: 2 }, { a: 1, b: 2 }],
    [{ a: { b: 1, c: 2 } }, { a: { c: 3 } }, { a: { b: 1, c: 3 } }],
    [{ a: [1, 2] }, { a: [3] }, { a: [3] }],
    [{ a: { b: 1 } }, { a: 5 }, { a: 5 }],
    [{ a: 5 }, { a: { b: 1 } }, { a: { b: 1 } }],
    [{ loss: { kind: 'x', slack: 1 } }, { loss: { kind: 'y' } }, { loss: { kind: 'y' } }],
    [
      { loss: { kind: 'x', slack: 1 } },
      { loss: { kind: 'x', beta: 2 } },
      { loss: { kind: 'x', slack: 1, beta: 2 } },
    ],
  ])('%j with %j', (base, over, result) => {
    const before = JSON.stringify([base, over]);
    expect(merge(base, over)).toEqual(result);
    expect(JSON.stringify([base, over])).toBe(before);
  });
});
