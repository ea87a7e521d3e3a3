/** Pairs of pictures side by side, as one HTML file with everything in it. */
import { h } from 'preact';
import { renderToString } from 'preact-render-to-string';
import sharp from 'sharp';
import { type CopiedPicture, type NearCopies, recordPicture } from '../../catalog/index.js';
import { decodePicture } from '../../data/index.js';
import { type StartProgress, silentProgress } from '../../util/index.js';

/** @returns the document; a picture that cannot be read is said to be so */
export async function copiesSheet(
  pairs: readonly NearCopies[],
  {
    title,
    startProgress = silentProgress,
    signal,
  }: { title: string; startProgress?: StartProgress; signal?: AbortSignal | undefined },
): Promise<string> {
  const thumbnails = new Map<string, Promise<string | undefined>>();
  const bar = startProgress('pictures', pairs.length);
  const rows = [];
  try {
    for (const [n, { pictures, similarity, isSameItem }] of pairs.entries()) {
      signal?.throwIfAborted();
      const cells = [];
      for (const picture of pictures) {
        const made = thumbnails.get(picture.id) ?? thumbnail(picture);
        thumbnails.set(picture.id, made);
        const source = await made;
        const item = picture.fields.item_id?.[0] ?? '';
        cells.push(
          h(
            'figure',
            null,
            source === undefined
              ? h('p', null, 'cannot be read')
              : h('img', { src: source, alt: `${item}: ${picture.id}`, width: SIDE, height: SIDE }),
            h('figcaption', null, h('b', null, item), h('br', null), picture.id),
          ),
        );
      }
      const text = `${similarity.toFixed(4)} · ${isSameItem ? 'same item' : 'different items'}`;
      rows.push(h('section', null, h('h2', null, text), h('div', null, ...cells)));
      bar.update(n + 1);
    }
  } finally {
    bar.stop();
  }
  const body = h(
    'html',
    { lang: 'en' },
    h(
      'head',
      null,
      h('meta', { charSet: 'utf-8' }),
      h('meta', { name: 'viewport', content: 'width=device-width' }),
      h('title', null, title),
      h('style', null, STYLE),
    ),
    h(
      'body',
      null,
      h('h1', null, title),
      rows.length === 0 ? h('p', null, 'None.') : h('main', null, ...rows),
    ),
  );
  return `<!doctype html>\n${renderToString(body)}\n`;
}

// --- internal ---

const SIDE = 144;
const STYLE =
  'body{font:15px system-ui,sans-serif;margin:2rem;color-scheme:light dark}' +
  'main{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1.5rem}' +
  'h2{font-size:1rem}div{display:flex;gap:.75rem}figure{margin:0;width:9rem}' +
  'figcaption{font-size:.8rem;overflow-wrap:anywhere}img{background:#fff;object-fit:contain}';

async function thumbnail(record: CopiedPicture): Promise<string | undefined> {
  const picture = recordPicture(record);
  const { path, box } =
    typeof picture === 'object' && 'path' in picture ? picture : { path: String(picture), box: undefined };
  try {
    const { data, width, height } = await decodePicture(path, {
      size: SIDE,
      fit: 'contain',
      ...(box === undefined ? {} : { box }),
    });
    const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
      .webp({ quality: 74 })
      .toBuffer();
    return `data:image/webp;base64,${bytes.toString('base64')}`;
  } catch {
    return undefined;
  }
}
