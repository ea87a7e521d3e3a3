import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { emojiItems, familyKeys, normalizeCode, slugOf, splitOf } from './emoji-items.js';

const require = createRequire(import.meta.url);
const items = emojiItems(require('emojibase-data/en/data.json'), require('emojibase-data/meta/groups.json'));
const bySlug = new Map(items.map((item) => [item.slug, item]));

describe('emojiItems', () => {
  it('has 1,644 items without skin tones, components and flags, each with its own id', () => {
    expect(items.length).toBe(1644);
    expect(new Set(items.map((item) => item.itemId)).size).toBe(1644);
    expect(new Set(items.map((item) => item.group))).not.toContain('flags');
    expect(items.some((item) => /1f3f[b-f]/.test(item.code))).toBe(false);
    expect(items[0]).toMatchObject({
      code: '1f600',
      itemId: '1f600-grinning-face',
      group: 'smileys-emotion',
      subgroup: 'face-smiling',
      family: '1f600',
    });
    expect(items[0]?.tags).toContain('happy');
  });

  it.each([
    ['person-running', ['man-running', 'woman-running', 'woman-running-facing-right']],
    ['person', ['man', 'woman', 'woman-red-hair', 'person-bald', 'man-beard']],
    ['health-worker', ['man-health-worker', 'woman-health-worker']],
    ['merperson', ['mermaid', 'merman']],
    ['person-with-crown', ['prince', 'princess']],
    ['santa-claus', ['mrs-claus', 'mx-claus']],
    ['woman-dancing', ['man-dancing']],
    ['older-person', ['old-man', 'old-woman']],
    ['child', ['boy', 'girl']],
    ['couple-with-heart', ['couple-with-heart-man-man']],
    ['family', ['family-man-woman-boy', 'family-adult-child']],
  ])('puts the variants of %s in one family', (slug, variants) => {
    for (const variant of variants) expect(bySlug.get(variant)?.family).toBe(bySlug.get(slug)?.family);
  });

  it.each([
    ['mans-shoe', 'womans-boot'],
    ['female-sign', 'male-sign'],
    ['right-arrow', 'left-arrow'],
    ['person-running', 'person-walking'],
    ['cook', 'farmer'],
    ['person', 'child'],
    ['ear', 'ear-with-hearing-aid'],
  ])('keeps %s and %s apart', (one, other) => {
    expect(bySlug.get(one)?.family).toBeDefined();
    expect(bySlug.get(one)?.family).not.toBe(bySlug.get(other)?.family);
  });

  it('splits no family, and about 60 / 15 / 25', () => {
    const sides = new Map<string, Set<string>>();
    for (const { family, split } of items) sides.set(family, (sides.get(family) ?? new Set()).add(split));
    for (const side of sides.values()) expect(side.size).toBe(1);
    const share = (split: string) => items.filter((item) => item.split === split).length / items.length;
    expect(Math.abs(share('train') - 0.6)).toBeLessThan(0.03);
    expect(Math.abs(share('val') - 0.15)).toBeLessThan(0.03);
    expect(Math.abs(share('test') - 0.25)).toBeLessThan(0.03);
  });

  it('leaks no gendered pair across the split, found by another rule: names that differ in one gender word', () => {
    const neutral = new Map<string, string[]>();
    for (const item of items) {
      const words = item.slug.split('-').map((word) => word.replace(/^(wo)?m[ae]n$|^person$|^people$/, '_'));
      if (!words.includes('_') || item.group !== 'people-body') continue;
      neutral.set(words.join('-'), [...(neutral.get(words.join('-')) ?? []), item.split]);
    }
    expect([...neutral.values()].filter((splits) => splits.length > 1).length).toBeGreaterThan(60);
    for (const splits of neutral.values()) expect(new Set(splits).size).toBe(1);
  });
});

it('normalizeCode drops case and variation selectors', () => {
  expect(normalizeCode('2764-FE0F-200D-1F525')).toBe('2764-200d-1f525');
});

it('slugOf writes names as icon sets do', () => {
  expect(slugOf('man’s shoe')).toBe('mans-shoe');
  expect(slugOf('piñata')).toBe('pinata');
  expect(slugOf('Japanese “here” button')).toBe('japanese-here-button');
  expect(slugOf('kiss: woman, man')).toBe('kiss-woman-man');
});

it('familyKeys keeps a lone sign, which is an emoji itself', () => {
  expect(familyKeys('2640', 'female sign', false)).toEqual(['code:2640']);
  expect(familyKeys('1f3c3-200d-2640', 'woman running', true)).toEqual(['code:1f3c3', 'name:running']);
});

it('splitOf is fixed for all time', () => {
  expect(['1f600', '1f3c3', '1f6b6', '1f9d1'].map(splitOf)).toEqual(['train', 'val', 'test', 'val']);
});
