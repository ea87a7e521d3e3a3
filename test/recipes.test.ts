/** Every recipe of the repository is a valid comparison: it parses, each method resolves, and so does what is searched. */
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type ComparisonConfiguration,
  type Distribution,
  EVERY_METHOD,
  readComparisonConfiguration,
} from '../src/cli/compare/configuration.js';
import { methodSettings, planRuns } from '../src/cli/compare/plan.js';
import { expandPaths, merge } from '../src/cli/settings.js';
import { datasetReaders } from '../src/data/index.js';
import { resolveConfiguration } from '../src/training/index.js';

const FOLDER = join(import.meta.dirname, '../recipes');
const recipes = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));

/** Both ends of what may be drawn. */
function ends(distribution: Distribution): readonly unknown[] {
  if ('choice' in distribution) return distribution.choice;
  return Object.values(distribution)[0] as readonly unknown[];
}

function spaceOf({ search }: ComparisonConfiguration, method: string): Record<string, Distribution> {
  return { ...search?.space[EVERY_METHOD], ...search?.space[method] };
}

describe.each(recipes)('recipes/%s', (name) => {
  it('resolves for every method, at both ends of everything that is searched', async () => {
    const configuration = await readComparisonConfiguration(join(FOLDER, name));
    const context = { configuration, dataHash: '' };
    const methods = Object.keys(configuration.methods);
    const runs = planRuns(context, methods, (method) => methodSettings(context, method));
    const points = configuration.grid?.length ?? 1;
    expect(runs).toHaveLength(methods.length * configuration.seeds.length * points);
    for (const method of methods) {
      const settings = methodSettings(context, method);
      expect(resolveConfiguration(settings).loss.kind).toBeTypeOf('string');
      for (const [path, distribution] of Object.entries(spaceOf(configuration, method))) {
        for (const value of ends(distribution)) {
          expect(() => resolveConfiguration(merge(settings, expandPaths({ [path]: value })))).not.toThrow();
        }
      }
      resolveConfiguration(merge(settings, expandPaths(configuration.search?.settings ?? {})));
    }
  });

  it('is named like its file', async () => {
    expect(`${(await readComparisonConfiguration(join(FOLDER, name))).name}.yaml`).toBe(name);
  });
});

describe.each([
  ['inshop-resnet50.yaml', datasetReaders.inshop],
  ['cub-resnet50.yaml', datasetReaders.cub],
  ['sop-resnet50.yaml', datasetReaders.sop],
])('recipes/%s', (name, reader) => {
  it("asks for the protocol's Recall@K and says that nobody has run it", async () => {
    const text = await readFile(join(FOLDER, name), 'utf8');
    expect(text).toContain(`--recall-at ${reader.protocol.recallAt.join(',')}`);
    expect(text).toContain(`Recall@${reader.protocol.recallAt.join(', ')}`);
    expect(text).toContain('Nobody has run this recipe yet');
    const configuration = await readComparisonConfiguration(join(FOLDER, name));
    const settings = resolveConfiguration(methodSettings({ configuration, dataHash: '' }, 'sgml'));
    expect(settings).toMatchObject({ sourceSize: 256, network: { inputSize: 224, embeddingSize: 512 } });
  });
});
