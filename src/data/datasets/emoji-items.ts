/**
 * The items of the emoji dataset: the emoji of `emojibase-data` (MIT) without skin tones, components and flags;
 * their kinds, tags, families and splits. A family is what differs only in gender, hair, skin or the direction a
 * person faces; a family is never on two sides of the split, because its members look almost alike.
 */
import { DataError, sha256 } from '../../util/index.js';

export interface EmojiItem {
  /** Code points in lower case without variation selectors, e.g. `1f3c3-200d-2640`. */
  readonly code: string;
  /** `1f3c3-200d-2640-woman-running` */
  readonly itemId: string;
  /** Slug of the CLDR short name, e.g. `woman-running`; icon sets without code points are matched by it. */
  readonly slug: string;
  readonly group: string;
  readonly subgroup: string;
  readonly tags: readonly string[];
  /** Code of the family's first member in Unicode order. */
  readonly family: string;
  readonly split: 'train' | 'val' | 'test';
}

/** Drops variation selectors and case: `2764-FE0F` → `2764`. */
export function normalizeCode(code: string): string {
  return code
    .toLowerCase()
    .split(/[-_ ]/)
    .filter((point) => point !== 'fe0f')
    .join('-');
}

/** `man’s shoe` → `mans-shoe`, the way icon sets name their pictures. */
export function slugOf(label: string): string {
  return label
    .normalize('NFKD')
    .replace(/[\u0300-\u036f’'“”".!()]/g, '')
    .toLowerCase()
    .replace(/&/g, ' and ')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

/**
 * The items in Unicode order.
 * @param data content of `emojibase-data/en/data.json`
 * @param meta content of `emojibase-data/meta/groups.json`
 * @throws DataError when either is not what the pinned version holds
 */
export function emojiItems(data: unknown, meta: unknown): readonly EmojiItem[] {
  const names = meta as { groups?: Record<string, string>; subgroups?: Record<string, string> };
  if (!Array.isArray(data) || names.groups === undefined || names.subgroups === undefined) {
    throw new DataError('emojiItems: a list of emoji and their groups is required, got something else');
  }
  const emoji = (data as RawEmoji[])
    .filter((raw) => {
      const group = raw.group === undefined ? undefined : names.groups?.[raw.group];
      return group !== undefined && group !== 'component' && group !== 'flags';
    })
    .sort((a, b) => a.order - b.order);
  const families = familiesOf(emoji);
  return emoji.map((raw): EmojiItem => {
    const code = normalizeCode(raw.hexcode);
    const slug = slugOf(raw.label);
    const family = families.get(code)!;
    return {
      code,
      itemId: `${code}-${slug}`,
      slug,
      group: names.groups![raw.group!]!,
      subgroup: names.subgroups![raw.subgroup!]!,
      tags: raw.tags ?? [],
      family,
      split: splitOf(family),
    };
  });
}

/** 60 / 15 / 25 % of the families, by hash: the same on every machine, whatever other items there are. */
export function splitOf(family: string): 'train' | 'val' | 'test' {
  const position = Number.parseInt(sha256(`semblance-emoji:${family}`).slice(0, 12), 16) / 2 ** 48;
  return position < 0.6 ? 'train' : position < 0.75 ? 'val' : 'test';
}

/**
 * What all variants of one emoji have in common, twice: by code points (skin tone, hair, gender sign and direction
 * dropped; man, woman → person; boy, girl → child) and, for people, by name (those words dropped, and what follows
 * a colon). Emoji that share either are one family.
 */
export function familyKeys(code: string, label: string, isPerson: boolean): readonly string[] {
  const points = code.split('-');
  const byCode = points
    .filter((point) => points.length === 1 || !VARIANT_POINTS.has(point)) // the female sign itself is an emoji
    .map((point) => SAME_POINTS.get(point) ?? point)
    .join('-');
  if (!isPerson) return [`code:${byCode}`];
  const base = label.toLowerCase().replace(/:.*$/, '');
  const rest = base
    .split(/[^a-z]+/)
    .map((word) => SAME_WORDS.get(word) ?? word)
    .filter((word) => !PERSON_WORDS.has(word))
    .join(' ');
  return [`code:${byCode}`, `name:${rest}`];
}

// --- internal ---

interface RawEmoji {
  label: string;
  hexcode: string;
  order: number;
  group?: number;
  subgroup?: number;
  tags?: string[];
}

const VARIANT_POINTS: ReadonlySet<string> = new Set([
  '200d', // joiner
  '2640', // female
  '2642', // male
  '27a1', // facing right
  ...['1f9b0', '1f9b1', '1f9b2', '1f9b3'], // hair
  ...['1f3fb', '1f3fc', '1f3fd', '1f3fe', '1f3ff'], // skin
]);

const SAME_POINTS: ReadonlyMap<string, string> = new Map([
  ['1f468', '1f9d1'], // man → person
  ['1f469', '1f9d1'], // woman → person
  ['1f466', '1f9d2'], // boy → child
  ['1f467', '1f9d2'], // girl → child
]);

const SAME_WORDS: ReadonlyMap<string, string> = new Map([
  ['boy', 'child'],
  ['girl', 'child'],
  ['older', 'old'],
  ['mermaid', 'mer'],
  ['merman', 'mer'],
  ['merperson', 'mer'],
  ['prince', 'crown'],
  ['princess', 'crown'],
]);

const PERSON_WORDS: ReadonlySet<string> = new Set(
  'man men woman women person people adult and with santa mrs mx'.split(' '),
);

/** Code → code of the family's first member. Emoji are joined as long as they share a key (union by walking). */
function familiesOf(emoji: readonly RawEmoji[]): ReadonlyMap<string, string> {
  const parent = new Map<string, string>();
  const root = (name: string): string => {
    let at = name;
    for (let up = parent.get(at); up !== undefined && up !== at; up = parent.get(at)) at = up;
    return at;
  };
  for (const { hexcode, label, group } of emoji) {
    const code = normalizeCode(hexcode);
    for (const key of familyKeys(code, label, group === PEOPLE_GROUP)) parent.set(root(key), root(code));
  }
  const first = new Map<string, string>();
  const families = new Map<string, string>();
  for (const { hexcode } of emoji) {
    const code = normalizeCode(hexcode);
    const top = root(code);
    if (!first.has(top)) first.set(top, code);
    families.set(code, first.get(top)!);
  }
  return families;
}

const PEOPLE_GROUP = 1;
