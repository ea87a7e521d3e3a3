/**
 * The art of the emoji dataset: six picture sets from npm packages of pinned versions, found where they are
 * installed or installed into a cache folder, and matched to the items by code point or, in the two sets that
 * give none, by name.
 */
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import envPaths from 'env-paths';
import { DataError, errorMessage, readJson } from '../../util/index.js';
import { type EmojiItem, normalizeCode } from './emoji-items.js';

export interface ArtSet {
  /** The manifest's `source`. */
  readonly source: string;
  /** The manifest's `source_group`: sets that are one design in several shadings share it. */
  readonly sourceGroup: string;
  readonly package: string;
  readonly artist: string;
  readonly licence: string;
  readonly licenceUrl: string;
}

/** The six sets in the order of the manifest. Share-alike and unlicensed sets are left out on purpose. */
export const ART_SETS: readonly ArtSet[] = [
  {
    source: 'noto',
    sourceGroup: 'noto',
    package: '@iconify-json/noto',
    artist: 'Google, Noto Emoji',
    licence: 'Apache-2.0',
    licenceUrl: 'https://github.com/googlefonts/noto-emoji/blob/main/svg/LICENSE',
  },
  {
    source: 'noto-v1',
    sourceGroup: 'noto-v1',
    package: '@iconify-json/noto-v1',
    artist: 'Google, Noto Emoji before its redesign of 2017',
    licence: 'Apache-2.0',
    licenceUrl: 'https://github.com/googlefonts/noto-emoji/blob/main/svg/LICENSE',
  },
  {
    source: 'twemoji',
    sourceGroup: 'twemoji',
    package: '@iconify-json/twemoji',
    artist: 'Twitter and other contributors, Twemoji',
    licence: 'CC-BY-4.0',
    licenceUrl: 'https://creativecommons.org/licenses/by/4.0/',
  },
  {
    source: 'fluent-flat',
    sourceGroup: 'fluent',
    package: '@iconify-json/fluent-emoji-flat',
    artist: 'Microsoft, Fluent Emoji (flat)',
    licence: 'MIT',
    licenceUrl: 'https://github.com/microsoft/fluentui-emoji/blob/main/LICENSE',
  },
  {
    source: 'fluent-3d',
    sourceGroup: 'fluent',
    package: '@lobehub/fluent-emoji-3d',
    artist: 'Microsoft, Fluent Emoji (3D)',
    licence: 'MIT',
    licenceUrl: 'https://github.com/microsoft/fluentui-emoji/blob/main/LICENSE',
  },
  {
    source: 'emojione',
    sourceGroup: 'emojione',
    package: '@iconify-json/emojione',
    artist: 'Emoji One, version 2, continued as EmojiTwo',
    licence: 'CC-BY-4.0',
    licenceUrl: 'https://creativecommons.org/licenses/by/4.0/',
  },
];

/** Names, groups and tags of the emoji. */
export const EMOJI_DATA_PACKAGE = 'emojibase-data';

/** Exact versions, so that the dataset is the same everywhere. Equal to the project's development dependencies. */
export const PACKAGE_VERSIONS: Readonly<Record<string, string>> = {
  '@iconify-json/noto': '1.2.9',
  '@iconify-json/noto-v1': '1.2.5',
  '@iconify-json/twemoji': '1.2.5',
  '@iconify-json/fluent-emoji-flat': '1.2.6',
  '@lobehub/fluent-emoji-3d': '1.1.0',
  '@iconify-json/emojione': '1.2.3',
  'emojibase-data': '17.0.0',
};

export interface LocateArtOptions {
  /** Folders whose `node_modules` are looked into first. */
  artDirectories?: readonly string[];
  /** Where missing packages are installed. Default: the user's cache folder. */
  cacheDirectory?: string;
  /** Told before anything is installed. */
  onNotice?: (line: string) => void;
  signal?: AbortSignal;
}

/**
 * Folder of each package of `PACKAGE_VERSIONS`, in exactly that version: from `artDirectories`, this package's own
 * surroundings, the working directory, or the cache; if any is missing, all are installed into the cache with npm.
 * @throws DataError when the installation fails
 */
export async function locateArt(options: LocateArtOptions = {}): Promise<ReadonlyMap<string, string>> {
  const {
    artDirectories = [],
    cacheDirectory = join(envPaths('semblance', { suffix: '' }).cache, 'emoji-art'),
  } = options;
  const places = [...artDirectories.map((folder) => resolve(folder)), import.meta.dirname, process.cwd()];
  const found = await findPackages([...places, cacheDirectory]);
  const missing = Object.keys(PACKAGE_VERSIONS).filter((name) => !found.has(name));
  if (missing.length === 0) return found;
  options.onNotice?.(
    `The art is not installed here (missing: ${missing.join(', ')}). Installing it with npm into ${cacheDirectory} ` +
      '(130 MB, once).',
  );
  await installArt(cacheDirectory, options.signal);
  const installed = await findPackages([cacheDirectory]);
  for (const name of Object.keys(PACKAGE_VERSIONS)) {
    if (!installed.has(name)) {
      throw new DataError(
        `emoji art: ${name}@${PACKAGE_VERSIONS[name]} is required, but npm did not install it`,
        {
          file: cacheDirectory,
        },
      );
    }
  }
  return installed;
}

/** The picture of one item in one set: SVG text, or a file of pixels. */
export type Drawing = { readonly svg: string } | { readonly file: string };

/**
 * What a set draws, by code of the item, in the order of the items.
 * @param folder of the set's package
 * @param size width and height of the SVG, pixels
 * @param aliases other names of an item by its code, for sets without code points
 */
export async function readDrawings(
  set: ArtSet,
  folder: string,
  items: readonly EmojiItem[],
  size: number,
  aliases: ReadonlyMap<string, readonly string[]>,
): Promise<ReadonlyMap<string, Drawing>> {
  if (set.source === 'fluent-3d') return readFiles(join(folder, 'assets'), items);
  const icons = (await readJson(join(folder, 'icons.json'))) as IconSet;
  const names = await readNames(folder);
  const drawings = new Map<string, Drawing>();
  const drawn = new Set<string>();
  // First by code point or by the icon's own name, then by other names of the icon, then by other names of the item,
  // so that a loose name never takes an icon from the item it belongs to (the insect from the game of cricket).
  const passes: ((item: EmojiItem) => readonly string[])[] =
    names.size > 0
      ? [(item) => asList(names.get(item.code))]
      : [
          (item) => (Object.hasOwn(icons.icons, item.slug) ? [item.slug] : []),
          (item) => [item.slug],
          (item) => aliases.get(item.code) ?? [],
        ];
  for (const candidates of passes) {
    for (const item of items) {
      if (drawings.has(item.code)) continue;
      for (const name of candidates(item)) {
        const icon = resolveIcon(icons, name);
        if (icon === undefined || (names.size === 0 && drawn.has(icon.name))) continue;
        drawn.add(icon.name);
        drawings.set(item.code, { svg: svgOf(icons, icon, size) });
        break;
      }
    }
  }
  return new Map(items.flatMap(({ code }) => (drawings.has(code) ? [[code, drawings.get(code)!]] : [])));
}

/** What sets with code points call each item: names that sets without code points may know it by. */
export async function collectAliases(
  folders: ReadonlyMap<string, string>,
  items: readonly EmojiItem[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const aliases = new Map<string, string[]>(items.map((item) => [item.code, []]));
  for (const set of ART_SETS) {
    const folder = folders.get(set.package);
    if (folder === undefined || set.source === 'fluent-3d') continue;
    const names = await readNames(folder);
    if (names.size === 0) continue;
    const icons = (await readJson(join(folder, 'icons.json'))) as IconSet;
    const children = new Map<string, string[]>();
    for (const [name, { parent }] of Object.entries(icons.aliases ?? {})) {
      children.set(parent, [...(children.get(parent) ?? []), name]);
    }
    for (const item of items) {
      const name = names.get(item.code);
      if (name !== undefined) aliases.get(item.code)?.push(name, ...(children.get(name) ?? []));
    }
  }
  return aliases;
}

// --- internal ---

interface Icon {
  body: string;
  left?: number;
  top?: number;
  width?: number;
  height?: number;
  hFlip?: boolean;
  vFlip?: boolean;
}

interface IconSet {
  icons: Record<string, Icon>;
  aliases?: Record<string, Partial<Icon> & { parent: string }>;
  width?: number;
  height?: number;
}

const asList = (name: string | undefined): readonly string[] => (name === undefined ? [] : [name]);

/** Code → icon name, of a set's `chars.json`; empty where the set has no code points. */
async function readNames(folder: string): Promise<ReadonlyMap<string, string>> {
  const chars = (await readJson(join(folder, 'chars.json'))) as Record<string, string>;
  const names = new Map<string, string>();
  for (const code of Object.keys(chars).sort()) {
    const normal = normalizeCode(code);
    if (!names.has(normal)) names.set(normal, chars[code]!);
  }
  return names;
}

function resolveIcon(set: IconSet, name: string): (Icon & { name: string }) | undefined {
  const own = set.icons[name];
  if (own !== undefined) return { ...own, name };
  const alias = set.aliases?.[name];
  if (alias === undefined) return undefined;
  const { parent, ...changes } = alias;
  const base = resolveIcon(set, parent);
  if (base === undefined) return undefined;
  const isFlipped = (changes.hFlip ?? false) !== (base.hFlip ?? false);
  const isMirror = changes.hFlip === true || changes.vFlip === true;
  return { ...base, ...changes, hFlip: isFlipped, name: isMirror ? name : base.name };
}

function svgOf(set: IconSet, icon: Icon, size: number): string {
  const width = icon.width ?? set.width ?? 16;
  const height = icon.height ?? set.height ?? 16;
  const left = icon.left ?? 0;
  const top = icon.top ?? 0;
  const horizontal = icon.hFlip === true ? `translate(${2 * left + width} 0) scale(-1 1)` : '';
  const vertical = icon.vFlip === true ? `translate(0 ${2 * top + height}) scale(1 -1)` : '';
  const transform = `${horizontal} ${vertical}`.trim();
  const body = transform === '' ? icon.body : `<g transform="${transform}">${icon.body}</g>`;
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ' +
    `width="${size}" height="${size}" viewBox="${left} ${top} ${width} ${height}">${body}</svg>`
  );
}

async function readFiles(folder: string, items: readonly EmojiItem[]): Promise<ReadonlyMap<string, Drawing>> {
  const files = new Map<string, string>();
  for (const file of (await readdir(folder)).sort()) {
    if (file.endsWith('.webp')) files.set(normalizeCode(file.slice(0, -'.webp'.length)), join(folder, file));
  }
  const drawings = new Map<string, Drawing>();
  for (const { code } of items) {
    const file = files.get(code);
    if (file !== undefined) drawings.set(code, { file });
  }
  return drawings;
}

async function findPackages(places: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [name, version] of Object.entries(PACKAGE_VERSIONS)) {
    for (const place of places) {
      try {
        const file = createRequire(pathToFileURL(join(place, 'package.json'))).resolve(
          `${name}/package.json`,
        );
        if ((JSON.parse(await readFile(file, 'utf8')) as { version?: string }).version !== version) continue;
        found.set(name, dirname(file));
        break;
      } catch {
        // Not installed here; the next place may have it.
      }
    }
  }
  return found;
}

/** All packages at once: npm removes from such a folder what it is not asked for. */
async function installArt(folder: string, signal: AbortSignal | undefined): Promise<void> {
  const specifiers = Object.entries(PACKAGE_VERSIONS).map(([name, version]) => `${name}@${version}`);
  const flags = [
    '--no-save',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--omit=peer',
    '--loglevel=error',
  ];
  const failed = (what: string, cause?: unknown) =>
    new DataError(
      `emoji art: npm install failed: ${what}. Install ${specifiers.join(' ')} yourself and give that folder as --art`,
      { file: folder, cause },
    );
  await new Promise<void>((done, reject) => {
    const child = spawn('npm', ['install', '--prefix', folder, ...flags, ...specifiers], {
      stdio: ['ignore', 'ignore', 'pipe'],
      shell: process.platform === 'win32',
      ...(signal === undefined ? {} : { signal }),
    });
    let output = '';
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on('error', (error) =>
      reject(signal?.aborted ? signal.reason : failed(errorMessage(error), error)),
    );
    child.on('close', (code) => {
      if (code === 0) done();
      else reject(failed(output.trim().split('\n').slice(0, 3).join(' ') || `exit code ${code}`));
    });
  });
}
