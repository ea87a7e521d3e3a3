/**
 * Which value is taken as features, on small networks that end as real ones do.
 */
import { describe, expect, it } from 'vitest';
import {
  add,
  apply,
  buildGraph,
  concat,
  constant,
  convolution,
  expand,
  findOperator,
  globalAveragePool,
  input,
  int64,
  matmul,
  reduceMean,
  relu,
  reshape,
  softmax,
  tanh,
  transpose,
  type Value,
} from '../graph/index.js';
import { findFeatures } from './index.js';

const named = (name: string, shape: number[]) =>
  constant(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), shape, { name });

function convolutional() {
  const x = input('x', 'float32', ['N', 3, 16, 16]);
  const map = relu(convolution(x, named('stem', [8, 3, 3, 3]), undefined, { stride: 2 }));
  return { x, map };
}

const pooled = (map: Value) => reshape(globalAveragePool(map), [0, map.shape[1] as number]);
const classified = (features: Value, classes = 5) =>
  add(
    matmul(features, named('head.weight', [features.shape[1] as number, classes])),
    named('head.bias', [classes]),
  );

describe('findFeatures', () => {
  it('drops the last linear map, and knows the map before the pooling', () => {
    const { x, map } = convolutional();
    const features = pooled(map);
    const found = findFeatures(buildGraph([x], { y: softmax(classified(features)) }));
    expect(found.features).toBe(features);
    expect(found.featureMap).toBe(map);
    expect(found.pooling).toBe('none');
    expect(found.note).toBe('the input of the classifier (MatMul)');
  });

  it('keeps a hidden layer of the head', () => {
    const { x, map } = convolutional();
    const hidden = relu(matmul(pooled(map), named('hidden', [8, 6])));
    const found = findFeatures(buildGraph([x], { y: classified(hidden) }));
    expect(found.features).toBe(hidden);
    expect(found.featureMap).toBe(map);
  });

  it('a 1×1 convolution over 1000 classes, pooled: its input, averaged', () => {
    const { x, map } = convolutional();
    const scores = relu(convolution(map, named('classes', [1000, 8, 1, 1])));
    const y = softmax(reshape(globalAveragePool(scores), [0, 1000]), 1);
    const found = findFeatures(buildGraph([x], { y }));
    expect(found.features).toBe(map);
    expect(found.pooling).toBe('average');
    expect(found.note).toContain('averaged over its places');
  });

  it('the same with 96 channels and no class scores is a headless network', () => {
    const { x, map } = convolutional();
    const last = relu(convolution(map, named('last', [96, 8, 1, 1])));
    const y = reshape(globalAveragePool(last), [0, 96]);
    const found = findFeatures(buildGraph([x], { y }));
    expect(found.features).toBe(y);
    expect(found.featureMap).toBe(last);
    expect(found.note).toBe("output 'y' as it is");
  });

  it.each([
    ['embedding', 'image_embeds'],
    ['pooler_output', 'embeds'],
    ['last_hidden_state', 'pooler_output'],
  ])('an output named %s or, better, %s wins over logits', (good, better) => {
    const { x, map } = convolutional();
    const [a, b] = [pooled(map), relu(pooled(map))];
    const logits = classified(a);
    expect(findFeatures(buildGraph([x], { logits, [good]: a })).features).toBe(a);
    const both = buildGraph([x], { logits, [good]: a, [better]: b });
    expect(findFeatures(both).features).toBe(good === 'embedding' ? a : b);
    expect(findFeatures(both, good).features).toBe(a);
    expect(findFeatures(both, 'logits').features).toBe(a);
  });

  it('tokens: the class token where the network takes it, else their mean; a tanh pooler is passed by', () => {
    const x = input('x', 'float32', ['N', 4, 8]);
    const tokens = add(matmul(x, named('w', [8, 8])), named('position', [1, 4, 8]));
    expect(findFeatures(buildGraph([x], { last_hidden_state: tokens }))).toMatchObject({
      features: tokens,
      featureMap: undefined,
      pooling: 'average',
    });
    const token = apply(findOperator('Gather')!, [tokens, constant([0], [], { dataType: 'int64' })], {
      axis: 1,
    });
    const pooler = tanh(matmul(token, named('pooler', [8, 8])));
    const graph = buildGraph([x], { last_hidden_state: tokens, pooler_output: pooler });
    expect(findFeatures(graph)).toMatchObject({ features: tokens, pooling: 'class-token' });
    expect(findFeatures(graph, 'pooler_output')).toMatchObject({ features: pooler, pooling: 'none' });
    expect(findFeatures(buildGraph([x], { y: classified(token) })).features).toBe(token);
  });

  it('patches in a map are not a feature map when tokens come last', () => {
    const x = input('x', 'float32', [1, 3, 8, 8]);
    const patches = convolution(x, named('patch', [16, 3, 4, 4]), undefined, { stride: 4 });
    const tokens = transpose(reshape(patches, [0, 16, 4]), [0, 2, 1]);
    const all = concat([expand(named('token', [1, 1, 16]), [1, 1, 16]), tokens], 1);
    const found = findFeatures(buildGraph([x], { y: classified(reduceMean(all, [1])) }));
    expect(found.featureMap).toBeUndefined();
    expect(found.pooling).toBe('none');
  });

  it('refuses an output that is not there, not float, or not a vector', () => {
    const { x, map } = convolutional();
    const graph = buildGraph([x], {
      map,
      sizes: apply(findOperator('Reshape')!, [int64([1, 2]), int64([2])]),
    });
    expect(() => findFeatures(graph, 'y')).toThrow("the output must be one of 'map', 'sizes', got 'y'.");
    expect(() => findFeatures(graph, 'sizes')).toThrow("the output must be one of 'map', 'sizes'");
    expect(findFeatures(graph).features).toBe(map);
    const flat = buildGraph([x], { y: reshape(map, [-1]) });
    expect(() => findFeatures(flat)).toThrow('features must have shape [N, C], [N, T, C] or [N, C, h, w]');
  });
});
