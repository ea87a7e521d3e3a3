/**
 * Features, stages and roles of torchvision's architectures as torch exports them, with the parameters' own names and
 * normalisation kept: the stages are those of the modules that torchvision builds.
 */
import { describe, expect, it } from 'vitest';
import { findFeatures, parameterRoles, stagesOf } from '../../src/models/index.js';
import { readArchitecture } from '../support/architectures.js';

/** Channels of the features, and what ends each stage but the last, by the start of its name. */
const EXPECTED: readonly (readonly [name: string, channels: number, ends: readonly string[]])[] = [
  ['resnet18', 512, ['/relu/', '/layer1/layer1.1/', '/layer2/layer2.1/', '/layer3/layer3.1/']],
  ['resnet50', 2048, ['/relu/', '/layer1/layer1.2/', '/layer2/layer2.3/', '/layer3/layer3.5/']],
  [
    'mobilenet_v2',
    1280,
    ['/features/features.1/', '/features/features.3/', '/features/features.6/', '/features/features.13/'],
  ],
  [
    'densenet121',
    256, // built with a growth of 8, to be small,
    ['/features/relu0/', '/features/denseblock1/', '/features/denseblock2/', '/features/denseblock3/'],
  ],
  ['googlenet', 1024, ['/conv1/', '/conv3/', '/inception3b/', '/inception4e/']],
  ['squeezenet1_1', 512, ['/features/features.1/', '/features/features.4/', '/features/features.7/']],
  ['shufflenet_v2_x1_0', 1024, ['/conv1/', '/stage2/stage2.3/', '/stage3/stage3.7/']],
];

describe.each(EXPECTED)('%s', (name, channels, ends) => {
  const { model } = readArchitecture(`${name}.kept`);
  const { graph } = model;

  it('features are what the classifier takes', () => {
    const { features, featureMap, pooling } = findFeatures(graph);
    expect(features.shape[1]).toBe(channels);
    expect(pooling).toBe(name === 'squeezenet1_1' ? 'average' : 'none');
    expect(featureMap?.shape).toHaveLength(4);
    expect(featureMap?.shape[1]).toBe(channels);
  });

  it('stages end with the modules of a resolution', () => {
    const { features } = findFeatures(graph);
    const stages = stagesOf(graph, graph.inputs[0]!.value, features);
    const names = stages.map(({ end: { origin } }) => (origin.kind === 'node' ? origin.node.name : ''));
    expect(names).toHaveLength(ends.length + 1);
    for (const [i, start] of ends.entries()) expect(names[i]).toMatch(new RegExp(`^${start}`));
  });

  it('roles agree with the names that torch gives', () => {
    for (const [{ origin, shape }, { role }] of parameterRoles(graph)) {
      const own = origin.kind === 'constant' ? (origin.name ?? '') : '';
      if (/running_(mean|var)$/.test(own)) expect(role, own).toBe('statistic');
      else if (/\.weight$/.test(own)) expect(role, own).toBe(shape.length > 1 ? 'weight' : 'normalization');
      else if (/\.bias$/.test(own)) expect(['bias', 'normalization'], own).toContain(role);
      else expect(role, own).toBe('constant');
    }
  });
});
