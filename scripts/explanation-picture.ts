/**
 * Draws docs/explanation.png from the demo's model: `npx tsx scripts/explanation-picture.ts runs/demo`.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { openEmbedder, openExplainer } from '../src/bundle/index.js';
import { heatMapPicture } from '../src/cli/heat-map-picture.js';

const [folder = 'runs/demo'] = process.argv.slice(2);
const picture = (name: string) => join(folder, 'data', 'pictures', name);
const pictures = { query: picture('twemoji/1f63a.png'), hit: picture('noto/1f638.png') };
const out = join(import.meta.dirname, '..', 'docs', 'explanation.png');

const embedder = await openEmbedder(join(folder, 'model'), { batchSize: 1 });
const explainer = await openExplainer(embedder);
const maps = await explainer.heatMaps(pictures.query, pictures.hit);
const drawn = await heatMapPicture(maps, pictures, { side: 360 });
await writeFile(out, await sharp(drawn).png({ palette: true, colours: 128 }).toBuffer());
await explainer.close();
await embedder.close();
process.stdout.write(`${out}: cosine ${maps.cosine.toFixed(3)}, ${maps.method}\n`);
